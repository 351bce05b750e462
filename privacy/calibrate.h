// From a wanted epsilon to parameters, by RDP (rdp.h). What is returned never spends more than what was asked: each function
// checks its answer with epsilon_of_steps, and leaves 1e-9 of epsilon free so that the same holds for the events of the
// discrete mechanism. Refusals name the value that would have been needed. Pure functions; any thread.
#pragma once

#include <cstdint>

#include "privacy/units.h"

namespace sotto::privacy {

// The smallest sigma (to 1e-7, rounded up) with which `steps` steps at `rate` stay within (epsilon, delta).
Result<NoiseMultiplier> calibrate_noise(Epsilon epsilon, Delta delta, SamplingRate rate, std::uint64_t steps);

// The most steps that stay within (epsilon, delta); refused when not even one does.
Result<std::uint64_t> calibrate_steps(Epsilon epsilon, Delta delta, SamplingRate rate, NoiseMultiplier sigma);

// The largest rate (to 1e-7, rounded down) with which `steps` steps stay within (epsilon, delta).
Result<SamplingRate> calibrate_rate(Epsilon epsilon, Delta delta, NoiseMultiplier sigma, std::uint64_t steps);

}  // namespace sotto::privacy
