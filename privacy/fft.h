// The discrete Fourier transform of power-of-two length, with a proven bound on its rounding error. Radix 2, in place;
// decimation in frequency forward and in time backward, so that spectra are in bit-reversed order and nothing is permuted.
// Pure functions on a table of roots; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sotto::privacy {

// Real and imaginary parts, each of the transform's length.
struct Spectrum {
  std::vector<double> re;
  std::vector<double> im;
  explicit Spectrum(std::size_t length) : re(length), im(length) {}
};

class Fft {
 public:
  explicit Fft(std::size_t length);  // a power of two, at least 4
  std::size_t length() const { return length_; }

  void forward(Spectrum& values) const;   // X[rev(f)] = sum_k x[k] exp(-2 pi i f k / length)
  void backward(Spectrum& values) const;  // its inverse, divided by length

  // Where the frequency opposite to the one at `position` stands: f and -f, in bit-reversed order.
  static std::size_t opposite(std::size_t position);

  // forward: |error|_2 <= relative_error() * |exact result|_2; backward the same. (docs/privacy.md, "Round-off")
  double relative_error() const;

 private:
  std::size_t length_;
  std::vector<double> cos_;  // of 2 pi j / length, j < length / 2; then the same for length / 2, and so on
  std::vector<double> sin_;
};

}  // namespace sotto::privacy
