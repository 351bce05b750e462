#include "privacy/losses/loss_spectrum.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "privacy/losses/spectral_powers.h"

namespace sotto::privacy {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kNothing = -90;  // ln of a spectral value that counts as 0, and is charged

// Calls f(h, p, q) for every pair of opposite positions p, q of the spectrum; h numbers the pairs.
template <class F>
void for_each_pair(std::size_t length, const F& f) {
  std::size_t h = 0;
  f(h++, std::size_t{0}, std::size_t{0});
  f(h++, std::size_t{1}, std::size_t{1});
  for (std::size_t block = 2; block < length; block *= 2) {
    for (std::size_t p = block; p < block + block / 2; ++p) f(h++, p, opposite_frequency(p));
  }
}

template <class Real>
struct Halves {  // the spectra of the real and of the imaginary part of what was transformed, at one pair of frequencies
  typename SplitPowers<Real>::Value upper, lower;
  Halves(const Spectrum<Real>& x, std::size_t p, std::size_t q)
      : upper{(x.re[p] + x.re[q]) / 2, (x.im[p] - x.im[q]) / 2},    // (X(f) + conj X(-f)) / 2
        lower{(x.im[p] + x.im[q]) / 2, (x.re[q] - x.re[p]) / 2} {}  // (X(f) - conj X(-f)) / 2i
};

template <class Real>
double norm(const Spectrum<Real>& values) {
  double squares = 0;
  for (std::size_t k = 0; k < values.re.size(); ++k) {
    squares += static_cast<double>(values.re[k] * values.re[k] + values.im[k] * values.im[k]);
  }
  return std::sqrt(squares) * (1 + 1e-9);
}

// Sums of masses with one weight, of small and of rare losses.
struct Sums {
  double small = 0, rare = 0;
  void add(bool is_rare, double mass) { (is_rare ? rare : small) += mass; }
};

}  // namespace

template <class Real>
struct LossSpectrum<Real>::Tilted {
  Spectrum<Real> rare;
  Spectrum<Real> small;
  double rare_norm = 0;  // l2
  double small_norm = 0;
  double sum = 0;     // of the larger measure, from above
  double excess = 0;  // round-off of the transform of rare losses counted in
  double relative_error = 0;
  LogSum log_right[2] = {};
  LogSum log_left[2] = {};
  double log_small[2] = {};
};

template <class Real>
double LossSpectrum<Real>::LogSum::rare() const {
  return all + std::log(-std::expm1(-excess)) + 0x1p-50;
}

template <class Real>
LossSpectrum<Real>::LossSpectrum(const ComposedPlan& plan)
    : plan_(plan),
      fft_(plan.length),
      split_(std::isfinite(plan.rare_from)),
      upper_(plan.length / 2 + 1),
      lower_(plan.length / 2 + 1),
      small_upper_(split_ ? plan.length / 2 + 1 : 0),
      small_lower_(split_ ? plan.length / 2 + 1 : 0) {
  // Of no steps, the one run has only small losses.
  for (Spectrum<Real>* product : {split_ ? &small_upper_ : &upper_, split_ ? &small_lower_ : &lower_}) {
    std::fill(product->re.begin(), product->re.end(), Real(1));
  }
}

