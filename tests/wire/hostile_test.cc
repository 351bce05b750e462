// Bytes that no honest peer sends. The bytes are put together by hand, as the Protobuf encoding specification describes it:
// tag = field << 3 | wire type, lengths as base-128 varints.
#include <filesystem>

#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/wire/fuzz_input.h"
#include "tests/wire/samples.h"
#include "wire/codec.h"

namespace sotto::wire {
namespace {

Bytes varint(std::uint64_t v) {
  Bytes out;
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<std::uint8_t>(v | 0x80));
  out.push_back(static_cast<std::uint8_t>(v));
  return out;
}

void append(Bytes& out, ByteSpan more) { out.insert(out.end(), more.begin(), more.end()); }

Bytes field(std::uint32_t number, ByteSpan body) {
  Bytes out = varint(number << 3 | 2);
  append(out, varint(body.size()));
  append(out, body);
  return out;
}

Bytes number_field(std::uint32_t number, std::uint64_t value) {
  Bytes out = varint(number << 3);
  append(out, varint(value));
  return out;
}

constexpr std::uint32_t kKeys = 6, kShares = 7, kReport = 8, kUnmask = 10;

Bytes header() {
  Bytes out = field(1, as_bytes("r"));
  append(out, number_field(2, 0));
  append(out, number_field(3, 1));
  return field(1, out);
}

std::string error_of(ByteSpan bytes) {
  const auto message = decode_to_coordinator(bytes);
  REQUIRE_FALSE(message.ok());
  CHECK(message.error().code == ErrorCode::kProtocol);
  return message.error().message;
}

TEST_CASE("what is no single message is refused before it is parsed", "[wire]") {
  CHECK(error_of({}) == "message of 0 bytes is not one message of this protocol");
  CHECK(error_of(Bytes{0}) == "message of 1 bytes is not one message of this protocol");
  Bytes two = field(kKeys, header());
  append(two, field(kKeys, header()));
  CHECK(error_of(two) == "message of " + std::to_string(two.size()) + " bytes is not one message of this protocol");
  Bytes longer_than_said = field(kKeys, header());
  longer_than_said.push_back(0);
  CHECK_FALSE(decode_to_coordinator(longer_than_said).ok());
  const Bytes number = number_field(kKeys, 5);
  CHECK_FALSE(decode_to_coordinator(number).ok());
}

TEST_CASE("an unknown kind of message is refused", "[wire]") {
  CHECK(error_of(field(99, as_bytes("x"))) == "message of a kind that this version does not know");
}

TEST_CASE("a small kind that is large is refused before memory is taken for it", "[wire]") {
  // 4 million empty list items would be 8 MB here and hundreds in memory.
  Bytes body;
  for (int i = 0; i < 9'000'000; ++i) {
    body.push_back(2 << 3 | 2);
    body.push_back(0);
  }
  CHECK(error_of(field(kShares, body)) == "message 7 of 18000000 bytes, at most 16777216");
}

TEST_CASE("a list longer than a roster can be is refused by its name", "[wire]") {
  Bytes body = header();
  const Bytes digest(32, 1);
  for (int i = 0; i < 129; ++i) append(body, field(2, digest));
  CHECK(error_of(field(kShares, body)) == "shares.seed_share_hashes: 129 items, at most 128");
  Bytes unmask = header();
  for (int i = 0; i < 129; ++i) append(unmask, field(2, {}));
  CHECK(error_of(field(kUnmask, unmask)) == "unmask.shares: 129 items, at most 128");
}

TEST_CASE("a missing header and a key of another size are refused by name", "[wire]") {
  CHECK(error_of(field(kKeys, {})) == "keys.header.run: not a name of 1 to 64 of a-z, 0-9 and '-'");
  Bytes body = header();
  append(body, field(2, Bytes(31, 1)));
  CHECK(error_of(field(kKeys, body)) == "keys.mask_key: 31 bytes, must be 32");
}

TEST_CASE("a share of no known kind is refused", "[wire]") {
  for (const std::uint64_t kind : {0, 3, 255}) {
    Bytes share = number_field(1, 0);
    append(share, number_field(2, kind));
    append(share, field(3, Bytes(32, 1)));
    Bytes body = header();
    append(body, field(2, share));
    append(body, field(3, Bytes(64, 1)));
    CHECK(error_of(field(kUnmask, body)) == "unmask.shares[0].kind: " + std::to_string(kind) + ", must be from 1 to 2");
  }
}

TEST_CASE("text that is not UTF-8 or would move a terminal's cursor is refused", "[wire]") {
  Bytes refusal = field(1, as_bytes("r"));
  append(refusal, field(2, as_bytes("a\x1b[2J")));
  CHECK(error_of(field(5, refusal)) == "run_refusal.reason: holds a control character");
  Bytes bad = field(1, as_bytes("r"));
  append(bad, field(2, as_bytes("\xff\xfe")));
  CHECK_FALSE(decode_to_coordinator(field(5, bad)).ok());
}

TEST_CASE("unknown fields inside a message are ignored", "[wire]") {
  FixedRandom source(4);
  const auto samples = samples_to_coordinator(source);
  Bytes bytes = encode(samples[6]);
  REQUIRE(bytes.at(0) == (kKeys << 3 | 2));
  ByteSpan body(bytes);
  Bytes inner(body.begin() + 3, body.end());  // one byte of tag, two of length
  append(inner, field(77, as_bytes("later")));
  const auto message = decode_to_coordinator(field(kKeys, inner));
  REQUIRE(message.ok());
  CHECK(encode(message.value()) == bytes);
}

TEST_CASE("a message cut at any byte, or with any bit flipped, is read or refused", "[wire]") {
  FixedRandom source(5);
  for (const auto& message : samples_to_coordinator(source)) {
    Bytes bytes = encode(message);
    const std::size_t cuts = std::min<std::size_t>(bytes.size(), 600);
    for (std::size_t n = 0; n < cuts; ++n) CHECK_FALSE(decode_to_coordinator(ByteSpan(bytes).first(n)).ok());
    for (std::size_t i = 0; i < cuts; ++i) {
      bytes[i] ^= static_cast<std::uint8_t>(1u << i % 8);
      try_decoding(bytes);
      bytes[i] ^= static_cast<std::uint8_t>(1u << i % 8);
    }
  }
}

TEST_CASE("random bytes are read or refused", "[wire]") {
  FixedRandom source(6);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes(source.below(200));
    source.fill(bytes);
    try_decoding(bytes);
  }
}

TEST_CASE("every input of the regression corpus is read or refused", "[wire]") {
  std::size_t inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SOTTO_SOURCE "/tests/wire/corpus")) {
    const auto bytes = read_binary_file(entry.path().string());
    REQUIRE(bytes.ok());
    try_decoding(*bytes);
    ++inputs;
  }
  CHECK(inputs >= std::variant_size_v<ToCoordinator> + std::variant_size_v<ToSite>);
}

}  // namespace
}  // namespace sotto::wire
