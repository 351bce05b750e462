// How sure a number is: bootstrap intervals, a paired permutation test, Wilson's interval, Holm's correction. What is
// resampled is a vector of units; records of one patient are added up to one unit first, as they are no independent draws.
// Pseudo-random with a given seed, the same on every machine (std::mt19937_64): nothing here protects anybody. Pure
// functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "evaluation/ratio.h"

namespace sotto::evaluation {

struct Interval {
  double low = 0;
  double high = 0;
};

struct Resampling {
  std::uint32_t resamples = 2000;
  double confidence = 0.95;  // in (0, 1)
  std::uint64_t seed = 1;
};

// Records with the same key become one unit, in order of first appearance; an empty key is a unit of its own.
std::vector<Ratio> by_unit(std::span<const Ratio> records, std::span<const std::string> keys);
Ratio sum(std::span<const Ratio> units);

// Percentile bootstrap (Efron 1979) of sum(units).value(), as scipy.stats.bootstrap(method="percentile"). One unit or none:
// the value itself twice, which says nothing.
Interval bootstrap(std::span<const Ratio> units, const Resampling& how);

struct Paired {
  double difference = 0;  // value of b minus value of a
  Interval interval;      // bootstrap over pairs
  double p = 1;  // two-sided; all 2^n swaps when those are at most `resamples`, else random ones with (count + 1) / (n + 1)
};
// The same units under two models. Under the null hypothesis each pair may be swapped (scipy.stats.permutation_test,
// permutation_type="samples"). a.size() == b.size().
Paired compare(std::span<const Ratio> a, std::span<const Ratio> b, const Resampling& how);

// Adjusted p-values of Holm (1979), in the order given.
std::vector<double> holm(std::span<const double> p);

// Quantile at `at` in [0, 1] of values that it sorts, with linear interpolation (NumPy's default); of none: NaN.
double quantile(std::vector<double> values, double at);
// The z for which the standard normal lies in [-z, z] with this probability.
double normal_z(double confidence);
// P(|T| <= t) of Student's t with so many degrees of freedom, and the t for which it is this probability. t >= 0, degrees >
// 0.
double student_t_probability(double t, double degrees);
double student_t(double confidence, double degrees);
// Wilson's score interval (1927) of a proportion; `successes` may hold halves (ties). n = 0: [0, 1].
Interval wilson(double successes, double n, double confidence);
// Of a metric over units: the bootstrap's; where every unit is wholly right, or every one wholly wrong, resampling gives one
// value and no width, and Wilson's interval over the units stands in its place ([0.44, 1.00] of three right ones).
Interval interval_of(std::span<const Ratio> units, const Resampling& how);

}  // namespace sotto::evaluation