template <class Real>
typename LossSpectrum<Real>::Tilted LossSpectrum<Real>::tilt(const GridLoss& grid, double log_scale) const {
  Tilted out{Spectrum<Real>(plan_.length), Spectrum<Real>(split_ ? plan_.length : 0)};
  const std::size_t mask = plan_.length - 1;
  Sums sums[2], right[2], left[2];
  double small[2] = {};
  double largest = 0;
  for (std::size_t k = 0; k < grid.upper.size(); ++k) {
    const double loss = grid.at(k);
    const bool rare = loss >= plan_.rare_from;
    largest = std::max(largest, std::abs(plan_.tilt * loss));
    const double weight = std::exp(plan_.tilt * loss - log_scale);
    const double to_right = std::exp((plan_.tilt + plan_.right) * loss - log_scale);
    const double to_left = std::exp((plan_.tilt - plan_.left) * loss - log_scale);
    const double of_small = rare ? 0 : std::exp(plan_.small_tilt * loss);
    const double tilted[2] = {grid.upper[k] * weight, grid.lower[k] * weight};
    for (int i = 0; i < 2; ++i) {
      const double mass = i == 0 ? grid.upper[k] : grid.lower[k];
      sums[i].add(rare, tilted[i]);
      right[i].add(rare, mass * to_right);
      left[i].add(rare, mass * to_left);
      small[i] += mass * of_small;
    }
    const std::size_t at = static_cast<std::size_t>(grid.points[k]) & mask;
    Spectrum<Real>& circle = rare ? out.rare : out.small;
    circle.re[at] += tilted[0];
    circle.im[at] += tilted[1];
  }
  out.rare_norm = norm(out.rare);
  out.small_norm = norm(out.small);
  // Sums of n positive terms: n roundings at most, n < 2^24. Exponents: a few roundings of their own size.
  const double of_sums = 0x1p-28;
  const double wraps = static_cast<double>(grid.upper.size() / plan_.length + 1);  // additions to one point of the circle
  out.relative_error = kUnit * (4 * largest + 4 * std::abs(log_scale) + 16 + wraps);
  const double tilts = (plan_.right + plan_.left + (split_ ? plan_.small_tilt : 0)) / plan_.tilt;
  const double of_exponents = kUnit * (4 * largest * (1 + tilts) + 4 * std::abs(log_scale) + 16);
  const auto log_sum = [&](const Sums& s) {
    const double excess = s.small > 0 ? std::log1p(s.rare / s.small) : std::numeric_limits<double>::infinity();
    return LogSum{std::log(s.small + s.rare) + of_exponents + of_sums, excess * (1 + 4 * (of_exponents + of_sums))};
  };
  for (int i = 0; i < 2; ++i) {
    out.sum = std::max(out.sum, (sums[i].small + sums[i].rare) * (1 + of_sums));
    const double forward = fft_.relative_error() * out.rare_norm * std::sqrt(static_cast<double>(plan_.length));
    out.excess = std::max(out.excess, log_sum({sums[i].small * (1 - of_sums), sums[i].rare + forward}).excess);
    out.log_right[i] = log_sum(right[i]);
    out.log_left[i] = log_sum(left[i]);
    out.log_small[i] = std::log(small[i]) + of_exponents + of_sums;
  }
  return out;
}

template <class Real>
void LossSpectrum<Real>::multiply(const GridLoss& grid, double log_scale, std::uint64_t count) {
  SOTTO_CHECK(grid.step == plan_.step && grid.upper.size() == grid.lower.size() && count > 0);
  Tilted tilted = tilt(grid, log_scale);
  const double n = static_cast<double>(count);
  count_errors(tilted, n);
  totals_.last += n * static_cast<double>(grid.points.back());
  totals_.log_scale += n * log_scale;
  totals_.log_scale_error += 4 * kUnit * (n * std::abs(log_scale) + std::abs(totals_.log_scale));
  totals_.offset += n * grid.offset;
  totals_.offset_error += 4 * kUnit * (n * std::abs(grid.offset) + std::abs(totals_.offset));
  totals_.edge_error += n * grid.edge_error * (1 + 1e-9);
  totals_.infinite[0] += n * grid.upper_infinite * (1 + 1e-12);
  totals_.infinite[1] = 1 - (1 - totals_.infinite[1]) * std::pow(1 - grid.lower_infinite, n);
  fft_.forward(tilted.rare);
  if (split_) fft_.forward(tilted.small);
  multiply_powers(tilted, count);
}

template <class Real>
void LossSpectrum<Real>::multiply(const LossSteps& steps, const LossOutline::Part& part, double share_of_all_steps) {
  const BinWidths widths = part.bin_widths(plan_, plan_.spread * share_of_all_steps);
  multiply(put_on_grid(*steps.loss, plan_.step, part.tilted_range(plan_.tilt), widths), part.log_sum(plan_.tilt),
           steps.count);
}

