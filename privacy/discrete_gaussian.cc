#include "privacy/discrete_gaussian.h"

#include <cstring>

#include "base/check.h"

namespace sotto::privacy {
namespace {

__extension__ using Wide = unsigned __int128;

}  // namespace

DiscreteGaussian::DiscreteGaussian(std::uint64_t s, RandomSource& random) : s_(s), random_(random) {
  SOTTO_CHECK(s >= 1 && s <= kLargestStddev);
}

DiscreteGaussian::~DiscreteGaussian() {
  // Unread and read bytes alike would let a reader of this memory take noise off a sum.
  volatile std::uint8_t* bytes = block_.data();
  for (std::size_t i = 0; i < block_.size(); ++i) bytes[i] = 0;
}

template <class T>
T DiscreteGaussian::bits() {
  if (block_.size() - used_ < sizeof(T)) {
    random_.fill(block_);
    used_ = 0;
  }
  T value = 0;
  std::memcpy(&value, block_.data() + used_, sizeof value);
  used_ += sizeof value;
  return value;
}

// Lemire 2019, arXiv 1805.10941: the high half of a 64-bit word times the bound, rejecting the overlong low ends.
std::uint64_t DiscreteGaussian::below(std::uint64_t bound) {
  const std::uint64_t rejected = (0 - bound) % bound;
  for (;;) {
    const Wide product = Wide{bits<std::uint64_t>()} * bound;
    if (static_cast<std::uint64_t>(product) >= rejected) return static_cast<std::uint64_t>(product >> 64);
  }
}

// Compares a uniform real u with n / d, 16 binary digits at a time:
// u = (w + u') / 2^16 < n / d  iff  u' < (n 2^16 - w d) / d.
template <class Int>
bool DiscreteGaussian::bernoulli(Int n, Int d) {
  if (n == d) return true;
  for (;;) {
    const Int low = Int{bits<std::uint16_t>()} * d;
    const Int high = n << 16;
    if (low >= high) return false;
    if (low + d <= high) return true;
    n = high - low;
  }
}

// Algorithm 1 for gamma = n / d <= 1: K counts successes of Bernoulli(gamma / K); odd with probability exp(-gamma).
template <class Int>
bool DiscreteGaussian::bernoulli_exp(Int n, Int d) {
  Int k = 1;
  while (bernoulli<Int>(n, d * k)) {
    ++k;
    SOTTO_CHECK(k < (Int{1} << 15));  // reached with probability 1 / 32767!
  }
  return k % 2 == 1;
}

// Algorithm 2: P(x) proportional to exp(-|x| / s).
std::int64_t DiscreteGaussian::discrete_laplace() {
  for (;;) {
    const std::uint64_t u = below(s_);
    const bool kept = s_ < (std::uint64_t{1} << 33) ? bernoulli_exp<std::uint64_t>(u, s_) : bernoulli_exp<Wide>(u, s_);
    if (!kept) continue;
    std::uint64_t v = 0;
    while (bernoulli_exp<std::uint64_t>(1, 1)) ++v;
    const auto magnitude = static_cast<std::int64_t>(u + s_ * v);
    const bool negative = (bits<std::uint8_t>() & 1U) != 0;
    if (negative && magnitude == 0) continue;  // zero would come twice as often
    return negative ? -magnitude : magnitude;
  }
}

// Algorithm 3 with t = s: a discrete Laplace draw y is kept with probability exp(-(|y| - s)^2 / (2 s^2)).
std::int64_t DiscreteGaussian::sample() {
  const Wide d = Wide{2} * s_ * s_;
  for (;;) {
    const std::int64_t y = discrete_laplace();
    const std::uint64_t magnitude = static_cast<std::uint64_t>(y < 0 ? -y : y);
    const std::uint64_t distance = magnitude > s_ ? magnitude - s_ : s_ - magnitude;
    Wide n = Wide{distance} * distance;
    bool kept = true;
    for (; kept && n > d; n -= d) kept = bernoulli_exp<std::uint64_t>(1, 1);  // exp(-n / d), whole parts first
    if (kept && bernoulli_exp<Wide>(n, d)) return y;
  }
}

}  // namespace sotto::privacy
