// Privacy losses of Gaussian noise: mixtures of N(c_i, sigma^2) against mixtures of N(d_j, sigma^2) whose centres all lie on
// the other side, so that the loss grows with the output. Sampling, neighbouring relations and groups are such pairs:
//   remove    P = (1-q) N(0) + q N(1),                Q = N(0)
//   replace   P = (1-q) N(0) + q N(1),                Q = (1-q) N(0) + q N(-1)
//   group     P = sum_k Binomial(K, q)(k) N(k),       Q = N(0)   (or mirrored, for replacing K units)
// and add is remove with P and Q exchanged. docs/privacy.md, "Dominating pairs". Values; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "privacy/losses/loss.h"
#include "privacy/mechanism/neighbours.h"
#include "privacy/mechanism/units.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

inline constexpr std::uint64_t kLargestGroup = 64;

class GaussianLoss final : public PrivacyLoss {
 public:
  struct Component {
    double weight = 0;  // the weights of each side sum to 1
    double centre = 0;  // in units of the sensitivity
  };

  // Poisson sampling of a group of `group` units (1 to kLargestGroup) that all differ. kRemove is the direction in which P
  // has them. For kReplace both directions are equal.
  static GaussianLoss sampled(NoiseMultiplier sigma, SamplingRate rate, Direction direction,
                              Neighbours neighbours = Neighbours::kAddRemove, std::uint64_t group = 1);

  // Any mixtures with every centre of `with` >= 0 and every centre of `without` <= 0, not all 0. Direction as above.
  GaussianLoss(double sigma, std::vector<Component> with, std::vector<Component> without, Direction direction);

  std::vector<LossMass> masses(std::span<const double> edges) const override;
  double edge_error() const override { return edge_error_; }

 private:
  double output_of(double loss) const;  // where ln(with / without) is `loss`; infinite outside its range
  double log_ratio(double x) const;

  double sigma_;
  std::vector<Component> with_, without_;
  Direction direction_;
  double edge_error_ = kEdgeError;
};

}  // namespace sotto::privacy
