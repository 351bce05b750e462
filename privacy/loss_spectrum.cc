#include "privacy/loss_spectrum.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"

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

// values[i] *= base[i]^count, for many numbers side by side.
template <class Real>
class Powers {
 public:
  explicit Powers(std::uint64_t count) : count_(count) {}

  void add(Real re, Real im, Real* to_re, Real* to_im) {
    base_re_[filled_] = re;
    base_im_[filled_] = im;
    to_re_[filled_] = to_re;
    to_im_[filled_] = to_im;
    if (++filled_ == kLanes) flush();
  }

  void flush() {
    for (std::size_t i = filled_; i < kLanes; ++i) base_re_[i] = base_im_[i] = 0;
    std::copy(base_re_, base_re_ + kLanes, re_);
    std::copy(base_im_, base_im_ + kLanes, im_);
    for (int bit = static_cast<int>(std::bit_width(count_)) - 2; bit >= 0; --bit) {
      times(re_, im_, re_, im_);
      if (count_ >> bit & 1) times(re_, im_, base_re_, base_im_);
    }
    for (std::size_t i = 0; i < filled_; ++i) {
      const Real re = *to_re_[i] * re_[i] - *to_im_[i] * im_[i];
      *to_im_[i] = *to_re_[i] * im_[i] + *to_im_[i] * re_[i];
      *to_re_[i] = re;
    }
    filled_ = 0;
  }

 private:
  static constexpr std::size_t kLanes = 64;
  static void times(Real* re, Real* im, const Real* re2, const Real* im2) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const Real r = re[i] * re2[i] - im[i] * im2[i];
      const Real s = re[i] * im2[i] + im[i] * re2[i];
      re[i] = r;
      im[i] = s;
    }
  }
  std::uint64_t count_;
  std::size_t filled_ = 0;
  Real base_re_[kLanes], base_im_[kLanes], re_[kLanes], im_[kLanes];
  Real* to_re_[kLanes];
  Real* to_im_[kLanes];
};

}  // namespace

template <class Real>
struct LossSpectrum<Real>::Tilted {
  Spectrum<Real> circle;
  double norm = 0;  // l2
  double sum = 0;   // of the larger measure, from above
  double relative_error = 0;
  double log_right[2] = {};
  double log_left[2] = {};
};

template <class Real>
LossSpectrum<Real>::LossSpectrum(const ComposedPlan& plan)
    : plan_(plan), fft_(plan.length), upper_(plan.length / 2 + 1), lower_(plan.length / 2 + 1) {
  std::fill(upper_.re.begin(), upper_.re.end(), Real(1));
  std::fill(lower_.re.begin(), lower_.re.end(), Real(1));
}

