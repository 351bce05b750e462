// The discrete Fourier transform of power-of-two length, with a proven bound on its rounding error. Radix 2, in place;
// decimation in frequency forward and in time backward, so that spectra are in bit-reversed order and nothing is permuted.
// In double precision, and in the longest that the machine has. Pure functions on a table of roots; any thread.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace sotto::privacy {

// Real and imaginary parts, each of the transform's length.
template <class Real>
struct Spectrum {
  std::vector<Real> re;
  std::vector<Real> im;
  explicit Spectrum(std::size_t length) : re(length), im(length) {}
};

template <class Real>
class Fft {
 public:
  explicit Fft(std::size_t length);  // a power of two, at least 4
  std::size_t length() const { return length_; }

  void forward(Spectrum<Real>& values) const;   // X[rev(f)] = sum_k x[k] exp(-2 pi i f k / length)
  void backward(Spectrum<Real>& values) const;  // its inverse, divided by length

  // forward: |error|_2 <= relative_error() * |exact result|_2; backward the same. (docs/privacy.md, "Round-off")
  double relative_error() const;

 private:
  std::size_t length_;
  std::vector<Real> cos_;  // of 2 pi j / length, j < length / 2; then the same for length / 2, and so on
  std::vector<Real> sin_;
};

// Where the frequency opposite to the one at `position` stands: f and -f, in bit-reversed order.
std::size_t opposite_frequency(std::size_t position);

// One rounding.
template <class Real>
inline constexpr double kRounding = static_cast<double>(std::numeric_limits<Real>::epsilon() / 2);

extern template class Fft<double>;
extern template class Fft<long double>;

}  // namespace sotto::privacy
