#include "crypto/key_agreement.h"

#include "crypto/openssl.h"

namespace sotto::crypto {
namespace {

using PointBytes = std::array<std::uint8_t, 32>;

Key private_key(std::span<const std::uint8_t, 32> bytes) {
  return Key(require(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes.data(), bytes.size()),
                     "EVP_PKEY_new_raw_private_key"));
}

PointBytes x25519_public(std::span<const std::uint8_t, 32> secret) {
  PointBytes out{};
  std::size_t size = out.size();
  require(EVP_PKEY_get_raw_public_key(private_key(secret).get(), out.data(), &size) == 1 && size == out.size(),
          "EVP_PKEY_get_raw_public_key");
  return out;
}

// Whether the agreement was made: not when the peer's point has small order. RFC 7748, section 6.1.
bool x25519_into(std::span<std::uint8_t, 32> out, std::span<const std::uint8_t, 32> secret, const PointBytes& peer) {
  const Key mine = private_key(secret);
  const Key theirs(require(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.data(), peer.size()),
                           "EVP_PKEY_new_raw_public_key"));
  const KeyContext context(require(EVP_PKEY_CTX_new(mine.get(), nullptr), "EVP_PKEY_CTX_new"));
  require(EVP_PKEY_derive_init(context.get()) == 1, "EVP_PKEY_derive_init");
  require(EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1, "EVP_PKEY_derive_set_peer");
  std::size_t size = out.size();
  if (EVP_PKEY_derive(context.get(), out.data(), &size) != 1) {  // OpenSSL refuses an all-zero result by itself
    ERR_clear_error();
    return false;
  }
  const PointBytes zero{};
  return !equal_in_constant_time(out, zero);
}

template <class Agreement, class Mine, class Theirs>
Result<Agreement> x25519(const Mine& mine, const Theirs& theirs) {
  bool agreed = false;
  auto agreement =
      Agreement::make([&](std::span<std::uint8_t, 32> out) { agreed = x25519_into(out, mine.reveal(), theirs.value()); });
  if (!agreed) {
    return protocol_error("X25519 public key " + to_hex(theirs.value()) +
                          " has small order: no secret can be agreed with it; refuse its owner's keys");
  }
  return agreement;
}

}  // namespace

MaskPublicKey public_key(const MaskKey& key) { return MaskPublicKey(x25519_public(key.reveal())); }
SealPublicKey public_key(const SealKey& key) { return SealPublicKey(x25519_public(key.reveal())); }

Result<MaskAgreement> agree(const MaskKey& mine, const MaskPublicKey& theirs) { return x25519<MaskAgreement>(mine, theirs); }
Result<SealAgreement> agree(const SealKey& mine, const SealPublicKey& theirs) { return x25519<SealAgreement>(mine, theirs); }

}  // namespace sotto::crypto
