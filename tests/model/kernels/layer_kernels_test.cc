#include "model/kernels/layer_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "tests/support/catch.h"

namespace sotto::model {
namespace {

std::vector<float> waves(std::int64_t count, double step, double width = 1) {
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < count; ++i)
    numbers.push_back(static_cast<float>(width * std::sin(step * static_cast<double>(i + 1) + 0.3)));
  return numbers;
}

float from_bf16(std::uint16_t upper_half) { return std::bit_cast<float>(std::uint32_t{upper_half} << 16); }

// To nearest, ties to even.
std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

double largest_difference(const std::vector<float>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::isnan(a[i]) ? INFINITY : std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
  return most;
}

auto at(auto& numbers, std::int64_t i) -> decltype(auto) { return numbers[static_cast<std::size_t>(i)]; }
std::vector<float> room(std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), NAN); }

struct Size {
  std::int64_t rows, in, rank;
};
const std::vector<Size> kSizes = {{1, 1, 1}, {3, 15, 2}, {4, 16, 8}, {5, 33, 3}, {7, 64, 9}, {10, 100, 17}, {32, 49, 8}};

TEST_CASE("LoRA's products are those of plain loops at every size", "[model]") {
  if (!has_layer_kernels(false)) return;
  for (const auto& [rows, in, rank] : kSizes) {
    const auto x = waves(rows * in, 0.7), m = waves(rank * in, 1.3), h = waves(rows * rank, 2.1);
    std::vector<double> down(static_cast<std::size_t>(rows * rank)), up(static_cast<std::size_t>(rows * in)),
        outer(static_cast<std::size_t>(rank * in)), turned(outer.size());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t k = 0; k < rank; ++k)
        for (std::int64_t i = 0; i < in; ++i) {
          at(down, r * rank + k) += 0.5 * at(x, r * in + i) * at(m, k * in + i);
          at(up, r * in + i) += 0.5 * at(h, r * rank + k) * at(m, k * in + i) + (k == 0 ? at(x, r * in + i) : 0);
          at(outer, k * in + i) += 0.5 * at(h, r * rank + k) * at(x, r * in + i);
          at(turned, i * rank + k) = at(outer, k * in + i);
        }
    auto out = room(rows * rank);
    const DownProduct d{x.data(), m.data(), out.data(), nullptr, rows, in, rank, 0.5F};
    down_product(d, 0, rows / 2);  // as two threads would
    down_product(d, rows / 2, rows);
    CHECK(largest_difference(out, down) < 1e-5);

    out = room(rows * in);
    const UpProduct u{x.data(), false, h.data(), m.data(), out.data(), rows, in, rank, 0.5F};
    up_product(u, 0, rows / 2);
    up_product(u, rows / 2, rows);
    CHECK(largest_difference(out, up) < 1e-5);
    auto in_place = x;
    up_product({in_place.data(), false, h.data(), m.data(), in_place.data(), rows, in, rank, 0.5F}, 0, rows);
    CHECK(in_place == out);

    out = room(rank * in);
    outer_sum({h.data(), x.data(), out.data(), false, rows, in, rank, 0.5F}, 0, in);
    CHECK(largest_difference(out, outer) < 1e-5);
    out = room(rank * in);
    outer_sum({h.data(), x.data(), out.data(), true, rows, in, rank, 0.5F}, 0, in);
    CHECK(largest_difference(out, turned) < 1e-5);
  }
}

TEST_CASE("numbers are rounded to bf16 on the way, and read from it", "[model]") {
  if (!has_layer_kernels(true)) return;
  for (const auto& [rows, in, rank] : kSizes) {
    const auto x = waves(rows * in, 0.7), m = waves(rank * in, 1.3), h = waves(rows * rank, 2.1);
    std::vector<std::uint16_t> rounded(x.size()), expected;
    std::ranges::transform(x, std::back_inserter(expected), to_bf16);
    auto out = room(rows * rank);
    down_product({x.data(), m.data(), out.data(), rounded.data(), rows, in, rank, 1}, 0, rows);
    CHECK(rounded == expected);

    std::vector<float> base, from_rounded = room(rows * in), from_base = from_rounded;
    std::ranges::transform(rounded, std::back_inserter(base), from_bf16);
    up_product({rounded.data(), true, h.data(), m.data(), from_rounded.data(), rows, in, rank, 0.5F}, 0, rows);
    up_product({base.data(), false, h.data(), m.data(), from_base.data(), rows, in, rank, 0.5F}, 0, rows);
    CHECK(from_rounded == from_base);
  }
}

