#include "privacy/mechanism/grid.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>

#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

double uniform(RandomSource& random) { return std::ldexp(static_cast<double>(random.bits64() >> 11), -53); }

std::vector<float> random_vector(std::size_t d, double scale, RandomSource& random) {
  std::vector<float> v(d);
  for (float& x : v) x = static_cast<float>(scale * (2 * uniform(random) - 1));
  return v;
}

std::uint64_t squared(const std::vector<std::int32_t>& v) {
  std::uint64_t total = 0;
  for (const std::int64_t x : v) total += static_cast<std::uint64_t>(x * x);
  return total;
}

SampledUnits all_units(std::size_t count) {
  FixedRandom random(0);
  return SampledUnits::draw(Unit::kPatient, std::vector<std::uint32_t>(count, 1), SamplingRate(1), 1, random);
}

std::vector<std::int64_t> sum_of(const std::vector<std::vector<float>>& gradients, const Grid& grid) {
  GridAccumulator sum(all_units(gradients.size()), grid);
  for (std::size_t i = 0; i < gradients.size(); ++i) sum.add(i, gradients[i]);
  return std::move(sum).finish().reveal_without_noise();
}

}  // namespace

TEST_CASE("the grid's bound exceeds the clip norm by at most the allowed excess, and the step is a power of two",
          "[privacy]") {
  for (const double clip : {1e-12, 0.3, 1.0, 7.7, 1e12}) {
    for (const std::size_t d : {1U, 2U, 115200U, 30000000U}) {
      for (const double excess : {1e-3, 1e-2}) {
        const Grid grid{ClipNorm(clip), d, excess};
        const double bound = static_cast<double>(grid.sensitivity()) * grid.step();
        CHECK(bound <= clip * (1 + excess));
        CHECK(static_cast<double>(grid.sensitivity()) >= clip / grid.step() + std::sqrt(static_cast<double>(d)) / 2);
        int exponent = 0;
        CHECK(std::frexp(grid.step(), &exponent) == 0.5);
        // The largest such step: one of twice the length breaks the bound.
        const double coarse = 2 * grid.step();
        CHECK(std::ceil(clip / coarse + std::sqrt(static_cast<double>(d)) / 2) * coarse > clip * (1 + excess));
      }
    }
  }
}

TEST_CASE("no gradient whatever gives an integer vector longer than the bound", "[privacy]") {
  FixedRandom random(5);
  for (const std::size_t d : {1U, 3U, 64U, 1000U}) {
    const Grid grid{ClipNorm(0.3), d};
    const std::uint64_t limit = grid.sensitivity() * grid.sensitivity();
    for (int i = 0; i < 300; ++i) {
      const double scale = std::pow(10.0, -8 + 20 * uniform(random));
      CHECK(squared(clip_and_round(random_vector(d, scale, random), grid)) <= limit);
    }
    // Every coordinate on a tie, rounded up, with a norm of C: the worst case of the proof.
    const double even = std::floor(0.3 / grid.step() / std::sqrt(static_cast<double>(d)) / 2) * 2;
    const std::vector<float> ties(d, static_cast<float>((even - 0.5) * grid.step()));
    CHECK(squared(clip_and_round(ties, grid)) <= limit);
    for (const float extreme : {std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min()}) {
      CHECK(squared(clip_and_round(std::vector<float>(d, extreme), grid)) <= limit);
    }
  }
}

TEST_CASE("a gradient inside the clip norm is only rounded, one outside is scaled to it", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 2};
  const double step = grid.step();
  const std::vector<float> inside = {0.6F, -0.5F};
  const auto rounded = clip_and_round(inside, grid);
  for (std::size_t i = 0; i < 2; ++i) CHECK(std::abs(rounded[i] * step - static_cast<double>(inside[i])) <= step / 2);
  const auto clipped = clip_and_round(std::vector<float>{300, 400}, grid);
  CHECK(std::abs(clipped[0] * step - 0.6) <= step / 2);
  CHECK(std::abs(clipped[1] * step - 0.8) <= step / 2);
}

TEST_CASE("a gradient with an entry that is not finite counts as zero and stops nothing", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 3};
  const std::vector<float> good = {0.1F, 0.2F, 0.3F};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    CHECK(clip_and_round(std::vector<float>{0.1F, bad, 0.3F}, grid) == std::vector<std::int32_t>(3, 0));
    CHECK(sum_of({good, {bad, bad, bad}}, grid) == sum_of({good}, grid));
  }
}

TEST_CASE("sums of neighbouring batches differ by the one unit's own integer vector, whoever shares the batch",
          "[privacy]") {
  FixedRandom random(6);
  const std::size_t d = 257;
  const Grid grid{ClipNorm(0.3), d};
  std::vector<std::vector<float>> batch;
  for (int i = 0; i < 12; ++i) batch.push_back(random_vector(d, std::pow(10.0, -3 + i % 5), random));
  const auto with = sum_of(batch, grid);
  for (std::size_t left_out = 0; left_out < batch.size(); ++left_out) {
    auto neighbour = batch;
    neighbour.erase(neighbour.begin() + static_cast<std::ptrdiff_t>(left_out));
    const auto without = sum_of(neighbour, grid);
    const auto own = clip_and_round(batch[left_out], grid);
    bool equal = true;
    for (std::size_t i = 0; i < d; ++i) equal = equal && with[i] - without[i] == own[i];
    CHECK(equal);
  }
}

