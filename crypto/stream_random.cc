#include "crypto/stream_random.h"

#include <algorithm>
#include <array>

#include "crypto/openssl.h"

namespace sotto::crypto {
namespace {

constexpr std::size_t kBufferSize = 8192;

}  // namespace

struct StreamRandom::State {
  CipherContext cipher;
  std::array<std::uint8_t, kBufferSize> buffer{};
  std::size_t used = kBufferSize;

  ~State() { wipe(buffer); }

  void keystream(std::span<std::uint8_t> out) {
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    int written = 0;
    require(EVP_EncryptUpdate(cipher.get(), out.data(), &written, out.data(), as_int(out.size())) == 1, "EVP_EncryptUpdate");
  }
};

StreamRandom::StreamRandom(StreamKey&& key) : state_(std::make_unique<State>()) {
  state_->cipher = aes_256_ctr(key.reveal(), CounterBlock{});
  key.erase();
}
StreamRandom::StreamRandom(StreamRandom&&) noexcept = default;
StreamRandom& StreamRandom::operator=(StreamRandom&&) noexcept = default;
StreamRandom::~StreamRandom() = default;

void StreamRandom::fill(std::span<std::uint8_t> out) {
  SOTTO_CHECK(state_ != nullptr);
  State& s = *state_;
  while (!out.empty()) {
    if (s.used == kBufferSize) {
      if (out.size() >= kBufferSize) {  // whole buffers go straight to the caller
        s.keystream(out.first(kBufferSize));
        out = out.subspan(kBufferSize);
        continue;
      }
      s.keystream(s.buffer);
      s.used = 0;
    }
    const std::size_t n = std::min(out.size(), kBufferSize - s.used);
    std::copy_n(s.buffer.begin() + static_cast<std::ptrdiff_t>(s.used), n, out.begin());
    s.used += n;
    out = out.subspan(n);
  }
}

}  // namespace sotto::crypto
