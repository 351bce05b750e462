// From a wanted epsilon to parameters. What is returned never spends more than what was asked: each function checks its answer
// with the accountant's upper bound, and leaves 1e-9 of epsilon free so that the same holds for the events of the discrete
// mechanism. Refusals name the value that would have been needed. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "privacy/rdp.h"
#include "privacy/units.h"

namespace sotto::privacy {

enum class Accountant : std::uint8_t {
  kRdp = 1,  // Renyi divergence (rdp.h): an upper bound
  kPld = 2,  // privacy loss distributions (profile.h): a certified bracket
};
std::string_view to_string(Accountant accountant);  // "rdp", "pld"
Result<Accountant> accountant_from_string(std::string_view name);

// The accountant's upper bound for these steps, add or remove one unit. +inf where it has none.
double epsilon_upper(const GaussianSteps& steps, Delta delta, Accountant accountant);

// The smallest sigma (to 1e-7, rounded up) with which `steps` steps at `rate` stay within (epsilon, delta).
Result<NoiseMultiplier> calibrate_noise(Epsilon epsilon, Delta delta, SamplingRate rate, std::uint64_t steps,
                                        Accountant accountant = Accountant::kRdp);

// The most steps that stay within (epsilon, delta); refused when not even one does.
Result<std::uint64_t> calibrate_steps(Epsilon epsilon, Delta delta, SamplingRate rate, NoiseMultiplier sigma,
                                      Accountant accountant = Accountant::kRdp);

// The largest rate (to 1e-7, rounded down) with which `steps` steps stay within (epsilon, delta).
Result<SamplingRate> calibrate_rate(Epsilon epsilon, Delta delta, NoiseMultiplier sigma, std::uint64_t steps,
                                    Accountant accountant = Accountant::kRdp);

}  // namespace sotto::privacy
