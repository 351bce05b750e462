#include "crypto/kdf.h"

#include <openssl/kdf.h>

#include "crypto/openssl.h"

namespace sotto::crypto {

void hkdf_sha256_into(std::span<std::uint8_t> out, ByteSpan salt, ByteSpan ikm, ByteSpan info) {
  SOTTO_CHECK(!out.empty() && out.size() <= 255 * 32);
  SOTTO_CHECK(!ikm.empty());
  const KeyContext context(require(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr), "EVP_PKEY_CTX_new_id"));
  EVP_PKEY_CTX* hkdf = context.get();
  require(EVP_PKEY_derive_init(hkdf) == 1, "EVP_PKEY_derive_init");
  require(EVP_PKEY_CTX_set_hkdf_md(hkdf, EVP_sha256()) == 1, "EVP_PKEY_CTX_set_hkdf_md");
  require(EVP_PKEY_CTX_set1_hkdf_key(hkdf, ikm.data(), as_int(ikm.size())) == 1, "EVP_PKEY_CTX_set1_hkdf_key");
  // An absent salt is 32 zero bytes by RFC 5869, which is what OpenSSL takes when none is set.
  if (!salt.empty()) {
    require(EVP_PKEY_CTX_set1_hkdf_salt(hkdf, salt.data(), as_int(salt.size())) == 1, "EVP_PKEY_CTX_set1_hkdf_salt");
  }
  if (!info.empty()) {
    require(EVP_PKEY_CTX_add1_hkdf_info(hkdf, info.data(), as_int(info.size())) == 1, "EVP_PKEY_CTX_add1_hkdf_info");
  }
  std::size_t size = out.size();
  require(EVP_PKEY_derive(hkdf, out.data(), &size) == 1 && size == out.size(), "EVP_PKEY_derive");
}

}  // namespace sotto::crypto
