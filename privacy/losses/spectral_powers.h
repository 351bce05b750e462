// Powers of many complex numbers side by side, one for each frequency of a spectrum (loss_spectrum.cc). The compiler makes
// vectors of the loops. One thread at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sotto::privacy {

inline constexpr std::size_t kPowerLanes = 64;

template <class Real>
struct ComplexLanes {
  Real re[kPowerLanes], im[kPowerLanes];
};

// x *= y, x and y may be the same.
template <class Real>
void multiply(ComplexLanes<Real>& x, const ComplexLanes<Real>& y) {
  for (std::size_t i = 0; i < kPowerLanes; ++i) {
    const Real re = x.re[i] * y.re[i] - x.im[i] * y.im[i];
    const Real im = x.re[i] * y.im[i] + x.im[i] * y.re[i];
    x.re[i] = re;
    x.im[i] = im;
  }
}

// x += factor * y
template <class Real>
void add(ComplexLanes<Real>& x, const ComplexLanes<Real>& y, Real factor = 1) {
  for (std::size_t i = 0; i < kPowerLanes; ++i) {
    x.re[i] += factor * y.re[i];
    x.im[i] += factor * y.im[i];
  }
}

template <class Real>
struct ComplexPlace {
  Real* re = nullptr;
  Real* im = nullptr;
};

// *to *= base^count.
template <class Real>
class Powers {
 public:
  explicit Powers(std::uint64_t count) : count_(count) {}

  void add(Real re, Real im, ComplexPlace<Real> to) {
    base_.re[filled_] = re;
    base_.im[filled_] = im;
    to_[filled_] = to;
    if (++filled_ == kPowerLanes) flush();
  }

  void flush() {
    for (std::size_t i = filled_; i < kPowerLanes; ++i) base_.re[i] = base_.im[i] = 0;
    power_ = base_;
    for (int bit = static_cast<int>(std::bit_width(count_)) - 2; bit >= 0; --bit) {
      multiply(power_, power_);
      if (count_ >> bit & 1) multiply(power_, base_);
    }
    for (std::size_t i = 0; i < filled_; ++i) {
      const Real re = *to_[i].re * power_.re[i] - *to_[i].im * power_.im[i];
      *to_[i].im = *to_[i].re * power_.im[i] + *to_[i].im * power_.re[i];
      *to_[i].re = re;
    }
    filled_ = 0;
  }

 private:
  std::uint64_t count_;
  std::size_t filled_ = 0;
  ComplexLanes<Real> base_, power_;
  ComplexPlace<Real> to_[kPowerLanes];
};

// What a product of sums is more than the product of their first summands: with P = product of b^n and P + D = product of (b
// + g)^n,
//   *p *= b^count,   *d = (*p + *d) (b + g)^count - *p b^count
// from sums and products alone, so that D has its digits where it is far smaller than P.
template <class Real>
class SplitPowers {
 public:
  explicit SplitPowers(std::uint64_t count) : count_(count) {}

  struct Value {
    Real re = 0, im = 0;
  };
  void add(Value b, Value g, ComplexPlace<Real> p, ComplexPlace<Real> d) {
    put(b_, b);
    put(g_, g);
    to_p_[filled_] = p;
    to_d_[filled_] = d;
    if (++filled_ == kPowerLanes) flush();
  }

  void flush() {
    while (filled_ > 0 && filled_ < kPowerLanes) {  // lanes that nobody asked for
      put(b_, {});
      put(g_, {});
      to_p_[filled_] = to_d_[filled_] = {};
      ++filled_;
    }
    if (filled_ == 0) return;
    filled_ = 0;
    ComplexLanes<Real> both = b_;
    privacy::add(both, g_);
    p_ = b_;
    d_ = g_;
    for (int bit = static_cast<int>(std::bit_width(count_)) - 2; bit >= 0; --bit) {
      ComplexLanes<Real> sum = d_;  // (P + D)^2 - P^2 = D (2 P + D)
      privacy::add(sum, p_, Real(2));
      multiply(d_, sum);
      multiply(p_, p_);
      if (count_ >> bit & 1) {  // D (b + g) + P g
        multiply(d_, both);
        ComplexLanes<Real> more = p_;
        multiply(more, g_);
        privacy::add(d_, more);
        multiply(p_, b_);
      }
    }
    store();
  }

 private:
  void put(ComplexLanes<Real>& lanes, Value value) {
    lanes.re[filled_] = value.re;
    lanes.im[filled_] = value.im;
  }

  void store() {
    for (std::size_t i = 0; i < kPowerLanes && to_p_[i].re != nullptr; ++i) {
      const Real pr = *to_p_[i].re, pi = *to_p_[i].im;
      const Real dr = *to_d_[i].re, di = *to_d_[i].im;
      const Real sr = p_.re[i] + d_.re[i], si = p_.im[i] + d_.im[i];
      *to_d_[i].re = (dr * sr - di * si) + (pr * d_.re[i] - pi * d_.im[i]);
      *to_d_[i].im = (dr * si + di * sr) + (pr * d_.im[i] + pi * d_.re[i]);
      *to_p_[i].re = pr * p_.re[i] - pi * p_.im[i];
      *to_p_[i].im = pr * p_.im[i] + pi * p_.re[i];
    }
  }

  std::uint64_t count_;
  std::size_t filled_ = 0;
  ComplexLanes<Real> b_, g_, p_, d_;
  ComplexPlace<Real> to_p_[kPowerLanes], to_d_[kPowerLanes];
};

}  // namespace sotto::privacy
