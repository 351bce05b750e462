#include "model/training/process_group.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "model/network/runtime.h"

namespace sotto::model {
namespace {

constexpr std::chrono::minutes kPatience{10};
constexpr std::size_t kChunk = std::size_t{4} << 20;  // bytes of one value in the store

Result<std::uint32_t> variable(const char* name, std::uint32_t low, std::uint32_t high) {
  const char* text = std::getenv(name);
  const std::string range =
      std::string(name) + " must be a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  if (text == nullptr) return invalid(range + " and is not set, though other variables of torchrun are");
  std::uint32_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  if (error != std::errc() || at != end || value < low || value > high) return invalid(range + ", not '" + text + "'");
  return value;
}

std::string key_of(std::uint64_t turn, const std::string& whose, std::size_t chunk) {
  return "sotto/" + std::to_string(turn) + "/" + whose + "/" + std::to_string(chunk);
}

}  // namespace

struct ProcessGroup::Store {
  c10::intrusive_ptr<c10d::TCPStore> tcp;
};

ProcessGroup::ProcessGroup(std::unique_ptr<Store> store, std::uint32_t rank, std::uint32_t size)
    : store_(std::move(store)), rank_(rank), size_(size) {}
ProcessGroup::~ProcessGroup() = default;

Result<std::unique_ptr<ProcessGroup>> ProcessGroup::from_environment() {
  bool any = false;
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) any = any || std::getenv(name) != nullptr;
  if (!any) return std::unique_ptr<ProcessGroup>();
  constexpr std::uint32_t kMost = 1024;
  SOTTO_TRY(const auto size, variable("WORLD_SIZE", 1, kMost));
  SOTTO_TRY(const auto rank, variable("RANK", 0, size - 1));
  if (size == 1) return std::unique_ptr<ProcessGroup>();
  SOTTO_TRY(const auto port, variable("MASTER_PORT", 1, 65535));
  const char* address = std::getenv("MASTER_ADDR");
  if (address == nullptr || *address == '\0')
    return invalid("MASTER_ADDR must name the machine of process 0, and is not set");
  // torchrun itself serves a store at this address and says so.
  const char* agents = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(port);
  options.isServer = rank == 0 && !(agents != nullptr && std::string_view(agents) == "True");
  options.numWorkers = size;
  options.timeout = kPatience;
  try {
    auto store = std::make_unique<Store>();
    store->tcp = c10::make_intrusive<c10d::TCPStore>(address, options);
    std::unique_ptr<ProcessGroup> group(new ProcessGroup(std::move(store), rank, size));
    group->meet();
    return group;
  } catch (const c10::Error& error) {
    return unavailable("the " + std::to_string(size) + " processes of this training did not meet at " + address + ":" +
                       std::to_string(port) + " (MASTER_ADDR, MASTER_PORT): " + error.what_without_backtrace());
  }
}

template <class T>
void ProcessGroup::add_up(std::span<T> values) {
  guarded([&] {
    ++turn_;
    const std::size_t each = kChunk / sizeof(T);
    std::vector<std::string> read = std::move(stale_);
    stale_.clear();
    for (std::size_t begin = 0, chunk = 0; begin < values.size() || chunk == 0; begin += each, ++chunk) {
      const auto part = values.subspan(begin, std::min(each, values.size() - begin));
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(part.data());
      const std::string total = key_of(turn_, "sum", chunk);
      if (rank_ != 0) {
        store_->tcp->set(key_of(turn_, std::to_string(rank_), chunk),
                         std::vector<std::uint8_t>(bytes, bytes + part.size_bytes()));
        const auto sum = store_->tcp->get(total);
        SOTTO_CHECK(sum.size() == part.size_bytes());
        std::memcpy(part.data(), sum.data(), sum.size());
        continue;
      }
      std::vector<T> other(part.size());
      for (std::uint32_t r = 1; r < size_; ++r) {
        const std::string key = key_of(turn_, std::to_string(r), chunk);
        const auto theirs = store_->tcp->get(key);
        if (theirs.size() != part.size_bytes())
          throw Failure("process " + std::to_string(r) + " of this training sums another number of values");
        std::memcpy(other.data(), theirs.data(), theirs.size());
        for (std::size_t i = 0; i < part.size(); ++i) part[i] += other[i];
        store_->tcp->deleteKey(key);
      }
      store_->tcp->set(total, std::vector<std::uint8_t>(bytes, bytes + part.size_bytes()));
      stale_.push_back(total);
    }
    if (rank_ == 0)
      for (const auto& key : read) store_->tcp->deleteKey(key);  // who sent to this sum has read those of before
  });
}

void ProcessGroup::sum(std::span<std::int64_t> values) { add_up(values); }
void ProcessGroup::sum(std::span<double> values) { add_up(values); }

Bytes ProcessGroup::broadcast(ByteSpan bytes) {
  return guarded([&] {
    ++turn_;
    const std::string key = key_of(turn_, "all", 0);
    if (rank_ != 0) return Bytes(store_->tcp->get(key));
    store_->tcp->set(key, std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
    stale_.push_back(key);
    return Bytes(bytes.begin(), bytes.end());
  });
}

void ProcessGroup::meet() {
  std::int64_t nothing = 0;
  sum(std::span(&nothing, 1));
}

}  // namespace sotto::model
