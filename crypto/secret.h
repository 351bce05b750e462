// Secret<N, Tag>: N secret bytes. Wiped on destruction and when moved from; no copy; no stream output; == in constant time.
// The contents are had only through reveal(), a word to search for. Using a moved-from secret is a broken invariant.
//
// The tag gives a key its name, so that a key for one purpose cannot serve another: seal(const AeadKey&, ...) given a
// MaskSeed does not compile. Secret<N> without a tag is fresh key material (from HKDF, or recombined from shares) that its
// owner turns into a named key, once and explicitly: AeadKey key(hkdf_sha256<32>(...)). There is no way back except
// reveal(). Values of these types may be used from one thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"

namespace sotto::crypto {

// Overwrites memory in a way that the compiler does not remove.
void wipe(std::span<std::uint8_t> memory);
// Time depends on the sizes alone; false for unequal sizes.
bool equal_in_constant_time(ByteSpan a, ByteSpan b);

template <std::size_t N, class Tag = void>
class Secret {
 public:
  static constexpr std::size_t kSize = N;

  static Secret random(RandomSource& source) {
    return make([&](std::span<std::uint8_t, N> out) { source.fill(out); });
  }
  // A copy of N bytes; the caller's own copy stays the caller's to wipe. Another size is a broken invariant.
  static Secret from(ByteSpan bytes) {
    SOTTO_CHECK(bytes.size() == N);
    return make([&](std::span<std::uint8_t, N> out) { std::copy(bytes.begin(), bytes.end(), out.begin()); });
  }
  // `fill` writes the bytes in place, so that no copy is left elsewhere.
  template <class Fill>
  static Secret make(Fill&& fill) {
    Secret secret;
    fill(std::span<std::uint8_t, N>(secret.bytes_));
    return secret;
  }

  // Names unnamed key material.
  template <class Other>
    requires(std::is_void_v<Other> && !std::is_void_v<Tag>)
  explicit Secret(Secret<N, Other>&& unnamed) : Secret(from(unnamed.reveal())) {
    unnamed.erase();
  }

  Secret(Secret&& other) noexcept : bytes_(other.bytes_), present_(other.present_) { other.erase(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      present_ = other.present_;
      other.erase();
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { erase(); }

  std::span<const std::uint8_t, N> reveal() const {
    SOTTO_CHECK(present_);
    return bytes_;
  }
  void erase() noexcept {
    wipe(bytes_);
    present_ = false;
  }
  bool operator==(const Secret& other) const { return equal_in_constant_time(reveal(), other.reveal()); }

 private:
  Secret() = default;
  std::array<std::uint8_t, N> bytes_{};
  bool present_ = true;
};

// Secret bytes of any length: an opened plaintext, say. The same promises as Secret.
class SecretBuffer {
 public:
  explicit SecretBuffer(Bytes&& bytes) : bytes_(std::move(bytes)) {}
  SecretBuffer(SecretBuffer&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  SecretBuffer& operator=(SecretBuffer&& other) noexcept {
    if (this != &other) {
      wipe(bytes_);
      bytes_ = std::move(other.bytes_);
      other.bytes_.clear();
    }
    return *this;
  }
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer() { wipe(bytes_); }
  ByteSpan reveal() const { return bytes_; }
  bool operator==(const SecretBuffer& other) const { return equal_in_constant_time(bytes_, other.bytes_); }

 private:
  Bytes bytes_;
};

using MaskKey = Secret<32, struct MaskKeyTag>;              // X25519 private key that pair masks come from, one a round
using SealKey = Secret<32, struct SealKeyTag>;              // X25519 private key that shares are sealed to, one a round
using MaskAgreement = Secret<32, struct MaskAgreementTag>;  // X25519 of a MaskKey and a peer's MaskPublicKey
using SealAgreement = Secret<32, struct SealAgreementTag>;  // X25519 of a SealKey and a peer's SealPublicKey
using MaskSeed = Secret<32, struct MaskSeedTag>;            // b_i, which the self mask comes from
using MaskStreamKey = Secret<32, struct MaskStreamKeyTag>;  // key of one mask's AES-256-CTR stream: used once
using AeadKey = Secret<32, struct AeadKeyTag>;              // AES-256-GCM
using SigningKey = Secret<32, struct SigningKeyTag>;        // Ed25519 private key (the seed of RFC 8032)
using StreamKey = Secret<32, struct StreamKeyTag>;          // key of a StreamRandom

}  // namespace sotto::crypto
