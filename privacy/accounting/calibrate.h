// From a wanted epsilon to parameters, for every mechanism and sampler of mechanism.h. What is returned never spends more
// than what was asked: each answer was checked with the accountant's upper bound, 1e-9 below the target, so that the same
// holds for the events of the discrete mechanism. Refusals name the value that would have been needed. Pure functions; any
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "privacy/accounting/mechanism.h"
#include "privacy/mechanism/neighbours.h"
#include "privacy/mechanism/units.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

enum class Accountant : std::uint8_t {
  kRdp = 1,   // Renyi divergence (rdp.h): an upper bound
  kPld = 2,   // privacy loss distributions (pld.h): a certified bracket
  kBoth = 3,  // the smaller upper end of the two
};
std::string_view to_string(Accountant accountant);  // "rdp", "pld", "both"
Result<Accountant> accountant_from_string(std::string_view name);

struct PrivacyTarget {
  Epsilon epsilon;
  Delta delta;
  Accountant accountant = Accountant::kBoth;
  Neighbours neighbours = Neighbours::kAddRemove;
};

// What of a release is looked for:
//   kNoise  its noise multiplier, scale, standard deviation or variance: the smallest (to 1e-7, rounded up)
//   kRate   its sampling rate: the largest (to 1e-7, rounded down). fixed_size: the batch size, random_allocation: the
//           number of steps that a unit is in; whole numbers
//   kSteps  its count of steps, or epochs: the most
enum class Parameter : std::uint8_t { kNoise = 1, kRate = 2, kSteps = 3 };

// The release with that parameter in place of its own. By kBoth the privacy losses leave the width of their bracket free
// besides: a run whose noise is no less, step by step and at its end, is then never charged more than the target
// (proven_epsilon). Refused: a target out of reach, a release without such a parameter, one that no accountant knows.
Result<Release> calibrate(const PrivacyTarget& target, Release release, Parameter parameter);

// The accountant's upper bound; +inf where it has none.
double epsilon_upper(std::span<const Release> releases, const PrivacyTarget& target);

// Gaussian steps under Poisson sampling, add or remove one unit.
double epsilon_upper(const GaussianSteps& steps, Delta delta, Accountant accountant);
Result<NoiseMultiplier> calibrate_noise(Epsilon epsilon, Delta delta, SamplingRate rate, std::uint64_t steps,
                                        Accountant accountant = Accountant::kRdp);
Result<std::uint64_t> calibrate_steps(Epsilon epsilon, Delta delta, SamplingRate rate, NoiseMultiplier sigma,
                                      Accountant accountant = Accountant::kRdp);
Result<SamplingRate> calibrate_rate(Epsilon epsilon, Delta delta, NoiseMultiplier sigma, std::uint64_t steps,
                                    Accountant accountant = Accountant::kRdp);

}  // namespace sotto::privacy
