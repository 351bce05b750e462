// The numbers of a privacy guarantee as types that are checked once, when made: whoever holds one need not check it again,
// and an epsilon cannot be passed where a delta is wanted. NaN fails every check. Values; any thread. The constructors are
// for values that the program itself knows to be good (a bad one is a Failure); make() is for values from outside (a plan, a
// flag, a log) and names the value and its range.
#pragma once

#include <compare>
#include <cstdint>

#include "base/result.h"
#include "privacy/mechanism/kinds.h"

namespace sotto::privacy {

// (epsilon, delta)-differential privacy: Dwork, Roth 2014, definition 2.4.
class Epsilon {  // finite, >= 0
 public:
  explicit Epsilon(double value);
  static Result<Epsilon> make(double value);
  double value() const { return value_; }
  auto operator<=>(const Epsilon&) const = default;

 private:
  double value_;
};

class Delta {  // in (0, 1)
 public:
  explicit Delta(double value);
  static Result<Delta> make(double value);
  double value() const { return value_; }
  auto operator<=>(const Delta&) const = default;

 private:
  double value_;
};

// Bound on the L2 norm of one privacy unit's gradient, in the gradient's own unit. Finite, in [1e-12, 1e12].
class ClipNorm {
 public:
  explicit ClipNorm(double l2);
  static Result<ClipNorm> make(double l2);
  double l2() const { return l2_; }
  auto operator<=>(const ClipNorm&) const = default;

 private:
  double l2_;
};

// Standard deviation of the noise over the sensitivity (sigma in the literature). In [1e-3, 1e6].
class NoiseMultiplier {
 public:
  explicit NoiseMultiplier(double value);
  static Result<NoiseMultiplier> make(double value);
  double value() const { return value_; }
  auto operator<=>(const NoiseMultiplier&) const = default;

 private:
  double value_;
};

// Probability q with which each unit takes part in a step; in [2^-64, 1]. Kept as the multiple of 2^-64 at or below the
// value given (for q >= 2^-11 that is the value itself), so that "64 random bits, read as an integer, are below q * 2^64"
// happens with probability q exactly: the rate that runs is the rate that is accounted, to the last bit.
class SamplingRate {
 public:
  explicit SamplingRate(double value);
  static Result<SamplingRate> make(double value);
  double value() const { return value_; }
  bool always() const { return value_ == 1.0; }
  std::uint64_t threshold() const;  // q * 2^64, exactly; not for q = 1
  auto operator<=>(const SamplingRate&) const = default;

 private:
  double value_;
};

// Expected number of units in a step's batch, q * declared size: a constant of the plan, never the number that was drawn.
class ExpectedBatch {
 public:
  ExpectedBatch(SamplingRate rate, std::uint64_t declared_size);
  double value() const { return value_; }

 private:
  double value_;
};

}  // namespace sotto::privacy
