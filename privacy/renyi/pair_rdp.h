// Renyi divergences, in both directions and at any order, of a pair of distributions (P, Q) that is given output by output:
//   D_a(P || Q) = ln(1 + E_Q[(1 + r)^a - 1 - a r]) / (a - 1),   D_a(Q || P): the same with 1 - a for the exponent a,
// where r = P/Q - 1 has mean 0 under Q. Every term is positive (Bernoulli), so no digit is lost where the divergence is
// tiny. A continuous pair gives the nodes of a trapezoidal rule as its outputs. docs/privacy.md, "Renyi divergence". A
// PairCurve belongs to one thread: its table grows as orders ask for it.
#pragma once

#include <memory>
#include <vector>

#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

struct PairOutput {
  double log_q = 0;      // ln of its probability under Q; of a node, with the node's share
  double excess = 0;     // r = P/Q - 1; +inf where it overflows
  double log_ratio = 0;  // ln(P/Q)
};

class OutputPair {
 public:
  virtual ~OutputPair() = default;
  // Outputs are numbered by the integers. At a higher level nodes lie closer by 2^-level; discrete pairs have level 0 alone.
  virtual PairOutput output(double k, int level) const = 0;
  virtual int level(double exponent) const = 0;  // that E_Q[(P/Q)^exponent] needs
  // The terms of E_Q[(P/Q)^exponent] fall from `up` upwards and from `down` downwards.
  struct Reach {
    double down = 0;
    double up = 0;
  };
  virtual Reach reach(double exponent, int level) const = 0;
};

class PairCurve final : public RdpCurve {
 public:
  explicit PairCurve(std::unique_ptr<const OutputPair> pair) : pair_(std::move(pair)) {}
  double at(double order, Direction direction) override;  // +inf where the table would have over 300,000 outputs

 private:
  struct Node {
    double q, log_q, excess, log_ratio;
    double gap;  // log_ratio - excess, without cancellation
  };
  const Node& node(double k);
  double log_moment_less_one(double exponent);

  std::unique_ptr<const OutputPair> pair_;
  int level_ = 0;
  std::vector<Node> up_, down_;  // outputs 0, 1, .. and -1, -2, ..
};

// P a mixture of N(centre, sigma^2) and Q another, centres of `with` >= 0 and of `without` <= 0, weights of each summing
// to 1. One Poisson-sampled unit: {1-q at 0, q at 1} against {1 at 0}.
struct GaussianComponent {
  double weight = 0;
  double centre = 0;
};

class GaussianPair final : public OutputPair {
 public:
  GaussianPair(double sigma, const std::vector<GaussianComponent>& with, const std::vector<GaussianComponent>& without);
  PairOutput output(double k, int level) const override;
  int level(double exponent) const override;
  Reach reach(double exponent, int level) const override;

 private:
  struct Side {
    Side(double sigma, const std::vector<GaussianComponent>& all);
    struct Part {
      double weight, log_weight, centre;  // centre in units of sigma
    };
    std::vector<Part> parts;
    double farthest = 0;   // largest |centre|
    double flat_from = 0;  // |x| on the far side of 0 beyond which the density over N(0)'s hardly changes
    // The density over that of N(0) at x: its logarithm, and itself less 1.
    void over_standard(double x, double& log_ratio, double& excess) const;
  };
  double step(int level) const;
  Side with_, without_;
};

}  // namespace sotto::privacy
