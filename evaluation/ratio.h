// Ratio: what one record adds to a metric, as a numerator and a denominator. Every metric of this part is a ratio of two
// sums over records: a mean (denominator 1), micro-averaged precision (true positives over found), F1 (2 TP over found +
// wanted), loss per token. So one bootstrap and one paired test serve all (statistics.h).
#pragma once

#include <map>
#include <string>

namespace sotto::evaluation {

struct Ratio {
  double numerator = 0;
  double denominator = 0;

  static Ratio of(bool success) { return {success ? 1.0 : 0.0, 1}; }
  static Ratio of(double value) { return {value, 1}; }
  Ratio& operator+=(const Ratio& other) {
    numerator += other.numerator;
    denominator += other.denominator;
    return *this;
  }
  double value() const { return denominator == 0 ? 0 : numerator / denominator; }  // nothing over nothing: 0
  bool operator==(const Ratio&) const = default;
};

using Measures = std::map<std::string, Ratio>;  // by the metric's name

}  // namespace sotto::evaluation
