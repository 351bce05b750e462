// A RandomSource that is the AES-256-CTR keystream of a key, with the counter from 0. Two sources with one key give the same
// bytes, however the bytes are asked for; a key is therefore used for one purpose only. Not thread-safe. Limit: 2^64 bytes.
#pragma once

#include <memory>

#include "base/random.h"
#include "crypto/secret.h"

namespace sotto::crypto {

class StreamRandom final : public RandomSource {
 public:
  explicit StreamRandom(StreamKey&& key);
  StreamRandom(StreamRandom&&) noexcept;
  StreamRandom& operator=(StreamRandom&&) noexcept;
  ~StreamRandom() override;
  void fill(std::span<std::uint8_t> out) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto::crypto
