#include "privacy/mechanism/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "base/check.h"

namespace sotto::privacy {
namespace {

bool good_epsilon(double v) { return std::isfinite(v) && v >= 0; }
bool good_delta(double v) { return v > 0 && v < 1; }
bool good_clip(double v) { return v >= 1e-12 && v <= 1e12; }
bool good_multiplier(double v) { return v >= 1e-3 && v <= 1e6; }
bool good_rate(double v) { return v >= 0x1p-64 && v <= 1; }

std::string shown(double v) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), v);
  return std::string(text.data(), end.ptr);
}

template <class T>
Result<T> make_checked(double value, bool good, const char* name, const char* range) {
  if (!good) return invalid(std::string(name) + " is " + shown(value) + "; give a number " + range);
  return T(value);
}

}  // namespace

Epsilon::Epsilon(double value) : value_(value) { SOTTO_CHECK(good_epsilon(value)); }
Result<Epsilon> Epsilon::make(double value) {
  return make_checked<Epsilon>(value, good_epsilon(value), "epsilon", "of 0 or more");
}

Delta::Delta(double value) : value_(value) { SOTTO_CHECK(good_delta(value)); }
Result<Delta> Delta::make(double value) {
  return make_checked<Delta>(value, good_delta(value), "delta", "above 0 and below 1");
}

ClipNorm::ClipNorm(double l2) : l2_(l2) { SOTTO_CHECK(good_clip(l2)); }
Result<ClipNorm> ClipNorm::make(double l2) {
  return make_checked<ClipNorm>(l2, good_clip(l2), "clip norm", "from 1e-12 to 1e12");
}

NoiseMultiplier::NoiseMultiplier(double value) : value_(value) { SOTTO_CHECK(good_multiplier(value)); }
Result<NoiseMultiplier> NoiseMultiplier::make(double value) {
  return make_checked<NoiseMultiplier>(value, good_multiplier(value), "noise multiplier", "from 0.001 to 1000000");
}

SamplingRate::SamplingRate(double value) : value_(std::ldexp(std::floor(std::ldexp(value, 64)), -64)) {
  SOTTO_CHECK(good_rate(value));
}
Result<SamplingRate> SamplingRate::make(double value) {
  return make_checked<SamplingRate>(value, good_rate(value), "sampling rate", "above 0 (at least 2^-64) and at most 1");
}

std::uint64_t SamplingRate::threshold() const {
  SOTTO_CHECK(!always());
  return static_cast<std::uint64_t>(std::ldexp(value_, 64));
}

ExpectedBatch::ExpectedBatch(SamplingRate rate, std::uint64_t declared_size)
    : value_(rate.value() * static_cast<double>(declared_size)) {
  SOTTO_CHECK(declared_size > 0);
}

}  // namespace sotto::privacy
