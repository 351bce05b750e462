#include "privacy/mechanism/exp_comparison.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace sotto::privacy {
namespace {

__extension__ using Wide = unsigned __int128;

// A number in [0, 2^64) with a fixed number of 64-bit limbs behind the point: limbs[0] is the whole part. Every operation
// rounds down.
class Fixed {
 public:
  explicit Fixed(std::size_t fraction_limbs, std::uint64_t whole = 0) : limbs_(fraction_limbs + 1) { limbs_[0] = whole; }

  std::uint64_t& limb(std::size_t i) { return limbs_[i]; }
  std::size_t size() const { return limbs_.size(); }

  void multiply(std::uint64_t by) {
    std::uint64_t carry = 0;
    for (std::size_t i = limbs_.size(); i-- > 0;) {
      const Wide product = Wide{limbs_[i]} * by + carry;
      limbs_[i] = static_cast<std::uint64_t>(product);
      carry = static_cast<std::uint64_t>(product >> 64);
    }
    SOTTO_CHECK(carry == 0);
  }
  void divide(std::uint64_t by) {
    Wide rest = 0;
    for (auto& limb : limbs_) {
      const Wide part = (rest << 64) | limb;
      limb = static_cast<std::uint64_t>(part / by);
      rest = part % by;
    }
  }
  void add(const Fixed& other) {
    std::uint64_t carry = 0;
    for (std::size_t i = limbs_.size(); i-- > 0;) {
      const Wide sum = Wide{limbs_[i]} + other.limbs_[i] + carry;
      limbs_[i] = static_cast<std::uint64_t>(sum);
      carry = static_cast<std::uint64_t>(sum >> 64);
    }
    SOTTO_CHECK(carry == 0);
  }
  void subtract(const Fixed& other) {  // not below 0
    std::uint64_t borrow = 0;
    for (std::size_t i = limbs_.size(); i-- > 0;) {
      const Wide take = Wide{other.limbs_[i]} + borrow;
      borrow = Wide{limbs_[i]} < take ? 1 : 0;
      limbs_[i] = static_cast<std::uint64_t>(limbs_[i] - take);
    }
    SOTTO_CHECK(borrow == 0);
  }
  // The square of a number at most 1.
  Fixed squared() const {
    std::vector<std::uint64_t> all(2 * limbs_.size() + 1);
    for (std::size_t i = limbs_.size(); i-- > 0;) {
      std::uint64_t carry = 0;
      for (std::size_t j = limbs_.size(); j-- > 0;) {
        const Wide part = Wide{limbs_[i]} * limbs_[j] + all[i + j + 1] + carry;
        all[i + j + 1] = static_cast<std::uint64_t>(part);
        carry = static_cast<std::uint64_t>(part >> 64);
      }
      all[i] += carry;
    }
    Fixed out(limbs_.size() - 1);
    std::copy_n(all.begin() + 1, limbs_.size(), out.limbs_.begin());
    return out;
  }
  bool is_zero() const {
    return std::ranges::all_of(limbs_, [](std::uint64_t l) { return l == 0; });
  }
  auto operator<=>(const Fixed&) const = default;

 private:
  std::vector<std::uint64_t> limbs_;
};

// exp(-m^2 / (2 s^2)) with `limbs` behind the point, off by less than 2^64 units of the last place: with N < 2^7 terms (20
// limbs) and k <= 24 halvings each term is off by at most N 2^(k+1) units, their sum by N^2 2^(k+1) <= 2^39, and k squarings
// double that each.
Fixed exp_of(const ExpBound& b, std::size_t limbs) {
  // gamma / 2^k <= 1, then k squarings.
  unsigned k = 0;
  const Wide limit = Wide{2} * b.s * b.s;
  const auto square = [](std::uint64_t m) { return Wide{m} * m; };
  while (k < 126 && (square(b.m) >> k) > limit - 1) ++k;
  SOTTO_CHECK(k <= 24);
  // The alternating series, its terms by small factors only: term * m * m / (s * s) / (2^(k+1) n).
  Fixed sum(limbs, 1), term(limbs, 1);
  for (std::uint64_t n = 1; !term.is_zero(); ++n) {
    term.divide(n);
    for (unsigned i = 0; i <= k; ++i) term.divide(2);
    const std::uint64_t whole = b.m / b.s, rest = b.m % b.s;
    for (int twice = 0; twice < 2; ++twice) {  // times m / s = whole + rest / s
      Fixed part = term;
      part.divide(b.s);
      part.multiply(rest);
      term.multiply(whole);
      term.add(part);
    }
    if (n % 2 == 1)
      sum.subtract(term);
    else
      sum.add(term);
  }
  for (unsigned i = 0; i < k; ++i) sum = sum.squared();
  return sum;
}

}  // namespace

bool below_exp(std::uint64_t drawn, unsigned bits, const ExpBound& bound, RandomSource& random) {
  SOTTO_CHECK(bits >= 1 && bits <= 64);
  std::vector<std::uint64_t> u = {drawn << (64 - bits)};  // digits of U, limb by limb
  if (bits < 64) u[0] |= random.bits64() >> bits;
  const std::size_t extra = (bound.shift + 63) / 64;
  for (std::size_t limbs = 6 + extra;; limbs += 2) {
    while (u.size() < limbs) u.push_back(random.bits64());
    // U * denominator against exp * numerator * 2^shift: off by less than 2^(128 + shift) units together.
    Fixed left(limbs), margin(limbs), right = exp_of(bound, limbs);
    margin.limb(limbs - 2 - extra) = 1;
    for (std::size_t i = 0; i < limbs; ++i) left.limb(i + 1) = u[i];
    left.multiply(bound.denominator);
    right.multiply(bound.numerator);
    for (unsigned i = 0; i < bound.shift; ++i) right.multiply(2);
    const bool below = left < right;
    Fixed& larger = below ? right : left;
    larger.subtract(below ? left : right);
    if (larger > margin) return below;
  }
}

}  // namespace sotto::privacy