TEST_CASE("a row has the same bits whatever rows the kernels work on beside it", "[model]") {
  if (!has_layer_kernels(false)) return;
  constexpr std::int64_t kRows = 11, kIn = 67, kRank = 5;
  const auto x = waves(kRows * kIn, 0.7), m = waves(kRank * kIn, 1.3), h = waves(kRows * kRank, 2.1);
  auto down = room(kRows * kRank), up = room(kRows * kIn), norm = up, scale = room(kRows);
  down_product({x.data(), m.data(), down.data(), nullptr, kRows, kIn, kRank, 0.5F}, 0, kRows);
  up_product({x.data(), false, h.data(), m.data(), up.data(), kRows, kIn, kRank, 0.5F}, 0, kRows);
  rms_norm_rows({x.data(), m.data(), kIn}, 1e-5, norm.data(), scale.data(), 0, kRows);
  for (std::int64_t r = 0; r < kRows; ++r) {
    auto alone = room(kIn), one = room(1);
    down_product({x.data() + r * kIn, m.data(), alone.data(), nullptr, 1, kIn, kRank, 0.5F}, 0, 1);
    CHECK(std::equal(alone.begin(), alone.begin() + kRank, down.begin() + r * kRank));
    up_product({x.data() + r * kIn, false, h.data() + r * kRank, m.data(), alone.data(), 1, kIn, kRank, 0.5F}, 0, 1);
    CHECK(std::equal(alone.begin(), alone.end(), up.begin() + r * kIn));
    rms_norm_rows({x.data() + r * kIn, m.data(), kIn}, 1e-5, alone.data(), one.data(), 0, 1);
    CHECK(std::equal(alone.begin(), alone.end(), norm.begin() + r * kIn));
  }
}

TEST_CASE("norms and activations are those of plain loops, and so are their gradients", "[model]") {
  if (!has_layer_kernels(false)) return;
  for (const auto& [rows, columns, unused] : kSizes) {
    const auto x = waves(rows * columns, 0.7, 3), weight = waves(columns, 0.9), g = waves(rows * columns, 1.9);
    std::vector<double> normed(x.size()), gradient(x.size()), silu(x.size()), g_gate(x.size()), g_up(x.size());
    for (std::int64_t r = 0; r < rows; ++r) {
      double squares = 0, pull = 0;
      for (std::int64_t i = 0; i < columns; ++i) squares += std::pow(at(x, r * columns + i), 2);
      const double s = 1 / std::sqrt(squares / static_cast<double>(columns) + 1e-5);
      for (std::int64_t i = 0; i < columns; ++i)
        pull += double{at(g, r * columns + i)} * at(weight, i) * at(x, r * columns + i);
      for (std::int64_t i = 0; i < columns; ++i) {
        const std::int64_t n = r * columns + i;
        const double sigmoid = 1 / (1 + std::exp(-double{at(x, n)}));
        at(normed, n) = at(x, n) * s * at(weight, i);
        at(gradient, n) = s * at(weight, i) * at(g, n) - at(x, n) * s * s * s * pull / static_cast<double>(columns);
        at(silu, n) = at(x, n) * sigmoid * at(g, n);
        at(g_gate, n) = at(weight, i) * at(g, n) * sigmoid * (1 + at(x, n) * (1 - sigmoid));
        at(g_up, n) = at(weight, i) * at(x, n) * sigmoid;
      }
    }
    auto out = room(rows * columns), other = out, scale = room(rows);
    rms_norm_rows({x.data(), weight.data(), columns}, 1e-5, out.data(), scale.data(), 0, rows);
    CHECK(largest_difference(out, normed) < 1e-5);
    rms_norm_gradient({x.data(), weight.data(), columns}, scale.data(), g.data(), out.data(), 0, rows);
    CHECK(largest_difference(out, gradient) < 1e-5);
    swiglu_numbers(x.data(), g.data(), out.data(), 0, rows * columns);
    CHECK(largest_difference(out, silu) < 1e-6);
    std::vector<float> of_g;
    for (std::int64_t n = 0; n < rows * columns; ++n) of_g.push_back(at(weight, n % columns));
    swiglu_gradient({x.data(), g.data(), of_g.data(), out.data(), other.data()}, 0, rows * columns);
    CHECK(largest_difference(out, g_gate) < 1e-6);
    CHECK(largest_difference(other, g_up) < 1e-6);
  }
}

