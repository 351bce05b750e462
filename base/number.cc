#include "base/number.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace sotto {
namespace {

constexpr double kSmall = 0.001;  // from here on four digits behind the point say one digit or more

std::string with_format(const char* format, double value) {
  char text[400];  // a double has at most 309 digits before its point
  std::snprintf(text, sizeof text, format, value);
  return text;
}

bool is_small(double value) { return value != 0 && std::abs(value) < kSmall; }

// The last digit that is shown of `value`, as a number.
double last_digit(double value) {
  return is_small(value) ? std::pow(10.0, std::floor(std::log10(std::abs(value))) - 1) : 1e-4;
}

std::string rounded(double value, double (*towards)(double)) {
  if (!std::isfinite(value) || std::abs(value) > 1e11) return shown(value);  // its last digits lie before the point
  const double unit = last_digit(value);
  // A value that stands on a digit in decimal is itself, though its binary form lies a hair beside it.
  const double digits = value / unit, nearest = std::round(digits);
  const bool exact = std::abs(digits - nearest) < 1e-9 * std::max(1.0, std::abs(digits));
  return shown((exact ? nearest : towards(digits)) * unit);
}

}  // namespace

std::string shown(double value) {
  if (std::isnan(value)) return "not known";
  if (std::isinf(value)) return value > 0 ? "none" : "-none";
  return with_format(is_small(value) ? "%.1e" : "%.4f", value);
}

std::string shown_up(double value) {
  return rounded(value, [](double v) { return std::ceil(v); });
}

std::string shown_down(double value) {
  return rounded(value, [](double v) { return std::floor(v); });
}

}  // namespace sotto
