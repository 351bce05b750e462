// How the loss on general text moves while a model is trained on something else. The first point is the model as training
// found it; it forgets where the newest point lies more than `limit` above the first. Values, any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace sotto::client {

struct ForgettingPoint {
  std::uint64_t at = 0;  // steps or rounds taken
  double loss = 0;       // nats a token
};

class ForgettingCurve {
 public:
  explicit ForgettingCurve(double limit) : limit_(limit) {}  // nats a token

  void add(ForgettingPoint point);
  const std::vector<ForgettingPoint>& points() const { return points_; }
  double limit() const { return limit_; }
  double risen_by() const;                              // of the newest point over the first; 0 without points
  bool forgets() const { return risen_by() > limit_; }  // at the newest point
  bool ever_forgot() const { return ever_forgot_; }     // at any point

 private:
  double limit_;
  std::vector<ForgettingPoint> points_;
  bool ever_forgot_ = false;
};

}  // namespace sotto::client
