#include "aggregation/fedsvd.h"

#include <cmath>

#include "base/json.h"
#include "crypto/hash.h"
#include "tests/aggregation/adapters.h"
#include "tests/support/catch.h"

namespace sotto::aggregation {
namespace {

std::vector<float> floats_at(const Json& object, const char* name) {
  std::vector<float> out;
  for (const Json& v : object.at(name).items()) out.push_back(static_cast<float>(v.as_double()));
  return out;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(double{a[k]} - double{b[k]}));
  return largest;
}

// || B A - B' A' || / || B A || the slow way, for the largest module.
double slow_product_distance(const AdapterState& x, const AdapterState& y) {
  double worst = 0;
  for (std::size_t i = 0; i < x.factors.size(); ++i) {
    const auto p = product(x, i);
    const auto q = product(y, i);
    double difference = 0;
    double norm = 0;
    for (std::size_t k = 0; k < p.size(); ++k) {
      difference += (p[k] - q[k]) * (p[k] - q[k]);
      norm += p[k] * p[k];
    }
    worst = std::max(worst, std::sqrt(difference / norm));
  }
  return worst;
}

const Digest kSeed = crypto::sha256(as_bytes("seed"));

TEST_CASE("new factors are those of NumPy's SVD of the product", "[fedsvd]") {
  const Json all = Json::read_file(std::string(SOTTO_VECTORS) + "/aggregation/fedsvd.json").value();
  for (const Json& v : all.items()) {
    const auto size = [&](const char* name) { return static_cast<std::uint32_t>(v.at(name).as_int()); };
    const AdapterLayout layout{{{"m", size("in"), size("out"), size("rank"), 1.0}}};
    const auto next = refactor({layout, {{floats_at(v, "a"), floats_at(v, "b")}}}).value();
    CHECK(largest_difference(next.factors[0].a, floats_at(v, "new_a")) < 1e-6);
    CHECK(largest_difference(next.factors[0].b, floats_at(v, "new_b")) < 5e-6);  // entries up to about 15
  }
}

TEST_CASE("refactoring keeps every product and makes the rows of A orthonormal", "[fedsvd]") {
  const AdapterState state = random_adapter(small_layout(), 1);
  const AdapterState next = refactor(state).value();
  CHECK(next.layout == state.layout);
  CHECK(slow_product_distance(state, next) < 1e-6);
  CHECK(orthonormality_error(next) < 1e-6);
  CHECK(row_space_distance(state, next) < 1e-6);
}

TEST_CASE("each row of A has its entry of largest magnitude positive", "[fedsvd]") {
  for (const auto& state :
       {refactor(random_adapter(small_layout(), 2)).value(), initial_adapter(small_layout(), kSeed).value()}) {
    for (std::size_t i = 0; i < state.factors.size(); ++i) {
      const std::size_t in = state.layout.modules[i].in;
      for (std::size_t row = 0; row < state.layout.modules[i].rank; ++row) {
        const auto begin = state.factors[i].a.begin() + static_cast<std::ptrdiff_t>(row * in);
        CHECK(*std::max_element(begin, begin + static_cast<std::ptrdiff_t>(in),
                                [](float x, float y) { return std::abs(x) < std::abs(y); }) > 0);
      }
    }
  }
}

TEST_CASE("the same factors up to signs are refactored into the same ones", "[fedsvd]") {
  AdapterState state = random_adapter(small_layout(), 3);
  const AdapterState next = refactor(state).value();
  for (std::size_t i = 0; i < state.factors.size(); ++i) {
    const std::size_t rank = state.layout.modules[i].rank;
    for (float& v : state.factors[i].a) v = -v;  // both factors negated: the same product
    for (float& v : state.factors[i].b) v = -v;
    CHECK(rank > 1);
  }
  const AdapterState again = refactor(state).value();
  for (std::size_t i = 0; i < next.factors.size(); ++i) {
    CHECK(largest_difference(next.factors[i].a, again.factors[i].a) < 1e-6);
    CHECK(largest_difference(next.factors[i].b, again.factors[i].b) < 1e-5);
  }
  CHECK(refactor(random_adapter(small_layout(), 3)).value() == next);  // and the same bytes for the same input
}

TEST_CASE("a module whose product is zero stays as it is", "[fedsvd]") {
  const AdapterState state = initial_adapter(small_layout(), kSeed).value();
  CHECK(refactor(state).value() == state);
}

TEST_CASE("a module whose product has lower rank stays, and the others are refactored", "[fedsvd]") {
  AdapterState state = with_random_b(initial_adapter(small_layout(), kSeed).value(), 4);
  const std::size_t rank = state.layout.modules[1].rank;
  auto& b = state.factors[1].b;  // its last column becomes twice its first
  for (std::size_t row = 0; row < b.size() / rank; ++row) b[row * rank + rank - 1] = 2 * b[row * rank];
  const AdapterState next = refactor(state).value();
  CHECK(next.factors[1] == state.factors[1]);
  CHECK_FALSE(next.factors[0] == state.factors[0]);
  CHECK(slow_product_distance(state, next) < 1e-6);
  CHECK(orthonormality_error(next) < 1e-6);
}

TEST_CASE("a module that is less high than its rank stays", "[fedsvd]") {
  const AdapterLayout layout{{{"m", 10, 2, 4, 1.0}}};
  const AdapterState state = with_random_b(initial_adapter(layout, kSeed).value(), 5);
  CHECK(refactor(state).value() == state);
}

TEST_CASE("a rank above the input width is refused and the module named", "[fedsvd]") {
  const AdapterLayout layout{{{"model.layers.7.mlp.up_proj", 3, 20, 4, 1.0}}};
  const auto initial = initial_adapter(layout, kSeed);
  REQUIRE_FALSE(initial.ok());
  CHECK(initial.error().message.find("model.layers.7.mlp.up_proj") != std::string::npos);
  CHECK_FALSE(refactor(random_adapter(layout, 6)).ok());
}

TEST_CASE("the first adapter has orthonormal A, zero B, and depends on the seed alone", "[fedsvd]") {
  const AdapterState state = initial_adapter(small_layout(), kSeed).value();
  CHECK(orthonormality_error(state) < 1e-6);
  for (const LoraFactors& f : state.factors) CHECK(f.b == std::vector<float>(f.b.size(), 0.0f));
  CHECK(initial_adapter(small_layout(), kSeed).value() == state);
  const AdapterState other = initial_adapter(small_layout(), crypto::sha256(as_bytes("another seed"))).value();
  CHECK(row_space_distance(state, other) > 0.1);
  AdapterLayout twins = small_layout();
  twins.modules[1] = twins.modules[0];
  const AdapterState pair = initial_adapter(twins, kSeed).value();
  CHECK_FALSE(pair.factors[0].a == pair.factors[1].a);
}

TEST_CASE("A spreads evenly over the input's coordinates", "[fedsvd]") {
  // 64 orthonormal rows of 512: the squared length of a coordinate's column is beta(32, 224) distributed, mean 1/8, stddev
  // 0.0206. The farthest of 512 from the mean is beyond 6 stddev with probability below 1e-5, and the seed is fixed.
  const AdapterLayout layout{{{"m", 512, 1, 64, 1.0}}};
  const AdapterState state = initial_adapter(layout, kSeed).value();
  for (std::size_t column = 0; column < 512; ++column) {
    double squared = 0;
    for (std::size_t row = 0; row < 64; ++row) squared += std::pow(double{state.factors[0].a[row * 512 + column]}, 2);
    CHECK(std::abs(squared - 0.125) < 6 * 0.0206);
  }
}

TEST_CASE("the distance of products is the slow one, and its zeros are told apart", "[fedsvd]") {
  const AdapterState state = random_adapter(small_layout(), 7);
  const AdapterState other = random_adapter(small_layout(), 8);
  CHECK(product_distance(state, other) == Approx(slow_product_distance(state, other)).epsilon(1e-9));
  CHECK(product_distance(state, state) < 1e-12);
  const AdapterState zero = initial_adapter(small_layout(), kSeed).value();
  CHECK(product_distance(zero, zero) == 0);
  CHECK(std::isinf(product_distance(zero, state)));
  CHECK(product_distance(state, zero) == Approx(1.0));
}

}  // namespace
}  // namespace sotto::aggregation
