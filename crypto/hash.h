// SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104).
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"

namespace sotto::crypto {

Digest sha256(ByteSpan data);
// Streams the file; fails when it cannot be read.
Result<Digest> sha256_file(const std::string& path);
Digest hmac_sha256(ByteSpan key, ByteSpan data);

// Hashes piece by piece. One use: after finish() any call is a broken invariant. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  Sha256& update(ByteSpan data);
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto::crypto
