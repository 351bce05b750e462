#include "privacy/event.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "base/check.h"

namespace sotto::privacy {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint64_t kLargest = std::uint64_t{1} << 53;  // whole numbers up to here survive JSON and double
constexpr std::array<std::string_view, 9> kMembers = {"unit",        "sampling",  "sampling_rate", "noise", "noise_stddev",
                                                      "sensitivity", "dimension", "grid_step",     "count"};

Error outside(const char* field, const std::string& range) {
  return invalid(std::string("privacy event: ") + field + " must be " + range +
                 "; the event is damaged or from another program");
}

// Everything about an event that does not depend on how it was written.
Result<DpEvent> checked(DpEvent event, double rate) {
  SOTTO_TRY(event.sampling_rate, SamplingRate::make(rate));
  if (event.sampling_rate.value() != rate) return outside("sampling_rate", "a multiple of 2^-64");
  if (event.noise_stddev > kLargest) return outside("noise_stddev", "at most 2^53");
  if (event.sensitivity == 0 || event.sensitivity > kLargest) return outside("sensitivity", "from 1 to 2^53");
  if (event.dimension == 0 || event.dimension > kLargest) return outside("dimension", "from 1 to 2^53");
  if (!(event.grid_step > 0 && std::isfinite(event.grid_step))) return outside("grid_step", "a finite number above 0");
  if (event.count == 0 || event.count > kLargest) return outside("count", "from 1 to 2^53");
  return event;
}

Result<std::uint64_t> get_count(const Json& json, std::string_view name) {
  SOTTO_TRY(const std::int64_t value, json.get_int(name));
  if (value < 0) return outside(std::string(name).c_str(), "0 or more");
  return static_cast<std::uint64_t>(value);
}

}  // namespace

std::string_view to_string(SamplingKind kind) {
  switch (kind) {
    case SamplingKind::kPoisson: return "poisson";
  }
  throw Failure("a sampling kind outside its enumeration");
}

std::string_view to_string(NoiseKind kind) {
  switch (kind) {
    case NoiseKind::kDiscreteGaussian: return "discrete_gaussian";
  }
  throw Failure("a noise kind outside its enumeration");
}

Bytes encode(const DpEvent& event) {
  ByteWriter out;
  out.u8(kFormat)
      .u8(static_cast<std::uint8_t>(event.unit))
      .u8(static_cast<std::uint8_t>(event.sampling))
      .f64(event.sampling_rate.value())
      .u8(static_cast<std::uint8_t>(event.noise))
      .u64(event.noise_stddev)
      .u64(event.sensitivity)
      .u64(event.dimension)
      .f64(event.grid_step)
      .u64(event.count);
  return out.take();
}

Result<DpEvent> decode_event(ByteSpan bytes) {
  ByteReader in(bytes);
  const std::uint8_t format = in.u8();
  const std::uint8_t unit = in.u8();
  const std::uint8_t sampling = in.u8();
  const double rate = in.f64();
  const std::uint8_t noise = in.u8();
  DpEvent event;
  event.noise_stddev = in.u64();
  event.sensitivity = in.u64();
  event.dimension = in.u64();
  event.grid_step = in.f64();
  event.count = in.u64();
  SOTTO_TRY_VOID(in.finish("privacy event"));
  if (format != kFormat)
    return unsupported("privacy event: format " + std::to_string(format) + " is not known to this version");
  if (unit != static_cast<std::uint8_t>(Unit::kPatient) && unit != static_cast<std::uint8_t>(Unit::kRecord)) {
    return unsupported("privacy event: unit " + std::to_string(unit) + " is not known to this version");
  }
  if (sampling != static_cast<std::uint8_t>(SamplingKind::kPoisson)) {
    return unsupported("privacy event: sampling " + std::to_string(sampling) + " is not known to this version");
  }
  if (noise != static_cast<std::uint8_t>(NoiseKind::kDiscreteGaussian)) {
    return unsupported("privacy event: noise " + std::to_string(noise) + " is not known to this version");
  }
  event.unit = static_cast<Unit>(unit);
  return checked(event, rate);
}

Json to_json(const DpEvent& event) {
  return Json::object({{"unit", to_string(event.unit)},
                       {"sampling", to_string(event.sampling)},
                       {"sampling_rate", event.sampling_rate.value()},
                       {"noise", to_string(event.noise)},
                       {"noise_stddev", event.noise_stddev},
                       {"sensitivity", event.sensitivity},
                       {"dimension", event.dimension},
                       {"grid_step", event.grid_step},
                       {"count", event.count}});
}

Result<DpEvent> event_from_json(const Json& json) {
  if (!json.is_object()) return invalid("privacy event: not a JSON object; give one with the members that to_json writes");
  for (const auto& [name, value] : json.members()) {
    if (std::find(kMembers.begin(), kMembers.end(), name) == kMembers.end()) {
      return unsupported("privacy event: member \"" + name + "\" is not known to this version");
    }
  }
  SOTTO_TRY(const std::string unit, json.get_string("unit"));
  SOTTO_TRY(const std::string sampling, json.get_string("sampling"));
  SOTTO_TRY(const double rate, json.get_double("sampling_rate"));
  SOTTO_TRY(const std::string noise, json.get_string("noise"));
  if (sampling != to_string(SamplingKind::kPoisson)) {
    return unsupported("privacy event: sampling \"" + sampling + "\" is not known to this version");
  }
  if (noise != to_string(NoiseKind::kDiscreteGaussian)) {
    return unsupported("privacy event: noise \"" + noise + "\" is not known to this version");
  }
  DpEvent event;
  SOTTO_TRY(event.unit, unit_from_string(unit));
  SOTTO_TRY(event.noise_stddev, get_count(json, "noise_stddev"));
  SOTTO_TRY(event.sensitivity, get_count(json, "sensitivity"));
  SOTTO_TRY(event.dimension, get_count(json, "dimension"));
  SOTTO_TRY(event.grid_step, json.get_double("grid_step"));
  if (json.find("count") != nullptr) {
    SOTTO_TRY(event.count, get_count(json, "count"));
  }
  return checked(event, rate);
}

Result<NoiseMultiplier> effective_noise_multiplier(const DpEvent& event) {
  if (event.noise_stddev < kSmallestNoiseStddev) {
    return refused("privacy event: noise of " + std::to_string(event.noise_stddev) + " grid units is below the " +
                   std::to_string(kSmallestNoiseStddev) + " that its proof needs; no epsilon can be given for it");
  }
  if (event.sensitivity == 0) return outside("sensitivity", "at least 1 grid unit");
  const double s = static_cast<double>(event.noise_stddev);
  constexpr double kDown = 1 - 1e-15;  // five roundings of at most 2^-53 each
  const double root = std::sqrt(s - kRoundingWidth) * std::sqrt(s + kRoundingWidth);
  constexpr double kMost = 1e6;  // NoiseMultiplier's own; counting less noise than there is is safe
  return NoiseMultiplier::make(std::min(root / static_cast<double>(event.sensitivity) * kDown, kMost));
}

double certificate_log_ratio(const DpEvent& event) { return static_cast<double>(event.dimension) * kLogRatioPerCoordinate; }

}  // namespace sotto::privacy
