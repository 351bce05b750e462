#include "crypto/hash.h"
#include "crypto/openssl.h"
#include "crypto/stream_random.h"
#include "crypto/system_random.h"
#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

TEST_CASE("AES-256-CTR gives the values of NIST SP 800-38A, F.5.5", "[stream_random]") {
  const Bytes key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
  CounterBlock counter{};
  const Bytes first = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
  std::copy(first.begin(), first.end(), counter.begin());
  const Bytes plaintext =
      hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
          "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
  Bytes out(plaintext.size());
  int written = 0;
  const auto cipher = aes_256_ctr(std::span<const std::uint8_t, 32>(key.data(), 32), counter);
  REQUIRE(EVP_EncryptUpdate(cipher.get(), out.data(), &written, plaintext.data(), as_int(plaintext.size())) == 1);
  CHECK(to_hex(out) ==
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6");
}

TEST_CASE("a stream starts with its key's encryption of the zero block, by NIST's vectors", "[stream_random]") {
  const Json all = vectors("aes_256_zero_block.json");
  for (const Json& v : all.items()) {
    StreamRandom stream(StreamKey::from(hex_at(v, "key")));
    Bytes block(16);
    stream.fill(block);
    CHECK(block == hex_at(v, "ciphertext"));
  }
}

TEST_CASE("a stream is its key's keystream, however it is asked for", "[stream_random]") {
  const Json v = vectors("derived.json");
  Bytes whole(50000);
  StreamRandom(StreamKey::from(hex_at(v, "stream_key"))).fill(whole);
  CHECK(equal(ByteSpan(whole).first(32), hex_at(v, "stream_first")));
  CHECK(sha256(whole) == digest_at(v, "stream_50000_sha256"));

  FixedRandom sizes(12);
  StreamRandom stream(StreamKey::from(hex_at(v, "stream_key")));
  Bytes pieces(whole.size());
  for (std::size_t done = 0; done < pieces.size();) {
    const std::size_t wanted =
        sizes.below(4) == 0 ? sizes.below(20000) : sizes.below(40);  // around the buffer, and far below it
    const std::size_t n = std::min(wanted, pieces.size() - done);
    stream.fill(std::span(pieces).subspan(done, n));
    done += n;
  }
  CHECK(pieces == whole);
}

TEST_CASE("a stream goes on where it was when it is moved", "[stream_random]") {
  const Bytes key(32, 3);
  StreamRandom a(StreamKey::from(key));
  StreamRandom b(StreamKey::from(key));
  (void)a.bits64();
  (void)b.bits64();
  StreamRandom c(std::move(a));
  CHECK(c.bits64() == b.bits64());
  CHECK_THROWS_AS(a.bits64(), Failure);
}

TEST_CASE("the system's random bytes are not constant and fill any length", "[system_random]") {
  SystemRandom source;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{32}, std::size_t{100'000}}) {
    Bytes a(size);
    Bytes b(size);
    source.fill(a);
    source.fill(b);
    if (size >= 32) CHECK(a != b);  // false alarm: 2^-256
  }
}

TEST_CASE("each bit of the system's random bytes is set about half the time", "[system_random]") {
  // 20,000 bytes: per bit position a binomial(20,000, 1/2), stddev 70.7; six of them: false alarm below 8 * 2e-9.
  SystemRandom source;
  Bytes bytes(20'000);
  source.fill(bytes);
  for (int bit = 0; bit < 8; ++bit) {
    const auto ones = std::count_if(bytes.begin(), bytes.end(), [bit](std::uint8_t b) { return (b >> bit & 1) == 1; });
    CHECK(std::abs(static_cast<double>(ones) - 10'000.0) < 6 * 70.72);
  }
}

}  // namespace
}  // namespace sotto::crypto
