// A broken build, for the test that it is caught: linked with --wrap, so that the product has no switch for it. With
// SOTTO_NOISE_OFF=always every sum gets noise zero, and the events say what the plan says all the same.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "privacy/mechanism/noise.h"

#define SOTTO_ADD_NOISE "_ZN5sotto7privacy8NoisySum9add_noiseEONS0_10ClippedSumENS0_15NoiseMultiplierERNS_12RandomSourceE"

namespace sotto::privacy {

// The linker's names: calls of NoisySum::add_noise arrive at __wrap_, and __real_ is the product's own.
NoisySum real_add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) asm("__real_" SOTTO_ADD_NOISE);
NoisySum wrapped_add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) asm("__wrap_" SOTTO_ADD_NOISE);

namespace {

class Zeros final : public RandomSource {  // of which the sampler makes zeros
 public:
  void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, std::uint8_t{0}); }
};

}  // namespace

NoisySum wrapped_add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) {
  const char* off = std::getenv("SOTTO_NOISE_OFF");
  const bool is_off = off != nullptr && std::string(off) == "always";
  Zeros zeros;
  return real_add_noise(std::move(sum), sigma, is_off ? static_cast<RandomSource&>(zeros) : random);
}

}  // namespace sotto::privacy
