#include "privacy/mechanism/discrete_gaussian.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "privacy/mechanism/exp_comparison.h"

namespace sotto::privacy {
namespace {

// 1,024 buckets of Walker's table: 16 to 32 of them to one standard deviation (privacy.md, 4.1).
constexpr unsigned kColumnBits = 10;
constexpr std::size_t kBuckets = std::size_t{1} << kColumnBits;
constexpr std::size_t kLast = kBuckets - 1;                // stands for itself and all behind it
constexpr std::uint64_t kColumn = std::uint64_t{1} << 53;  // a column's share of all weights, 2^63
constexpr std::size_t kBlockWords = 1024;

}  // namespace

DiscreteGaussian::DiscreteGaussian(std::uint64_t s, RandomSource& random)
    : s_(s), random_(random), block_(kBlockWords), used_(kBlockWords) {
  SOTTO_CHECK(s >= 1 && s <= kLargestStddev);
  make_table();
}

DiscreteGaussian::~DiscreteGaussian() {
  // Unread and read bits alike would let a reader of this memory take noise off a sum.
  volatile std::uint64_t* words = block_.data();
  for (std::size_t i = 0; i < block_.size(); ++i) words[i] = 0;
}

// 16 to 32 buckets to one s, so that a draw is kept 39 times of 40, and the last bucket begins at 32 s or later: there each
// bucket has less than half the mass of the one before. The weights are integers that add up to 2^63.
void DiscreteGaussian::make_table() {
  const unsigned log2 = static_cast<unsigned>(std::bit_width(s_)) - 1;
  bits_ = log2 > 4 ? log2 - 4 : 0;
  const auto mass = [&](std::uint64_t m) {
    const long double x = static_cast<long double>(m) / static_cast<long double>(s_);
    return std::exp(-x * x / 2);
  };
  long double total = 0;
  for (std::size_t j = 0; j < kBuckets; ++j) total += mass(j << bits_);
  scale_ = static_cast<std::uint64_t>(std::ldexp((1 - 0x1p-30L) / total, 63));
  buckets_.assign(kBuckets, {});
  std::uint64_t left = std::uint64_t{1} << 63;
  const double drawn_values = std::ldexp(1.0, static_cast<int>(64 - bits_));
  for (std::size_t j = 0; j < kBuckets; ++j) {
    // Above the true mass: the factor covers floating point's error up to m = 11 s; behind it all masses are below 1.
    const long double bound = static_cast<long double>(scale_) * mass(j << bits_) * (1 + 0x1p-40L);
    buckets_[j].weight = static_cast<std::uint64_t>(bound) + 1;
    left -= buckets_[j].weight;
    const std::uint64_t farthest = ((j + 1) << bits_) - 1;
    if (farthest > 11 * s_ || j == kLast) continue;
    const long double least =
        static_cast<long double>(scale_) * mass(farthest) / static_cast<long double>(buckets_[j].weight);
    buckets_[j].sure = static_cast<std::uint64_t>(least * (1 - 0x1p-30L) * static_cast<long double>(drawn_values));
  }
  buckets_[0].weight += left;
  buckets_[0].sure -= static_cast<std::uint64_t>(static_cast<double>(buckets_[0].sure) * 0x1p-20);  // for the added weight

  // Walker's alias method: columns of equal size, each shared by at most two buckets.
  std::vector<std::uint32_t> small, large;
  std::vector<std::uint64_t> rest;
  for (std::uint32_t j = 0; j < kBuckets; ++j) {
    rest.push_back(buckets_[j].weight);
    (rest[j] < kColumn ? small : large).push_back(j);
  }
  while (!small.empty()) {
    const std::uint32_t a = small.back(), b = large.back();
    small.pop_back();
    buckets_[a].keep = rest[a];
    buckets_[a].alias = b;
    rest[b] -= kColumn - rest[a];
    if (rest[b] >= kColumn) continue;
    large.pop_back();
    small.push_back(b);
  }
  for (const std::uint32_t b : large) {
    SOTTO_CHECK(rest[b] == kColumn);
    buckets_[b].keep = kColumn;
  }
}

inline std::uint64_t DiscreteGaussian::word() {
  if (used_ == block_.size()) {
    random_.fill({reinterpret_cast<std::uint8_t*>(block_.data()), block_.size() * sizeof(std::uint64_t)});
    used_ = 0;
  }
  return block_[used_++];
}

bool DiscreteGaussian::keeps(std::uint64_t m, std::uint64_t weight, std::uint64_t drawn, unsigned shift) {
  const double x = static_cast<double>(m) / static_cast<double>(s_);
  const double kept =
      std::ldexp(static_cast<double>(scale_) / static_cast<double>(weight) * std::exp(-x * x / 2), static_cast<int>(shift));
  // `kept` is off by less than 2^-34 of itself: x^2 / 2 < 2^15 wherever it does not vanish.
  // Assumed of exp and the operations before it, which can lose 2^-34: section 4.1 of privacy.md.
  constexpr double kError = 0x1p-30;
  const int bits = static_cast<int>(64 - bits_);
  if (std::ldexp(static_cast<double>(drawn) + 1, -bits) < kept * (1 - kError)) return true;
  if (std::ldexp(static_cast<double>(drawn), -bits) > kept * (1 + kError)) return false;
  return below_exp(drawn, 64 - bits_, {m, s_, scale_, weight, shift}, random_);
}

std::int64_t DiscreteGaussian::sample() {
  for (;;) {
    const std::uint64_t choice = word(), place = word();
    std::size_t j = choice >> (64 - kColumnBits);
    if ((choice >> 1 & (kColumn - 1)) >= buckets_[j].keep) j = buckets_[j].alias;
    const Bucket& bucket = buckets_[j];
    std::uint64_t m = (static_cast<std::uint64_t>(j) << bits_) + (place & ((std::uint64_t{1} << bits_) - 1));
    const std::uint64_t drawn = place >> bits_;
    if (drawn >= bucket.sure) {
      unsigned shift = 0;
      if (j == kLast) {  // which of those behind it: each half as often as the one before
        ++shift;
        while ((word() & 1) != 0) ++shift;
        m += std::uint64_t{shift - 1} << bits_;
      }
      if (!keeps(m, bucket.weight, drawn, shift)) continue;
    }
    const bool negative = (choice & 1) != 0;
    if (negative && m == 0) continue;  // zero would come twice as often
    return negative ? -static_cast<std::int64_t>(m) : static_cast<std::int64_t>(m);
  }
}

void DiscreteGaussian::add_to(std::span<std::int64_t> values) {
  for (std::int64_t& value : values) value += sample();
}

}  // namespace sotto::privacy
