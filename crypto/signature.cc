#include "crypto/signature.h"

#include <cctype>

#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace sotto::crypto {
namespace {

constexpr std::size_t kFingerprintBytes = 16;

Key private_key(const SigningKey& key) {
  return Key(require(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, key.reveal().data(), SigningKey::kSize),
                     "EVP_PKEY_new_raw_private_key"));
}

std::string fingerprint_digits(const VerifyKey& key) {
  const Digest digest = Sha256().update(as_bytes("sotto/fingerprint/v1")).update(key.value()).finish();
  return to_hex(ByteSpan(digest).first(kFingerprintBytes));
}

}  // namespace

VerifyKey verify_key(const SigningKey& key) {
  std::array<std::uint8_t, 32> out{};
  std::size_t size = out.size();
  require(EVP_PKEY_get_raw_public_key(private_key(key).get(), out.data(), &size) == 1 && size == out.size(),
          "EVP_PKEY_get_raw_public_key");
  return VerifyKey(out);
}

Signature sign(const SigningKey& key, ByteSpan message) {
  const Key ed25519 = private_key(key);
  const DigestContext context(require(EVP_MD_CTX_new(), "EVP_MD_CTX_new"));
  require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, ed25519.get()) == 1, "EVP_DigestSignInit");
  Signature signature{};
  std::size_t size = signature.size();
  require(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1 &&
              size == signature.size(),
          "EVP_DigestSign");
  return signature;
}

bool verify(const VerifyKey& key, ByteSpan message, const Signature& signature) {
  const Key ed25519(require(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.value().data(), key.value().size()),
                            "EVP_PKEY_new_raw_public_key"));
  const DigestContext context(require(EVP_MD_CTX_new(), "EVP_MD_CTX_new"));
  require(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, ed25519.get()) == 1, "EVP_DigestVerifyInit");
  const bool ok = EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!ok) ERR_clear_error();
  return ok;
}

std::string fingerprint(const VerifyKey& key) {
  const std::string digits = fingerprint_digits(key);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && i % 4 == 0) out += '-';
    out += digits[i];
  }
  return out;
}

bool fingerprint_matches(std::string_view text, const VerifyKey& key) {
  std::string digits;
  for (const char c : text) {
    if (c == '-' || c == ':' || c == ' ') continue;
    digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return digits == fingerprint_digits(key);
}

}  // namespace sotto::crypto
