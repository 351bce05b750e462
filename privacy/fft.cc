#include "privacy/fft.h"

#include <bit>
#include <cmath>

#include "base/check.h"

namespace sotto::privacy {
namespace {

// One butterfly of each kind over a run of `half` neighbours; the compiler makes vectors of these loops.
void split_frequency(double* __restrict re, double* __restrict im, std::size_t half, const double* __restrict c,
                     const double* __restrict s) {
  double* __restrict re2 = re + half;
  double* __restrict im2 = im + half;
  for (std::size_t j = 0; j < half; ++j) {
    const double dr = re[j] - re2[j];
    const double di = im[j] - im2[j];
    re[j] += re2[j];
    im[j] += im2[j];
    re2[j] = dr * c[j] + di * s[j];  // times exp(-i angle)
    im2[j] = di * c[j] - dr * s[j];
  }
}

void split_time(double* __restrict re, double* __restrict im, std::size_t half, const double* __restrict c,
                const double* __restrict s) {
  double* __restrict re2 = re + half;
  double* __restrict im2 = im + half;
  for (std::size_t j = 0; j < half; ++j) {
    const double tr = re2[j] * c[j] - im2[j] * s[j];  // times exp(i angle)
    const double ti = im2[j] * c[j] + re2[j] * s[j];
    re2[j] = re[j] - tr;
    im2[j] = im[j] - ti;
    re[j] += tr;
    im[j] += ti;
  }
}

}  // namespace

Fft::Fft(std::size_t length) : length_(length), cos_(length), sin_(length) {
  SOTTO_CHECK(length >= 4 && std::has_single_bit(length));
  const std::size_t half = length / 2;
  const std::size_t eighth = length / 8;
  const double unit = 2 * M_PI / static_cast<double>(length);
  const auto set = [&](std::size_t j, double c, double s) {
    cos_[j] = c;
    sin_[j] = s;
  };
  for (std::size_t j = 0; j <= eighth; ++j) {  // the first eighth of the circle, and its mirror images
    const double c = std::cos(unit * static_cast<double>(j));
    const double s = std::sin(unit * static_cast<double>(j));
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

void Fft::forward(Spectrum& values) const {
  std::size_t table = 0;
  for (std::size_t half = length_ / 2; half >= 1; half /= 2) {
    for (std::size_t at = 0; at < length_; at += 2 * half) {
      split_frequency(values.re.data() + at, values.im.data() + at, half, cos_.data() + table, sin_.data() + table);
    }
    table += half;
  }
}

void Fft::backward(Spectrum& values) const {
  std::size_t table = length_ - 1;
  for (std::size_t half = 1; half < length_; half *= 2) {
    table -= half;
    for (std::size_t at = 0; at < length_; at += 2 * half) {
      split_time(values.re.data() + at, values.im.data() + at, half, cos_.data() + table, sin_.data() + table);
    }
  }
  const double scale = 1 / static_cast<double>(length_);
  for (double& v : values.re) v *= scale;
  for (double& v : values.im) v *= scale;
}

std::size_t Fft::opposite(std::size_t position) {
  if (position == 0) return 0;
  const std::size_t block = std::bit_floor(position);
  return 3 * block - 1 - position;
}

double Fft::relative_error() const {
  const double stages = static_cast<double>(std::bit_width(length_) - 1);
  return 6 * 0x1p-53 * stages * (1 + 1e-12);
}

}  // namespace sotto::privacy
