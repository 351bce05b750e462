// Sums of exponentials that would overflow or underflow one by one. Values; any thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace sotto::privacy {

// ln(sum of exp(term)), term by term.
class LogSum {
 public:
  void add(double log_term) {
    if (log_term == -std::numeric_limits<double>::infinity()) return;
    if (log_term > largest_) {
      sum_ *= std::exp(largest_ - log_term);
      largest_ = log_term;
    }
    sum_ += std::exp(log_term - largest_);
  }
  double log() const { return sum_ > 0 ? largest_ + std::log(sum_) : -std::numeric_limits<double>::infinity(); }

 private:
  double largest_ = -std::numeric_limits<double>::infinity();
  double sum_ = 0;
};

inline double log_add(double a, double b) {
  const double larger = std::max(a, b);
  return larger == -std::numeric_limits<double>::infinity() ? larger
                                                            : larger + std::log1p(std::exp(std::min(a, b) - larger));
}

}  // namespace sotto::privacy