template <class Real>
void LossSpectrum<Real>::count_errors(const Tilted& tilted, double count) {
  const double forward = fft_.relative_error() * tilted.rare_norm;  // over sqrt(length), of the spectrum's values
  const double forward_small = fft_.relative_error() * tilted.small_norm;
  const double each = (forward + forward_small) * std::sqrt(static_cast<double>(plan_.length));  // the largest value's error
  forward_error_ += count * forward;
  forward_error_small_ += count * forward_small;
  factors_ += count + 1;
  log_growth_ += count * (std::max(std::log(tilted.sum), 0.0) + 2 * each);
  excess_ += count * tilted.excess;
  totals_.relative_error += count * tilted.relative_error;
  const auto sum_up = [count](LogSum& to, const LogSum& step) {
    to.all += count * step.all;
    to.excess += count * step.excess;
  };
  for (int i = 0; i < 2; ++i) {
    sum_up(totals_.log_right[i], tilted.log_right[i]);
    sum_up(totals_.log_left[i], tilted.log_left[i]);
    totals_.log_small[i] += count * tilted.log_small[i];
  }
  const double growth = std::exp(log_growth_);
  // The part of the product that is left, at every frequency.
  const double share = std::min(1.0, -std::expm1(-excess_) * (1 + 1e-9));
  const double products =
      (split_ ? 8 : 4) * kRounding<Real> * factors_;  // sqrt(5) roundings to a product, three products to a split one
  const double dropped = std::exp(kNothing);
  totals_.round_off =
      growth *
      (forward_error_ + share * forward_error_small_ + 2 * share * (products + 2 * fft_.relative_error()) + 4 * dropped) *
      (1 + 1e-9);
}

template <class Real>
void LossSpectrum<Real>::multiply_powers(const Tilted& transformed, std::uint64_t count) {
  const Real least = std::exp(std::max(2 * kNothing / static_cast<double>(count), -600.0));
  const auto square = [](const auto& value) { return value.re * value.re + value.im * value.im; };
  if (split_) {
    SplitPowers<Real> powers(count);
    const auto raise = [&](const auto& small, const auto& rare, Spectrum<Real>& p, Spectrum<Real>& d, std::size_t h) {
      if (4 * (square(small) + square(rare)) < least) {
        p.re[h] = p.im[h] = d.re[h] = d.im[h] = 0;
      } else {
        powers.add(small, rare, {&p.re[h], &p.im[h]}, {&d.re[h], &d.im[h]});
      }
    };
    for_each_pair(plan_.length, [&](std::size_t h, std::size_t p, std::size_t q) {
      const Halves<Real> small(transformed.small, p, q);
      const Halves<Real> rare(transformed.rare, p, q);
      raise(small.upper, rare.upper, small_upper_, upper_, h);
      raise(small.lower, rare.lower, small_lower_, lower_, h);
    });
    powers.flush();
    return;
  }
  Powers<Real> powers(count);
  const auto raise = [&](const auto& base, Spectrum<Real>& to, std::size_t h) {
    if (square(base) < least) {
      to.re[h] = to.im[h] = 0;
    } else {
      powers.add(base.re, base.im, {&to.re[h], &to.im[h]});
    }
  };
  for_each_pair(plan_.length, [&](std::size_t h, std::size_t p, std::size_t q) {
    const Halves<Real> all(transformed.rare, p, q);
    raise(all.upper, upper_, h);
    raise(all.lower, lower_, h);
  });
  powers.flush();
}

template <class Real>
Spectrum<Real> LossSpectrum<Real>::masses() const {
  Spectrum<Real> out(plan_.length);
  for_each_pair(plan_.length, [&](std::size_t h, std::size_t p, std::size_t q) {
    out.re[p] = upper_.re[h] - lower_.im[h];  // U + i V
    out.im[p] = upper_.im[h] + lower_.re[h];
    out.re[q] = upper_.re[h] + lower_.im[h];  // conj U + i conj V
    out.im[q] = lower_.re[h] - upper_.im[h];
  });
  fft_.backward(out);
  return out;
}

template class LossSpectrum<double>;
template class LossSpectrum<long double>;

}  // namespace sotto::privacy
