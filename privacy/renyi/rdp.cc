#include "privacy/renyi/rdp.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "privacy/renyi/pair_rdp.h"

namespace sotto::privacy {
namespace {

// The Poisson-subsampled Gaussian. Without sampling the divergence is order / (2 sigma^2) (Mironov 2017, proposition 7), and
// sampling only helps.
class StepCurve final : public RdpCurve {
 public:
  StepCurve(NoiseMultiplier sigma, SamplingRate rate) : sigma_(sigma.value()) {
    const double q = rate.value();
    if (q < 1) {
      sampled_ = std::make_unique<PairCurve>(std::make_unique<GaussianPair>(
          sigma_, std::vector<GaussianComponent>{{1 - q, 0}, {q, 1}}, std::vector<GaussianComponent>{{1, 0}}));
    }
  }

  double at(double order, Direction direction) override {
    SOTTO_CHECK(order > 1 && order <= kLargestOrder);
    const double unsampled = order / (2 * sigma_ * sigma_) * (1 + kRoundoffCover);
    return sampled_ ? std::min(sampled_->at(order, direction), unsampled) : unsampled;
  }

 private:
  double sigma_;
  std::unique_ptr<PairCurve> sampled_;
};

}  // namespace

std::string_view to_string(Direction direction) {
  switch (direction) {
    case Direction::kRemove: return "remove";
    case Direction::kAdd: return "add";
  }
  throw Failure("a direction outside its enumeration");
}

std::unique_ptr<RdpCurve> rdp_curve_of_step(NoiseMultiplier sigma, SamplingRate rate) {
  return std::make_unique<StepCurve>(sigma, rate);
}

double rdp_of_step(double order, NoiseMultiplier sigma, SamplingRate rate, Direction direction) {
  return StepCurve(sigma, rate).at(order, direction);
}

double epsilon_of_rdp(double order, double rdp, Delta delta) {
  if (!(order >= kSmallestOrder)) return std::numeric_limits<double>::infinity();
  if (delta.value() * delta.value() + std::expm1(-rdp) > 0) return 0;
  const double epsilon = rdp + std::log1p(-1 / order) - std::log(delta.value() * order) / (order - 1);
  return std::max(epsilon, 0.0);
}

}  // namespace sotto::privacy
