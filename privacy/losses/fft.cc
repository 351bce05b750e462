#include "privacy/losses/fft.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace sotto::privacy {
namespace {

// One butterfly of each kind over a run of `half` neighbours; the compiler makes vectors of these loops.
template <class Real>
void split_frequency(Real* __restrict re, Real* __restrict im, std::size_t half, const Real* __restrict c,
                     const Real* __restrict s) {
  Real* __restrict re2 = re + half;
  Real* __restrict im2 = im + half;
  for (std::size_t j = 0; j < half; ++j) {
    const Real dr = re[j] - re2[j];
    const Real di = im[j] - im2[j];
    re[j] += re2[j];
    im[j] += im2[j];
    re2[j] = dr * c[j] + di * s[j];  // times exp(-i angle)
    im2[j] = di * c[j] - dr * s[j];
  }
}

template <class Real>
void split_time(Real* __restrict re, Real* __restrict im, std::size_t half, const Real* __restrict c,
                const Real* __restrict s) {
  Real* __restrict re2 = re + half;
  Real* __restrict im2 = im + half;
  for (std::size_t j = 0; j < half; ++j) {
    const Real tr = re2[j] * c[j] - im2[j] * s[j];  // times exp(i angle)
    const Real ti = im2[j] * c[j] + re2[j] * s[j];
    re2[j] = re[j] - tr;
    im2[j] = im[j] - ti;
    re[j] += tr;
    im[j] += ti;
  }
}

}  // namespace

template <class Real>
Fft<Real>::Fft(std::size_t length) : length_(length), cos_(length), sin_(length) {
  SOTTO_CHECK(length >= 4 && std::has_single_bit(length));
  const std::size_t half = length / 2;
  const std::size_t eighth = length / 8;
  const Real unit = 2 * std::numbers::pi_v<Real> / static_cast<Real>(length);
  const auto set = [&](std::size_t j, Real c, Real s) {
    cos_[j] = c;
    sin_[j] = s;
  };
  for (std::size_t j = 0; j <= eighth; ++j) {  // the first eighth of the circle, and its mirror images
    const Real c = std::cos(unit * static_cast<Real>(j));
    const Real s = std::sin(unit * static_cast<Real>(j));
    set(j, c, s);
    set(half / 2 - j, s, c);
    if (half / 2 + j < half) set(half / 2 + j, -s, c);
    if (j > 0) set(half - j, -c, s);
  }
  if (length == 4) set(1, 0, 1);
  std::size_t from = 0;  // each shorter table is every second root of the one before
  for (std::size_t n = half; n > 1; n /= 2) {
    for (std::size_t j = 0; j < n / 2; ++j) set(from + n + j, cos_[from + 2 * j], sin_[from + 2 * j]);
    from += n;
  }
}

template <class Real>
void Fft<Real>::forward(Spectrum<Real>& values) const {
  std::size_t table = 0;
  for (std::size_t half = length_ / 2; half >= 1; half /= 2) {
    for (std::size_t at = 0; at < length_; at += 2 * half) {
      split_frequency(values.re.data() + at, values.im.data() + at, half, cos_.data() + table, sin_.data() + table);
    }
    table += half;
  }
}

template <class Real>
void Fft<Real>::backward(Spectrum<Real>& values) const {
  std::size_t table = length_ - 1;
  for (std::size_t half = 1; half < length_; half *= 2) {
    table -= half;
    for (std::size_t at = 0; at < length_; at += 2 * half) {
      split_time(values.re.data() + at, values.im.data() + at, half, cos_.data() + table, sin_.data() + table);
    }
  }
  const Real scale = 1 / static_cast<Real>(length_);
  for (Real& v : values.re) v *= scale;
  for (Real& v : values.im) v *= scale;
}

std::size_t opposite_frequency(std::size_t position) {
  if (position == 0) return 0;
  const std::size_t block = std::bit_floor(position);
  return 3 * block - 1 - position;
}

template <class Real>
double Fft<Real>::relative_error() const {
  const double stages = static_cast<double>(std::bit_width(length_) - 1);
  return 6 * kRounding<Real> * stages * (1 + 1e-12);
}

template class Fft<double>;
template class Fft<long double>;

}  // namespace sotto::privacy
