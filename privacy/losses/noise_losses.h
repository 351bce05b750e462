// Privacy losses (loss.h) of mechanisms other than Gaussian mixtures and of samplers. Values; any thread.
#pragma once

#include <memory>
#include <vector>

#include "privacy/losses/loss.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

// Laplace noise of `scale` times the distance, Poisson-sampled. The loss grows with the output between the two centres and
// is constant beyond them.
class LaplaceLoss final : public PrivacyLoss {
 public:
  LaplaceLoss(double scale, double rate, Direction direction) : scale_(scale), rate_(rate), direction_(direction) {}
  std::vector<LossMass> masses(std::span<const double> edges) const override;
  double atom_spacing() const override { return rate_ == 1 ? 1 / scale_ : 0; }

 private:
  double output_of(double log_ratio) const;  // below 0 and above 1: the whole side
  double scale_, rate_;
  Direction direction_;
};

// Two losses of which a public coin chooses: the first with a probability between the two given.
class CoinLoss final : public PrivacyLoss {
 public:
  CoinLoss(double low, double high, std::unique_ptr<PrivacyLoss> first, std::unique_ptr<PrivacyLoss> second)
      : low_(low), high_(high), first_(std::move(first)), second_(std::move(second)) {}
  std::vector<LossMass> masses(std::span<const double> edges) const override;
  double edge_error() const override { return std::max(first_->edge_error(), second_->edge_error()); }

 private:
  double low_, high_;
  std::unique_ptr<PrivacyLoss> first_, second_;
};

// The losses above 0 of one pair, those below 0 of another, and the rest of the mass at 0: docs/privacy.md, section 6.1.
class SplicedLoss final : public PrivacyLoss {
 public:
  SplicedLoss(std::unique_ptr<PrivacyLoss> above, std::unique_ptr<PrivacyLoss> below)
      : above_(std::move(above)), below_(std::move(below)) {}
  std::vector<LossMass> masses(std::span<const double> edges) const override;
  double edge_error() const override { return std::max(above_->edge_error(), below_->edge_error()); }

 private:
  std::unique_ptr<PrivacyLoss> above_, below_;
};

}  // namespace sotto::privacy