TEST_CASE("a causal softmax sees what lies before it, in its window, and nothing else", "[model]") {
  if (!has_layer_kernels(false)) return;
  for (const std::int64_t length : {1, 5, 16, 17, 40})
    for (const std::int64_t window : {0, 1, 7}) {
      constexpr std::int64_t kHeads = 2;
      const std::int64_t rows = kHeads * length;
      const auto scores = waves(rows * length, 0.7, 30), g = waves(rows * length, 1.1);
      std::vector<double> p(scores.size()), gradient(scores.size());
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t own = r % length, first = window == 0 ? 0 : std::max<std::int64_t>(0, own + 1 - window);
        double sum = 0, products = 0;
        for (std::int64_t s = first; s <= own; ++s) sum += std::exp(0.5 * at(scores, r * length + s));
        for (std::int64_t s = first; s <= own; ++s) {
          at(p, r * length + s) = std::exp(0.5 * at(scores, r * length + s)) / sum;
          products += at(p, r * length + s) * at(g, r * length + s);
        }
        for (std::int64_t s = first; s <= own; ++s)
          at(gradient, r * length + s) = 0.5 * at(p, r * length + s) * (at(g, r * length + s) - products);
      }
      auto out = scores, back = g;
      const CausalRows whole{length, length, 0, window, 0.5F};
      causal_softmax(whole, out.data(), 0, rows);
      CHECK(largest_difference(out, p) < 2e-6);
      causal_softmax_gradient(whole, out.data(), back.data(), 0, rows);
      CHECK(largest_difference(back, gradient) < 2e-6);

      // The last queries alone, which see all keys, give the same bits.
      const std::int64_t before = length / 2, queries = length - before;
      const CausalRows last{queries, length, before, window, 0.5F};
      for (std::int64_t head = 0; head < kHeads; ++head) {
        const std::int64_t first = (head * length + before) * length;
        std::vector<float> some(scores.begin() + first, scores.begin() + first + queries * length);
        std::vector<float> some_back(g.begin() + first, g.begin() + first + queries * length);
        causal_softmax(last, some.data(), 0, queries);
        causal_softmax_gradient(last, some.data(), some_back.data(), 0, queries);
        CHECK(std::equal(some.begin(), some.end(), out.begin() + first));
        CHECK(std::equal(some_back.begin(), some_back.end(), back.begin() + first));
      }
    }
}

TEST_CASE("losses and their derivatives are those of plain loops, in fp32 and in bf16", "[model]") {
  for (const bool bf16 : {false, true})
    for (const std::int64_t vocabulary : {2, 16, 100, 1000}) {
      if (!has_layer_kernels(bf16)) continue;
      constexpr std::int64_t kRows = 3;
      auto logits = waves(kRows * vocabulary, 0.7, 20);
      std::vector<std::uint16_t> rounded;
      std::ranges::transform(logits, std::back_inserter(rounded), to_bf16);
      if (bf16) std::ranges::transform(rounded, logits.begin(), from_bf16);
      const std::vector<std::int64_t> labels = {0, vocabulary - 1, vocabulary / 2};
      const std::vector<float> weights = {1, 0.25F, 0};
      std::vector<double> expected(logits.size()), expected_losses;
      for (std::int64_t r = 0; r < kRows; ++r) {
        double sum = 0;
        for (std::int64_t v = 0; v < vocabulary; ++v) sum += std::exp(double{at(logits, r * vocabulary + v)});
        for (std::int64_t v = 0; v < vocabulary; ++v)
          at(expected, r * vocabulary + v) =
              at(weights, r) * (std::exp(double{at(logits, r * vocabulary + v)}) / sum - (v == at(labels, r) ? 1 : 0));
        expected_losses.push_back(std::log(sum) - at(logits, r * vocabulary + at(labels, r)));
      }
      auto losses = room(kRows);
      void* const place = bf16 ? static_cast<void*>(rounded.data()) : logits.data();
      losses_and_derivatives({place, bf16, labels.data(), weights.data(), losses.data(), vocabulary}, 0, kRows);
      if (bf16) std::ranges::transform(rounded, logits.begin(), from_bf16);
      CHECK(largest_difference(losses, expected_losses) < 1e-5);
      CHECK(largest_difference(logits, expected) < (bf16 ? 4e-3 : 1e-6));  // a bf16 number has eight bits
    }
}

TEST_CASE("what is not a number stays none, and very small and large scores are exact", "[model]") {
  if (!has_layer_kernels(false)) return;
  std::vector<float> scores = {0, NAN, 0, 0};
  causal_softmax({2, 2, 0, 0, 1}, scores.data(), 0, 2);
  CHECK(scores[0] == 1);
  scores = {0, 0, -INFINITY, 3e38F, 0, 0, 0, 0, 0};
  causal_softmax({3, 3, 0, 0, 1}, scores.data(), 0, 2);
  CHECK(scores[3] == 1);
  scores = {0, 0, NAN, 0};
  causal_softmax({2, 2, 0, 0, 1}, scores.data(), 0, 2);
  CHECK(std::isnan(scores[2]));
  CHECK(std::isnan(scores[3]));
  const std::vector<float> gate = {-200, 200, NAN, -0.0F}, up = {1, 1, 1, 1};
  std::vector<float> out(4);
  swiglu_numbers(gate.data(), up.data(), out.data(), 0, 4);
  CHECK(out[0] == 0);
  CHECK(out[1] == 200);
  CHECK(std::isnan(out[2]));
  CHECK(out[3] == 0);
}

}  // namespace
}  // namespace sotto::model
