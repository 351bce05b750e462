#include "client/training/forgetting_curve.h"

namespace sotto::client {

void ForgettingCurve::add(ForgettingPoint point) {
  points_.push_back(point);
  ever_forgot_ = ever_forgot_ || forgets();
}

double ForgettingCurve::risen_by() const { return points_.empty() ? 0 : points_.back().loss - points_.front().loss; }

}  // namespace sotto::client
