// Private to crypto: OpenSSL's objects as owners, and its failures as Failure. Included by .cc files only.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>
#include <limits>
#include <memory>
#include <span>
#include <string>

#include "base/check.h"

namespace sotto::crypto {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;

[[noreturn]] inline void fail_openssl(const char* call) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  throw Failure(std::string("OpenSSL: ") + call + " failed: " + text.data());
}
inline void require(bool ok, const char* call) {
  if (!ok) fail_openssl(call);
}
template <class T>
T* require(T* object, const char* call) {
  if (object == nullptr) fail_openssl(call);
  return object;
}

inline int as_int(std::size_t size) {
  SOTTO_CHECK(size <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(size);
}

using CounterBlock = std::array<std::uint8_t, 16>;

// AES-256-CTR with a big-endian 128-bit counter (NIST SP 800-38A, section 6.5); feeding it zeros gives the keystream.
inline CipherContext aes_256_ctr(std::span<const std::uint8_t, 32> key, const CounterBlock& first) {
  CipherContext context(require(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new"));
  require(EVP_EncryptInit_ex2(context.get(), EVP_aes_256_ctr(), key.data(), first.data(), nullptr) == 1,
          "EVP_EncryptInit_ex2");
  return context;
}

}  // namespace sotto::crypto
