// Several processes, on one machine or several, that train one site's model together, started by torchrun or by hand with
// its variables: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT. They talk through LibTorch's c10d store (TCPStore), which
// process 0 serves: what is exchanged are unprotected sums, so the network between them has to be the site's own. LibTorch's
// packages come without the headers of Gloo and NCCL, whose rings a large update would want; here each sum passes through
// process 0. One thread. A process that dies makes the others fail after ten minutes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "privacy/mechanism/workers.h"

namespace sotto::model {

class ProcessGroup final : public privacy::Workers {
 public:
  // Waits for all processes. nullptr where none of the variables is set, or WORLD_SIZE is 1. Refused by name and value:
  // variables that are missing or out of range, an address that does not answer.
  static Result<std::unique_ptr<ProcessGroup>> from_environment();
  ~ProcessGroup() override;

  std::uint32_t rank() const { return rank_; }
  std::uint32_t size() const { return size_; }
  bool is_mine(std::size_t position) const override { return position % size_ == rank_; }
  void sum(std::span<std::int64_t> values) override;
  void sum(std::span<double> values) override;
  // Process 0's bytes, to all; what the others give is not looked at.
  Bytes broadcast(ByteSpan bytes);
  // Until all are here.
  void meet();

 private:
  struct Store;
  ProcessGroup(std::unique_ptr<Store> store, std::uint32_t rank, std::uint32_t size);
  template <class T>
  void add_up(std::span<T> values);
  std::unique_ptr<Store> store_;
  std::uint32_t rank_, size_;
  std::uint64_t turn_ = 0;          // exchanges so far, the same at all
  std::vector<std::string> stale_;  // keys that all have read once the next sum is complete
};

}  // namespace sotto::model
