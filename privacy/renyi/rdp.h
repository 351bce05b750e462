// Renyi differential privacy of the Poisson-subsampled Gaussian mechanism, and its conversion to (epsilon, delta).
// Mironov 2017, arXiv 1702.07476; Mironov, Talwar, Zhang 2019, arXiv 1908.10530. Every value returned is an upper bound: the
// sums and quadratures below are accurate to better than 1e-12 relative, and kRoundoffCover is added on top of them.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "privacy/mechanism/units.h"

namespace sotto::privacy {

// Who has the unit more: kRemove bounds D(with || without), kAdd bounds D(without || with).
enum class Direction : std::uint8_t { kRemove = 1, kAdd = 2 };
std::string_view to_string(Direction direction);  // "remove", "add"

inline constexpr double kRoundoffCover = 1e-11;  // relative
inline constexpr double kSmallestOrder = 1.01;   // conversion is useless, and unstable, nearer to 1
inline constexpr double kLargestOrder = 65536;

// An upper bound on a mechanism's Renyi divergence at every order in (1, kLargestOrder]; +inf where it has none. One thread
// at a time: a curve may keep what later orders need.
class RdpCurve {
 public:
  virtual ~RdpCurve() = default;
  virtual double at(double order, Direction direction) = 0;
};

// One step: Renyi divergence between N(0, sigma^2) and (1-q) N(0, sigma^2) + q N(1, sigma^2), by quadrature
// (docs/privacy.md, "Renyi divergence").
std::unique_ptr<RdpCurve> rdp_curve_of_step(NoiseMultiplier sigma, SamplingRate rate);
double rdp_of_step(double order, NoiseMultiplier sigma, SamplingRate rate, Direction direction);

// The epsilon that RDP of `rdp` at `order` implies at delta: Canonne, Kamath, Steinke 2020, arXiv 2004.00010v4, proposition
// 12; 0 where the KL divergence alone shows it (Bretagnolle-Huber: total variation <= sqrt(1 - exp(-KL))). +inf if order <
// kSmallestOrder.
double epsilon_of_rdp(double order, double rdp, Delta delta);

// `steps` steps of the idealised (continuous) mechanism, for planning and for questions that name no event.
struct GaussianSteps {
  NoiseMultiplier sigma;
  SamplingRate rate;
  std::uint64_t steps = 1;
};

// Any mechanism, `count` times.
struct RdpSteps {
  RdpCurve* curve = nullptr;  // not owned
  double count = 1;
};

struct EpsilonBound {
  Epsilon epsilon{0};
  double order = 0;                          // the order that gave it; 0 when nothing was released
  Direction direction = Direction::kRemove;  // the direction with the larger RDP at that order
};

// The epsilon of the composition, at the best order, in the worse of both directions. max_divergence is charged besides, in
// both directions: each step's true pair of output distributions may differ from the Gaussian's by such a log-ratio, added
// over steps. Refused when the result is not finite.
Result<EpsilonBound> epsilon_of_curves(std::span<const RdpSteps> steps, Delta delta, double max_divergence = 0);
Result<EpsilonBound> epsilon_of_steps(std::span<const GaussianSteps> steps, Delta delta, double max_divergence = 0);

}  // namespace sotto::privacy
