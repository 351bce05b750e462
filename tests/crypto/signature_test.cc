#include "crypto/signature.h"

#include "crypto/hash.h"
#include "crypto/statement.h"
#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

TEST_CASE("Ed25519 signs and verifies as RFC 8032's authors do", "[signature]") {
  const Json all = vectors("ed25519.json");
  for (const Json& v : all.items()) {
    const auto key = SigningKey::from(hex_at(v, "seed"));
    const VerifyKey expected(array_at<32>(v, "public"));
    const Bytes message = hex_at(v, "message");
    CHECK(verify_key(key) == expected);
    CHECK(sign(key, message) == array_at<64>(v, "signature"));
    CHECK(verify(expected, message, array_at<64>(v, "signature")));
  }
}

TEST_CASE("a changed message, signature or key does not verify", "[signature]") {
  FixedRandom source(9);
  const auto key = SigningKey::random(source);
  Bytes message{1, 2, 3};
  Signature signature = sign(key, message);
  REQUIRE(verify(verify_key(key), message, signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    signature[i] ^= 0x10;
    CHECK_FALSE(verify(verify_key(key), message, signature));
    signature[i] ^= 0x10;
  }
  CHECK_FALSE(verify(verify_key(SigningKey::random(source)), message, signature));
  message[0] ^= 1;
  CHECK_FALSE(verify(verify_key(key), message, signature));
  CHECK_FALSE(verify(VerifyKey(), message, Signature{}));
}

TEST_CASE("a signature with S increased by the group's order is refused", "[signature]") {
  // RFC 8032, section 5.1.7: 0 <= S < L, so that a signature cannot be turned into a second one.
  const Bytes order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  FixedRandom source(10);
  const auto key = SigningKey::random(source);
  const Bytes message{1};
  Signature signature = sign(key, message);
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += signature[32 + i] + unsigned{order[i]};
    signature[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  REQUIRE(carry == 0);
  CHECK_FALSE(verify(verify_key(key), message, signature));
}

TEST_CASE("a fingerprint has its known text and is compared however people write it", "[signature]") {
  const Json v = vectors("derived.json");
  const VerifyKey key(array_at<32>(v, "fingerprint_key"));
  const std::string text = v.at("fingerprint").as_string();
  CHECK(fingerprint(key) == text);
  CHECK(fingerprint_matches(text, key));
  std::string loud;
  for (const char c : text) loud += c == '-' ? std::string(" : ") : std::string(1, static_cast<char>(std::toupper(c)));
  CHECK(fingerprint_matches(loud, key));
  CHECK_FALSE(fingerprint_matches(text.substr(0, text.size() - 1), key));
  CHECK_FALSE(fingerprint_matches(text + "0", key));
  CHECK_FALSE(fingerprint_matches("", key));
  std::string wrong = text;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  CHECK_FALSE(fingerprint_matches(wrong, key));
}

Digest sha256_of(std::string_view text) { return sha256(as_bytes(text)); }

Statement report() {
  const Digest roster = sha256_of("roster");
  return {"report", "hospital-a", RunId("run-7"), RoundId(3), AttemptId(1), roster, sha256_of("body")};
}

TEST_CASE("a statement has its known bytes", "[statement]") {
  CHECK(encode(report()) == hex_at(vectors("derived.json"), "statement"));
}

TEST_CASE("a signature holds for its statement and for no other", "[statement]") {
  FixedRandom source(11);
  const auto key = SigningKey::random(source);
  const Signature signature = sign_statement(key, report());
  CHECK(verify_statement(verify_key(key), report(), signature).ok());
  std::vector<Statement> others(7, report());
  others[0].label = "confirm";
  others[1].sender = "hospital-b";
  others[2].run = RunId("run-8");
  others[3].round = RoundId(4);
  others[4].attempt = AttemptId(2);
  others[5].roster[31] ^= 1;
  others[6].body[0] ^= 1;
  for (const Statement& other : others) {
    const auto verdict = verify_statement(verify_key(key), other, signature);
    REQUIRE_FALSE(verdict.ok());
    CHECK(verdict.error().code == ErrorCode::kProtocol);
    CHECK(verdict.error().message.find(other.sender) != std::string::npos);
  }
}

TEST_CASE("letters moved between label and sender change the statement's bytes", "[statement]") {
  Statement moved = report();
  moved.label = "reporth";
  moved.sender = "ospital-a";
  CHECK(encode(moved) != encode(report()));
}

}  // namespace
}  // namespace sotto::crypto
