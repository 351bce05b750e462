#include "crypto/secret.h"

#include <openssl/crypto.h>

namespace sotto::crypto {

void wipe(std::span<std::uint8_t> memory) {
  if (!memory.empty()) OPENSSL_cleanse(memory.data(), memory.size());
}

bool equal_in_constant_time(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace sotto::crypto
