#include "base/bytes.h"

#include <cmath>
#include <limits>

#include "base/adapter.h"
#include "base/random.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;

TEST_CASE("a soft prompt survives its encoding, every prefix is refused", "[base]") {
  AdapterState state;
  state.layout.prompt = {2, 3, 0.5};
  state.prompt = {1, 2, 3, 4, 5, 6};
  const Bytes bytes = encode(state);
  CHECK(decode_adapter(bytes).value() == state);
  for (std::size_t n = 0; n < bytes.size(); ++n) CHECK_FALSE(decode_adapter(ByteSpan(bytes).first(n)).ok());
  CHECK(decode_layout(encode(state.layout)).value() == state.layout);
  state.prompt.pop_back();
  CHECK_FALSE(decode_adapter(encode(state)).ok());
  CHECK_FALSE(decode_layout(encode(AdapterLayout())).ok());
}

TEST_CASE("what a ByteWriter writes a ByteReader reads back in the same order", "[base]") {
  ByteWriter out;
  out.u8(7).u16(0x1234).u32(0xdeadbeef).u64(1ULL << 63).f64(-0.5).text("naïve").floats(std::vector<float>{1.5f, -2.0f});
  ByteReader in(out.view());
  CHECK(in.u8() == 7);
  CHECK(in.u16() == 0x1234);
  CHECK(in.u32() == 0xdeadbeef);
  CHECK(in.u64() == 1ULL << 63);
  CHECK(in.f64() == -0.5);
  CHECK(in.text() == "naïve");
  CHECK(in.floats() == std::vector<float>{1.5f, -2.0f});
  CHECK(in.finish("test").ok());
}

TEST_CASE("integers are little-endian on the wire", "[base]") {
  CHECK(to_hex(ByteWriter().u32(0x01020304).take()) == "04030201");
}

TEST_CASE("every prefix of an encoding is refused and never read past", "[base]") {
  ByteWriter out;
  out.text("abc").u64(5).bytes(Bytes{1, 2, 3});
  for (std::size_t cut = 0; cut < out.view().size(); ++cut) {
    ByteReader in(ByteSpan(out.view()).first(cut));
    in.text();
    in.u64();
    in.bytes();
    CHECK_FALSE(in.finish("test").ok());
  }
}

TEST_CASE("a length that cannot fit takes no memory and fails", "[base]") {
  const Bytes hostile{0xff, 0xff, 0xff, 0xff, 1};
  ByteReader counted(hostile);
  CHECK(counted.count(8) == 0);
  CHECK_FALSE(counted.ok());
}

TEST_CASE("left-over bytes are refused by name", "[base]") {
  const Bytes two{1, 2};
  ByteReader in(two);
  in.u8();
  const auto done = in.finish("thing");
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().message == "thing has 1 bytes too many");
}

TEST_CASE("hexadecimal text is refused with the position of the first bad digit", "[base]") {
  CHECK(to_hex(*from_hex("00fFa1")) == "00ffa1");
  CHECK_FALSE(from_hex("abc").ok());
  CHECK(from_hex("00zz").error().message.find("position 2") != std::string::npos);
  CHECK_FALSE(digest_from_hex("00").ok());
}

TEST_CASE("an adapter survives its encoding and a non-finite or misfit one is refused", "[base]") {
  AdapterState state{{{{"model.layers.0.self_attn.q_proj", 3, 2, 1, 2.0}}}, {{{1, 2, 3}, {4, 5}}}};
  CHECK(*decode_adapter(encode(state)) == state);
  CHECK(state.layout.trained_size(TrainedPart::kB) == 2);
  CHECK(state.layout.trained_size(TrainedPart::kAB) == 5);
  AdapterState infinite = state;
  infinite.factors[0].b[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(decode_adapter(encode(infinite)).ok());
  AdapterState misfit = state;
  misfit.factors[0].a.pop_back();
  CHECK_FALSE(decode_adapter(encode(misfit)).ok());
  const Bytes whole = encode(state);
  for (std::size_t cut = 0; cut < whole.size(); ++cut) CHECK_FALSE(decode_adapter(ByteSpan(whole).first(cut)).ok());
}

TEST_CASE("below() is uniform over a bound that does not divide 2^64", "[base]") {
  // Chi-square with 2 degrees of freedom over 30,000 draws; above 27.6 has probability 1e-6.
  FixedRandom random(1);
  std::array<double, 3> seen{};
  for (int i = 0; i < 30000; ++i) seen[random.below(3)] += 1;
  double chi = 0;
  for (const double n : seen) chi += (n - 10000) * (n - 10000) / 10000;
  CHECK(chi < 27.6);
}
