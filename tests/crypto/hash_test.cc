#include "crypto/hash.h"

#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "crypto/kdf.h"
#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"

namespace sotto::crypto {
namespace {

TEST_CASE("SHA-256 gives NIST's digests, at once and byte by byte", "[hash]") {
  const Json all = vectors("sha256.json");
  for (const Json& v : all.items()) {
    const Bytes message = hex_at(v, "message");
    CHECK(sha256(message) == digest_at(v, "digest"));
    Sha256 pieces;
    for (const std::uint8_t byte : message) pieces.update({&byte, 1});
    CHECK(pieces.finish() == digest_at(v, "digest"));
  }
}

TEST_CASE("SHA-256 of a million letters a is FIPS 180's", "[hash]") {
  const std::string letters(1'000'000, 'a');
  CHECK(to_hex(sha256(as_bytes(letters))) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a finished hash cannot be used again", "[hash]") {
  Sha256 hash;
  (void)hash.finish();
  CHECK_THROWS_AS(hash.update({}), Failure);
  CHECK_THROWS_AS(hash.finish(), Failure);
}

TEST_CASE("a file hashes as its bytes do, and a missing one is named", "[hash]") {
  const auto path = (std::filesystem::temp_directory_path() / ("sotto_hash_test_" + std::to_string(getpid()))).string();
  const Bytes content(3'000'001, 0x5a);  // more than two chunks
  REQUIRE(write_file_atomically(path, content).ok());
  CHECK(sha256_file(path).value() == sha256(content));
  std::filesystem::remove(path);
  const auto missing = sha256_file(path);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::kNotFound);
  CHECK(missing.error().message.find(path) != std::string::npos);
  CHECK_FALSE(sha256_file(std::filesystem::temp_directory_path().string()).ok());
}

TEST_CASE("HMAC-SHA-256 gives the values of RFC 4231", "[hash]") {
  const Json all = vectors("hmac_sha256.json");
  for (const Json& v : all.items()) {
    CHECK(hmac_sha256(hex_at(v, "key"), hex_at(v, "message")) == digest_at(v, "mac"));
  }
}

TEST_CASE("HMAC-SHA-256 of nothing under an empty key has its known value", "[hash]") {
  CHECK(to_hex(hmac_sha256({}, {})) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("HKDF-SHA-256 gives the values of RFC 5869", "[kdf]") {
  const Json all = vectors("hkdf_sha256.json");
  for (const Json& v : all.items()) {
    const Bytes okm = hex_at(v, "okm");
    Bytes out(okm.size());
    hkdf_sha256_into(out, hex_at(v, "salt"), hex_at(v, "ikm"), hex_at(v, "info"));
    CHECK(out == okm);
    const auto key = hkdf_sha256<32>(hex_at(v, "salt"), hex_at(v, "ikm"), hex_at(v, "info"));
    CHECK(equal(key.reveal(), ByteSpan(okm).first(32)));
  }
}

TEST_CASE("HKDF refuses empty key material and more output than RFC 5869 allows", "[kdf]") {
  Bytes too_long(255 * 32 + 1);
  CHECK_THROWS_AS(hkdf_sha256_into(too_long, {}, Bytes{1}, {}), Failure);
  CHECK_THROWS_AS(hkdf_sha256<32>({}, {}, {}), Failure);
}

}  // namespace
}  // namespace sotto::crypto
