// Pairs of distributions (pair_rdp.h) of mechanisms other than Gaussian mixtures. `rate` is that of Poisson sampling: P is
// then (1 - rate) Q + rate P. Values; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "privacy/renyi/integer_noise.h"
#include "privacy/renyi/pair_rdp.h"

namespace sotto::privacy {

// A mechanism with few outputs: probabilities by one neighbour and by the other, all positive.
struct Outcome {
  double p = 0;
  double q = 0;
};
class FinitePair final : public OutputPair {
 public:
  explicit FinitePair(std::vector<Outcome> outcomes) : outcomes_(std::move(outcomes)) {}
  PairOutput output(double k, int level) const override;
  int level(double) const override { return 0; }
  Reach reach(double, int) const override { return {0, static_cast<double>(outcomes_.size())}; }

 private:
  std::vector<Outcome> outcomes_;
};

// Noise around `distance` and around 0.
class IntegerPair final : public OutputPair {
 public:
  IntegerPair(IntegerNoise noise, std::uint64_t distance, double rate)
      : noise_(std::move(noise)), distance_(static_cast<std::int64_t>(distance)), rate_(rate) {}
  PairOutput output(double k, int level) const override;
  int level(double) const override { return 0; }
  Reach reach(double exponent, int level) const override;

 private:
  double log_term(std::int64_t x, double exponent) const;
  IntegerNoise noise_;
  std::int64_t distance_;
  double rate_;
};

// Laplace noise of a scale in units of the distance, around 1 and around 0: the outputs below 0 and above 1 are one each,
// those between are the nodes of a Gauss-Legendre rule.
class LaplacePair final : public OutputPair {
 public:
  LaplacePair(double scale, double rate) : scale_(scale), rate_(rate) {}
  PairOutput output(double k, int level) const override;
  int level(double exponent) const override;
  Reach reach(double exponent, int level) const override;

 private:
  double panels(int level) const;
  double scale_, rate_;
};

// Fixed-size sampling of a share `rate` of the units, one unit replaced: the pair whose hockey-stick curve is that of
// (1-rate) Q + rate P against Q above loss 0 and of P against (1-rate) P + rate Q below, P = N(distance, 1) and Q = N(0, 1).
// Zhu, Dong, Wang 2022 (arXiv 2106.08567), theorem 11; docs/privacy.md, "Other samplers".
class FixedSizePair final : public OutputPair {
 public:
  FixedSizePair(double distance, double rate) : distance_(distance), rate_(rate) {}
  PairOutput output(double k, int level) const override;
  int level(double) const override { return 0; }
  Reach reach(double exponent, int level) const override;

 private:
  double distance_, rate_;
};

}  // namespace sotto::privacy
