#include "aggregation/server_step.h"

#include <cmath>
#include <limits>

#include "crypto/hash.h"
#include "tests/aggregation/adapters.h"
#include "tests/support/catch.h"

namespace sotto::aggregation {
namespace {

AdapterState start() {
  return refactor(with_random_b(initial_adapter(small_layout(), crypto::sha256(as_bytes("seed"))).value(), 1)).value();
}

std::vector<float> some_update(TrainedPart part = TrainedPart::kB) {
  FixedRandom source(2);
  return random_floats(small_layout().trained_size(part), source);
}

TEST_CASE("the mean update is added to B in the layout's order", "[server_step]") {
  const AdapterState before = start();
  const auto update = some_update();
  const AdapterState after = server_step(before, update, {.fedsvd = false}).value();
  std::size_t next = 0;
  for (std::size_t i = 0; i < before.factors.size(); ++i) {
    CHECK(after.factors[i].a == before.factors[i].a);
    for (std::size_t k = 0; k < before.factors[i].b.size(); ++k, ++next) {
      CHECK(after.factors[i].b[k] == before.factors[i].b[k] + update[next]);
    }
  }
  CHECK(next == update.size());
}

TEST_CASE("with both factors trained, each module takes its A, then its B", "[server_step]") {
  const AdapterState before = start();
  const auto update = some_update(TrainedPart::kAB);
  const AdapterState after =
      server_step(before, update, {.trained = TrainedPart::kAB, .learning_rate = 0.5, .fedsvd = false}).value();
  CHECK(after.factors[0].a[1] == before.factors[0].a[1] + 0.5f * update[1]);
  const std::size_t a_size = before.factors[0].a.size();
  CHECK(after.factors[0].b[0] == before.factors[0].b[0] + 0.5f * update[a_size]);
  CHECK(after.factors[2].b.back() == before.factors[2].b.back() + 0.5f * update.back());
}

TEST_CASE("alternating rounds move B, then A, and nothing is factored anew", "[server_step]") {
  const AdapterState before = start();
  CHECK(step_in_round(TrainedPart::kB, RoundId(3)).fedsvd);
  for (const std::uint32_t round : {0U, 1U}) {
    const auto step = step_in_round(TrainedPart::kAlternating, RoundId(round));
    CHECK(step.trained == (round == 0 ? TrainedPart::kB : TrainedPart::kA));
    CHECK_FALSE(step.fedsvd);
    const auto update = some_update(step.trained);
    const AdapterState after = server_step(before, update, step).value();
    const auto& moved = round == 0 ? after.factors[0].b : after.factors[0].a;
    const auto& from = round == 0 ? before.factors[0].b : before.factors[0].a;
    const auto& kept = round == 0 ? after.factors[0].a : after.factors[0].b;
    CHECK(kept == (round == 0 ? before.factors[0].a : before.factors[0].b));
    CHECK(moved[1] == from[1] + update[1]);
    CHECK(adapters_agree(after, after).ok());
  }
  CHECK_FALSE(server_step(before, some_update(TrainedPart::kA), step_in_round(TrainedPart::kAlternating, RoundId(0))).ok());
}

TEST_CASE("a soft prompt starts from its seed, moves by the mean update, and is compared by its numbers", "[server_step]") {
  AdapterLayout layout;
  layout.prompt = {3, 5, 0.1};
  const auto seed = crypto::sha256(as_bytes("seed"));
  const AdapterState before = initial_adapter(layout, seed).value();
  CHECK(before == initial_adapter(layout, seed).value());
  CHECK(before.prompt != initial_adapter(layout, crypto::sha256(as_bytes("other"))).value().prompt);
  REQUIRE(before.prompt.size() == 15);
  FixedRandom source(4);
  const auto update = random_floats(15, source);
  AdapterState after = server_step(before, update, step_in_round(TrainedPart::kPrompt, RoundId(0))).value();
  for (std::size_t i = 0; i < 15; ++i) CHECK(after.prompt[i] == before.prompt[i] + update[i]);
  CHECK(adapters_agree(after, after).ok());
  auto other = after;
  other.prompt[7] += 0.01f;
  CHECK(adapters_agree(after, other).error().message.find("prompts") != std::string::npos);
  other.prompt.pop_back();
  CHECK_FALSE(adapters_agree(after, other).ok());
}

TEST_CASE("averaging B is averaging the product: mean(B_i) A equals mean(B_i A)", "[server_step]") {
  // B entries are multiples of 2^-10 and there are four sites, so the mean of B is exact in fp32. Sums of the products in
  // double precision then differ by rounding of about 1e-16 a term.
  const AdapterState base = initial_adapter(small_layout(), crypto::sha256(as_bytes("seed"))).value();
  FixedRandom source(3);
  std::vector<float> mean(base.layout.b_size());
  std::vector<std::vector<double>> mean_products;
  for (std::size_t i = 0; i < base.factors.size(); ++i) mean_products.emplace_back(product(base, i).size());
  for (int site = 0; site < 4; ++site) {
    std::vector<float> update(mean.size());
    for (auto& u : update) u = (static_cast<float>(source.below(2001)) - 1000.0f) * 0x1p-10f;
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += update[k] / 4;
    const AdapterState tuned = server_step(base, update, {.fedsvd = false}).value();
    for (std::size_t i = 0; i < base.factors.size(); ++i) {
      const auto p = product(tuned, i);
      for (std::size_t k = 0; k < p.size(); ++k) mean_products[i][k] += p[k] / 4;
    }
  }
  const AdapterState averaged = server_step(base, mean, {.fedsvd = false}).value();
  for (std::size_t i = 0; i < base.factors.size(); ++i) {
    const auto p = product(averaged, i);
    for (std::size_t k = 0; k < p.size(); ++k) CHECK(std::abs(p[k] - mean_products[i][k]) < 1e-14);
  }
}

TEST_CASE("FedSVD after the step keeps the step's product and leaves A orthonormal", "[server_step]") {
  const AdapterState plain = server_step(start(), some_update(), {.fedsvd = false}).value();
  const AdapterState refactored = server_step(start(), some_update(), {}).value();
  CHECK(product_distance(plain, refactored) < 1e-6);
  CHECK(orthonormality_error(refactored) < 1e-6);
  CHECK_FALSE(refactored == plain);
}

TEST_CASE("an update of another size or with entries that are not finite is refused", "[server_step]") {
  auto update = some_update();
  update.pop_back();
  const auto short_one = server_step(start(), update, {});
  REQUIRE_FALSE(short_one.ok());
  CHECK(short_one.error().code == ErrorCode::kInvalid);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto broken = some_update();
    broken[17] = bad;
    CHECK_FALSE(server_step(start(), broken, {}).ok());
  }
  auto huge = some_update();
  huge[0] = std::numeric_limits<float>::max();
  CHECK_FALSE(server_step(start(), huge, {.learning_rate = 10}).ok());
}

TEST_CASE("published bytes that differ in rounding only are accepted", "[adapters_agree]") {
  const AdapterState own = server_step(start(), some_update(), {}).value();
  CHECK(adapters_agree(own, own).ok());
  AdapterState published = own;
  for (LoraFactors& f : published.factors) {
    for (float& v : f.a) v = std::nextafter(v, 2.0f);
    for (float& v : f.b) v = std::nextafter(v, -2.0f);
  }
  CHECK(adapters_agree(own, published).ok());
}

TEST_CASE("other factors of the same product are accepted: A turned within its row space", "[adapters_agree]") {
  const AdapterState own = server_step(start(), some_update(), {}).value();
  AdapterState turned = own;
  const std::size_t in = own.layout.modules[0].in;
  const std::size_t rank = own.layout.modules[0].rank;
  std::swap_ranges(turned.factors[0].a.begin(), turned.factors[0].a.begin() + static_cast<std::ptrdiff_t>(in),
                   turned.factors[0].a.begin() + static_cast<std::ptrdiff_t>(in));
  for (std::size_t row = 0; row < own.layout.modules[0].out; ++row) {
    std::swap(turned.factors[0].b[row * rank], turned.factors[0].b[row * rank + 1]);
  }
  CHECK(adapters_agree(own, turned).ok());
}

std::string complaint(const AdapterState& own, const AdapterState& published) {
  const auto verdict = adapters_agree(own, published);
  REQUIRE_FALSE(verdict.ok());
  CHECK(verdict.error().code == ErrorCode::kProtocol);
  return verdict.error().message;
}

TEST_CASE("an adapter with another product is refused, down to one entry of one module", "[adapters_agree]") {
  const AdapterState own = server_step(start(), some_update(), {}).value();
  for (std::size_t i = 0; i < own.factors.size(); ++i) {
    AdapterState published = own;
    published.factors[i].b[3] += 0.05f;
    CHECK(complaint(own, published).find("products") != std::string::npos);
  }
}

TEST_CASE("the same product by an A that is not orthonormal is refused", "[adapters_agree]") {
  const AdapterState own = server_step(start(), some_update(), {}).value();
  AdapterState published = own;
  for (float& v : published.factors[1].a) v *= 2;
  for (float& v : published.factors[1].b) v /= 2;
  CHECK(complaint(own, published).find("orthonormal") != std::string::npos);
}

TEST_CASE("where the product is zero, another A is still refused", "[adapters_agree]") {
  const AdapterState own = initial_adapter(small_layout(), crypto::sha256(as_bytes("seed"))).value();
  const AdapterState other = initial_adapter(small_layout(), crypto::sha256(as_bytes("chosen by the coordinator"))).value();
  CHECK(complaint(own, other).find("row spaces") != std::string::npos);
}

TEST_CASE("another layout, wrong sizes and numbers that are not finite are refused", "[adapters_agree]") {
  const AdapterState own = start();
  AdapterState layout = own;
  layout.layout.modules[0].path = "model.layers.0.self_attn.k_proj";
  CHECK(complaint(own, layout).find("layout") != std::string::npos);
  AdapterState size = own;
  size.factors[1].b.pop_back();
  CHECK(complaint(own, size).find("wrong size") != std::string::npos);
  AdapterState missing = own;
  missing.factors.pop_back();
  CHECK(complaint(own, missing).find("layout") != std::string::npos);
  AdapterState nan = own;
  nan.factors[2].a[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(complaint(own, nan).find("not finite") != std::string::npos);
}

}  // namespace
}  // namespace sotto::aggregation
