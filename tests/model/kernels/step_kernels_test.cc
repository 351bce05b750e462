#include "model/kernels/step_kernels.h"

#include <bit>
#include <cmath>
#include <vector>

#include "tests/support/catch.h"

namespace sotto::model {
namespace {

// Small whole numbers: exact in bf16, and so are their sums in fp32, whatever the order.
std::vector<float> whole_numbers(std::int64_t count, std::int64_t step) {
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < count; ++i) numbers.push_back(static_cast<float>((i * step + 3) % 17 - 8));
  return numbers;
}

std::vector<std::uint16_t> as_bf16(const std::vector<float>& numbers) {
  std::vector<std::uint16_t> upper_halves;
  for (const float x : numbers) upper_halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16));
  return upper_halves;
}

std::vector<float> plain_product(const std::vector<float>& x, const std::vector<float>& w, std::int64_t in) {
  const std::int64_t rows = static_cast<std::int64_t>(x.size()) / in, out = static_cast<std::int64_t>(w.size()) / in;
  std::vector<float> y;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t o = 0; o < out; ++o) {
      float sum = 0;
      for (std::int64_t i = 0; i < in; ++i)
        sum += x[static_cast<std::size_t>(r * in + i)] * w[static_cast<std::size_t>(o * in + i)];
      y.push_back(sum);
    }
  return y;
}

TEST_CASE("a product of few rows is exact at every number of rows, inputs and outputs, in fp32 and in bf16") {
  for (const bool bf16 : {false, true}) {
    if (!has_step_kernels(bf16)) continue;
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 11, 24})
      for (const std::int64_t in : {1, 15, 16, 33, 64, 100})
        for (const std::int64_t out : {1, 3, 4, 7, 16}) {
          const auto x = whole_numbers(rows * in, 5), w = whole_numbers(out * in, 7);
          const auto rounded = as_bf16(w);
          std::vector<float> y(static_cast<std::size_t>(rows * out), NAN);
          const FewRows product{
              x.data(), bf16 ? static_cast<const void*>(rounded.data()) : w.data(), bf16, y.data(), rows, in, out};
          few_rows_product(product, 0, out / 2);  // as two threads would
          few_rows_product(product, out / 2, out);
          CHECK(y == plain_product(x, w, in));
        }
  }
}

TEST_CASE("a row of a product of few rows has the same bits whatever rows stand beside it") {
  if (!has_step_kernels(false)) return;
  constexpr std::int64_t kIn = 100, kOut = 9, kRows = 11;
  auto x = whole_numbers(kRows * kIn, 5), w = whole_numbers(kOut * kIn, 7);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(x[i] + static_cast<float>(i));
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::cos(w[i] * static_cast<float>(i));
  std::vector<float> together(kRows * kOut);
  few_rows_product({x.data(), w.data(), false, together.data(), kRows, kIn, kOut}, 0, kOut);
  for (std::int64_t r = 0; r < kRows; ++r) {
    std::vector<float> alone(kOut);
    few_rows_product({x.data() + r * kIn, w.data(), false, alone.data(), 1, kIn, kOut}, 0, kOut);
    CHECK(std::equal(alone.begin(), alone.end(), together.begin() + r * kOut));
  }
}

}  // namespace
}  // namespace sotto::model