TEST_CASE("the order in which units arrive does not change the sum", "[privacy]") {
  FixedRandom random(7);
  const Grid grid{ClipNorm(0.3), 64};
  std::vector<std::vector<float>> batch;
  for (int i = 0; i < 9; ++i) batch.push_back(random_vector(64, 1, random));
  const auto forward = sum_of(batch, grid);
  GridAccumulator backward(all_units(9), grid);
  for (std::size_t i = 9; i-- > 0;) backward.add(i, batch[i]);
  CHECK(std::move(backward).finish().reveal_without_noise() == forward);
}

TEST_CASE("every drawn unit is added exactly once", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 2};
  const std::vector<float> g = {1, 2};
  GridAccumulator sum(all_units(2), grid);
  sum.add(1, g);
  CHECK_THROWS_AS(sum.add(1, g), Failure);
  CHECK_THROWS_AS(sum.add(2, g), Failure);
  CHECK_THROWS_AS(sum.add(0, std::vector<float>(3, 1.0F)), Failure);
  GridAccumulator short_of_one(all_units(2), grid);
  short_of_one.add(0, g);
  CHECK_THROWS_AS(std::move(short_of_one).finish(), Failure);
}

TEST_CASE("an empty batch sums to zeros", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 4};
  CHECK(sum_of({}, grid) == std::vector<std::int64_t>(4, 0));
}

TEST_CASE("a clipped sum cannot be made by hand or copied", "[privacy]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<ClippedSum>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<ClippedSum, Grid, SamplingEvent, std::vector<std::int64_t>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<ClippedSum, UnclippedSum>);
}

namespace {

// A gradient cut into pieces of `sizes`; norms are multiplied by `error`.
GradientPieces in_pieces(const std::vector<float>& v, const std::vector<std::size_t>& sizes, double error = 1) {
  GradientPieces pieces{sizes, {}, {}};
  pieces.visit = [&v, sizes](const auto& take) {
    std::size_t at = 0;
    for (std::size_t p = 0; p < sizes.size(); at += sizes[p++]) take(p, std::span(v).subspan(at, sizes[p]));
  };
  pieces.visit(
      [&](std::size_t, std::span<const float> values) { pieces.squared_norms.push_back(error * squared_norm(values)); });
  return pieces;
}

std::vector<std::int64_t> sum_of_pieces(const std::vector<GradientPieces>& units, const Grid& grid,
                                        const Clipping& clipping) {
  GridAccumulator sum(all_units(units.size()), grid, clipping);
  for (std::size_t i = 0; i < units.size(); ++i) sum.add_pieces(i, units[i]);
  return std::move(sum).finish().reveal_without_noise();
}

}  // namespace

TEST_CASE("a gradient in pieces gives the integers of the whole one, under every kind of clipping", "[privacy]") {
  FixedRandom random(11);
  const std::vector<std::size_t> sizes = {3, 40, 1, 56};
  const auto v = random_vector(100, 1, random), w = random_vector(100, 0.001, random);
  for (const auto kind : {ClippingKind::kFlat, ClippingKind::kAutomatic, ClippingKind::kPerLayer, ClippingKind::kAdaptive})
    for (const bool counts : {false, true}) {
      const Grid grid{ClipNorm(0.4), std::size_t{100} + counts};
      const Clipping clipping{kind, kind == ClippingKind::kAdaptive ? 0.1 : 0.4, {43, 57}, counts};
      GridAccumulator whole(all_units(2), grid, clipping);
      whole.add(0, v);
      whole.add(1, w);
      const auto wanted = std::move(whole).finish();
      const auto found = sum_of_pieces({in_pieces(v, sizes), in_pieces(w, sizes)}, grid, clipping);
      // Norms added up piece by piece may differ in the last bit, and with them an entry on the edge of a rounding.
      std::int64_t largest = 0;
      for (std::size_t i = 0; i < found.size(); ++i)
        largest = std::max(largest, std::abs(found[i] - wanted.reveal_without_noise()[i]));
      CHECK(largest <= 1);
    }
}

TEST_CASE("a unit in pieces whose stated norms are too small is taken out again, integer for integer", "[privacy]") {
  FixedRandom random(12);
  const std::vector<std::size_t> sizes = {30, 30, 40};
  const auto honest = random_vector(100, 1, random), other = random_vector(100, 1, random);
  const Grid grid{ClipNorm(0.4), 100};
  const auto clipping = flat_clipping(grid.clip());
  const auto alone = sum_of_pieces({in_pieces(honest, sizes)}, grid, clipping);
  for (const double error : {0.9, 1e-3, 1e-30, 0.0})
    CHECK(sum_of_pieces({in_pieces(honest, sizes), in_pieces(other, sizes, error)}, grid, clipping) == alone);
  CHECK(sum_of_pieces({in_pieces(honest, sizes), in_pieces(other, sizes, 0.9999)}, grid, clipping) != alone);
}

TEST_CASE("a unit in pieces with an entry that is not finite counts as zero", "[privacy]") {
  FixedRandom random(13);
  const std::vector<std::size_t> sizes = {50, 50};
  const Grid grid{ClipNorm(0.4), 100};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto v = random_vector(100, 1, random);
    v[77] = bad;
    auto pieces = in_pieces(v, sizes);
    CHECK(sum_of_pieces({pieces}, grid, flat_clipping(grid.clip())) == std::vector<std::int64_t>(100, 0));
    pieces.squared_norms = {1, 1};  // a model that does not notice
    CHECK(sum_of_pieces({pieces}, grid, flat_clipping(grid.clip())) == std::vector<std::int64_t>(100, 0));
  }
}