template <class Real>
typename LossSpectrum<Real>::Tilted LossSpectrum<Real>::tilt(const GridLoss& grid, double log_scale) const {
  Tilted out{Spectrum<Real>(plan_.length)};
  const std::size_t mask = plan_.length - 1;
  double sums[2] = {};
  double right[2] = {};
  double left[2] = {};
  double largest = 0;
  for (std::size_t k = 0; k < grid.upper.size(); ++k) {
    const double loss = grid.at(k);
    largest = std::max(largest, std::abs(plan_.tilt * loss));
    const double weight = std::exp(plan_.tilt * loss - log_scale);
    const double to_right = std::exp((plan_.tilt + plan_.right) * loss - log_scale);
    const double to_left = std::exp((plan_.tilt - plan_.left) * loss - log_scale);
    const double tilted[2] = {grid.upper[k] * weight, grid.lower[k] * weight};
    for (int i = 0; i < 2; ++i) {
      const double mass = i == 0 ? grid.upper[k] : grid.lower[k];
      sums[i] += tilted[i];
      right[i] += mass * to_right;
      left[i] += mass * to_left;
    }
    const std::size_t at = static_cast<std::size_t>(grid.points[k]) & mask;
    out.circle.re[at] += tilted[0];
    out.circle.im[at] += tilted[1];
  }
  double squares = 0;
  for (std::size_t k = 0; k < plan_.length; ++k) {
    squares += static_cast<double>(out.circle.re[k] * out.circle.re[k] + out.circle.im[k] * out.circle.im[k]);
  }
  out.norm = std::sqrt(squares) * (1 + 1e-9);
  // Sums of n positive terms: n roundings at most, n < 2^24. Exponents: a few roundings of their own size.
  const double of_sums = 0x1p-28;
  out.sum = std::max(sums[0], sums[1]) * (1 + of_sums);
  const double wraps = static_cast<double>(grid.upper.size() / plan_.length + 1);  // additions to one point of the circle
  out.relative_error = kUnit * (4 * largest + 4 * std::abs(log_scale) + 16 + wraps);
  const double of_exponents = kUnit * (4 * largest * (1 + (plan_.right + plan_.left) / plan_.tilt) + 4 * std::abs(log_scale) + 16);
  for (int i = 0; i < 2; ++i) {
    out.log_right[i] = std::log(right[i]) + of_exponents + of_sums;
    out.log_left[i] = std::log(left[i]) + of_exponents + of_sums;
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
  fft_.forward(tilted.circle);
  multiply_powers(tilted.circle, count);
}

template <class Real>
void LossSpectrum<Real>::multiply(const LossSteps& steps, const LossOutline::Part& part, double share_of_all_steps) {
  const BinWidths widths = part.bin_widths(plan_.tilt, plan_.spread * share_of_all_steps);
  multiply(put_on_grid(*steps.loss, plan_.step, part.tilted_range(plan_.tilt), widths), part.log_sum(plan_.tilt), steps.count);
}

template <class Real>
void LossSpectrum<Real>::count_errors(const Tilted& tilted, double count) {
  const double forward = fft_.relative_error() * tilted.norm;  // over sqrt(length), of the spectrum's values
  const double each = forward * std::sqrt(static_cast<double>(plan_.length));  // the largest value's error
  forward_error_ += count * forward;
  factors_ += count + 1;
  log_growth_ += count * (std::max(std::log(tilted.sum), 0.0) + 2 * each);
  totals_.relative_error += count * tilted.relative_error;
  for (int i = 0; i < 2; ++i) {
    totals_.log_right[i] += count * tilted.log_right[i];
    totals_.log_left[i] += count * tilted.log_left[i];
  }
  const double growth = std::exp(log_growth_);
  const double products = 4 * kRounding<Real> * factors_;  // each complex product: sqrt(5) roundings
  const double dropped = std::exp(kNothing);
  totals_.round_off = growth * (forward_error_ + 2 * (products + 2 * fft_.relative_error() + dropped)) * (1 + 1e-9);
}

template <class Real>
void LossSpectrum<Real>::multiply_powers(const Spectrum<Real>& transformed, std::uint64_t count) {
  Powers<Real> powers(count);
  const Real least = std::exp(std::max(2 * kNothing / static_cast<double>(count), -600.0));
  const auto raise = [&](Real re, Real im, Real& to_re, Real& to_im) {
    if (re * re + im * im < least) {
      to_re = to_im = 0;
    } else {
      powers.add(re, im, &to_re, &to_im);
    }
  };
  for_each_pair(plan_.length, [&](std::size_t h, std::size_t p, std::size_t q) {
    const Real a = transformed.re[p], b = transformed.im[p];
    const Real c = transformed.re[q], d = transformed.im[q];
    raise((a + c) / 2, (b - d) / 2, upper_.re[h], upper_.im[h]);  // of the real part: (X(f) + conj X(-f)) / 2
    raise((b + d) / 2, (c - a) / 2, lower_.re[h], lower_.im[h]);  // of the imaginary part: (X(f) - conj X(-f)) / 2i
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
