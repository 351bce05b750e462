#include "privacy/mechanism/event.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "base/check.h"
#include "privacy/mechanism/correlation.h"

namespace sotto::privacy {
namespace {

constexpr std::uint8_t kFormat = 1, kFormatOfTrials = 2;
constexpr std::uint64_t kLargest = std::uint64_t{1} << 53;  // whole numbers up to here survive JSON and double

bool is_correlated(const DpEvent& e) { return e.noise == NoiseKind::kBanded || e.noise == NoiseKind::kBlt; }

// Members that only some kinds have, in the order in which they are written.
struct Optional {
  std::string_view name;
  std::uint64_t DpEvent::* member;
  bool (*used)(const DpEvent&);
};
constexpr std::array<Optional, 9> kOptional = {{
    {"population", &DpEvent::population,
     [](const DpEvent& e) {
       return e.sampling == SamplingKind::kTruncatedPoisson || e.sampling == SamplingKind::kFixedSize;
     }},
    {"batch_size", &DpEvent::batch_size,
     [](const DpEvent& e) {
       return e.sampling == SamplingKind::kTruncatedPoisson || e.sampling == SamplingKind::kFixedSize;
     }},
    {"epoch_steps", &DpEvent::epoch_steps, [](const DpEvent& e) { return e.sampling == SamplingKind::kRandomAllocation; }},
    {"epoch_step", &DpEvent::epoch_step, [](const DpEvent& e) { return e.sampling == SamplingKind::kRandomAllocation; }},
    {"min_separation", &DpEvent::min_separation,
     [](const DpEvent& e) { return e.sampling == SamplingKind::kMinSeparation; }},
    {"run_steps", &DpEvent::run_steps, [](const DpEvent& e) { return e.sampling == SamplingKind::kMinSeparation; }},
    {"run_step", &DpEvent::run_step, [](const DpEvent& e) { return e.sampling == SamplingKind::kMinSeparation; }},
    {"bands", &DpEvent::bands, [](const DpEvent& e) { return is_correlated(e); }},
    {"noise_shares", &DpEvent::noise_shares, [](const DpEvent& e) { return e.noise == NoiseKind::kDiscreteGaussianShares; }},
}};
constexpr std::array<std::string_view, 10> kMembers = {"trials",       "unit",        "sampling",  "sampling_rate", "noise",
                                                       "noise_stddev", "sensitivity", "dimension", "grid_step",     "count"};

bool has_rate(const DpEvent& event) {
  return event.sampling == SamplingKind::kPoisson || event.sampling == SamplingKind::kTruncatedPoisson;
}

Error outside(const char* field, const std::string& range) {
  return invalid(std::string("privacy event: ") + field + " must be " + range +
                 "; the event is damaged or from another program");
}

bool has_trials(const DpEvent& event) { return event.trials.kind != TrialsKind::kNone; }

Result<void> check_trials(const DpEvent& event) {
  if (!has_trials(event)) return {};
  if (!(event.trials.mean >= 1 && event.trials.mean <= 1e6)) return outside("trials.mean", "from 1 to 1000000");
  if (event.trials.choices == 0 || event.trials.choices > kMostChoices) return outside("trials.choices", "from 1 to 64");
  if (event.epoch_step > 0 || event.run_step > 0) return outside("trials", "of whole runs");
  return {};
}

// Everything about an event that does not depend on how it was written.
Result<DpEvent> checked(DpEvent event, double rate) {
  SOTTO_TRY(event.sampling_rate, SamplingRate::make(rate));
  if (event.sampling_rate.value() != rate) return outside("sampling_rate", "a multiple of 2^-64");
  if (!has_rate(event) && rate != 1) return outside("sampling_rate", "1 where the sampling has no rate");
  for (const Optional& optional : kOptional) {
    const std::string name(optional.name);
    if (!optional.used(event)) {
      if (event.*optional.member != DpEvent{}.*optional.member) return outside(name.c_str(), "left out for its kind");
    } else if (event.*optional.member > kLargest) {
      return outside(name.c_str(), "at most 2^53");
    } else if (event.*optional.member == 0 && optional.member != &DpEvent::epoch_step &&
               optional.member != &DpEvent::run_step) {
      return outside(name.c_str(), "at least 1");
    }
  }
  if (event.batch_size > event.population) return outside("batch_size", "at most the population");
  if (event.epoch_step > event.epoch_steps) return outside("epoch_step", "at most epoch_steps");
  if (event.epoch_step > 0 && event.count != 1) return outside("count", "1 for a single step of an epoch");
  if (event.run_step > event.run_steps) return outside("run_step", "at most run_steps");
  if (event.run_step > 0 && event.count != 1) return outside("count", "1 for a single step of a run");
  if (event.run_steps > (event.noise == NoiseKind::kBlt ? kMostBltSteps : kMostCorrelatedSteps))
    return outside("run_steps", "at most 1000000 (blt: 4096)");
  if (is_correlated(event)) {
    if (event.sampling != SamplingKind::kMinSeparation)
      return outside("sampling", "min_separation where noise is correlated");
    if (event.bands > (event.noise == NoiseKind::kBlt ? kMostBuffers : kMostBands))
      return outside("bands", "at most 4096 (blt: 64)");
  }
  if (event.noise == NoiseKind::kDiscreteGaussianShares && event.noise_shares < 2)
    return outside("noise_shares", "2 or more");
  if (event.noise_stddev > kLargest) return outside("noise_stddev", "at most 2^53");
  if (event.sensitivity == 0 || event.sensitivity > kLargest) return outside("sensitivity", "from 1 to 2^53");
  if (event.dimension == 0 || event.dimension > kLargest) return outside("dimension", "from 1 to 2^53");
  if (!(event.grid_step > 0 && std::isfinite(event.grid_step))) return outside("grid_step", "a finite number above 0");
  if (event.count == 0 || event.count > kLargest) return outside("count", "from 1 to 2^53");
  SOTTO_TRY_VOID(check_trials(event));
  return event;
}

// Of a kind that the byte stands for.
template <NamedEnum Kind>
Result<Kind> kind_coded(std::string_view member, std::uint8_t code) {
  if (const auto kind = with_number<Kind>(code)) return *kind;
  return unsupported("privacy event: " + std::string(member) + " " + std::to_string(code) + " is not known to this version");
}

Result<std::uint64_t> get_count(const Json& json, std::string_view name) {
  SOTTO_TRY(const std::int64_t value, json.get_int(name));
  if (value < 0) return outside(std::string(name).c_str(), "0 or more");
  return static_cast<std::uint64_t>(value);
}

}  // namespace

Bytes encode(const DpEvent& event) {
  ByteWriter out;
  out.u8(has_trials(event) ? kFormatOfTrials : kFormat)
      .u8(static_cast<std::uint8_t>(event.unit))
      .u8(static_cast<std::uint8_t>(event.sampling))
      .f64(event.sampling_rate.value())
      .u8(static_cast<std::uint8_t>(event.noise))
      .u64(event.noise_stddev)
      .u64(event.sensitivity)
      .u64(event.dimension)
      .f64(event.grid_step)
      .u64(event.count);
  for (const Optional& optional : kOptional) {
    if (optional.used(event)) out.u64(event.*optional.member);
  }
  if (has_trials(event))
    out.u8(static_cast<std::uint8_t>(event.trials.kind)).f64(event.trials.mean).u64(event.trials.choices);
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
  if (!in.ok()) SOTTO_TRY_VOID(in.finish("privacy event"));
  if (format != kFormat && format != kFormatOfTrials)
    return unsupported("privacy event: format " + std::to_string(format) + " is not known to this version");
  SOTTO_TRY(event.unit, kind_coded<Unit>("unit", unit));
  SOTTO_TRY(event.sampling, kind_coded<SamplingKind>("sampling", sampling));
  SOTTO_TRY(event.noise, kind_coded<NoiseKind>("noise", noise));
  for (const Optional& optional : kOptional) {
    if (optional.used(event)) event.*optional.member = in.u64();
  }
  if (format == kFormatOfTrials) {
    const std::uint8_t kind = in.u8();
    event.trials.mean = in.f64();
    event.trials.choices = in.u64();
    SOTTO_TRY(event.trials.kind, kind_coded<TrialsKind>("trials", kind));
    if (!has_trials(event)) return outside("trials", "left out where there are none");
  }
  SOTTO_TRY_VOID(in.finish("privacy event"));
  return checked(event, rate);
}

Json to_json(const DpEvent& event) {
  Json out = Json::object({{"unit", to_string(event.unit)}, {"sampling", to_string(event.sampling)}});
  if (has_rate(event)) out.set("sampling_rate", event.sampling_rate.value());
  out.set("noise", to_string(event.noise));
  out.set("noise_stddev", event.noise_stddev);
  out.set("sensitivity", event.sensitivity);
  out.set("dimension", event.dimension);
  out.set("grid_step", event.grid_step);
  out.set("count", event.count);
  for (const Optional& optional : kOptional) {
    if (optional.used(event)) out.set(optional.name, event.*optional.member);
  }
  if (has_trials(event))
    out.set("trials",
            Json::object(
                {{"number", to_string(event.trials.kind)}, {"mean", event.trials.mean}, {"choices", event.trials.choices}}));
  return out;
}

Result<DpEvent> event_from_json(const Json& json) {
  if (!json.is_object()) return invalid("privacy event: not a JSON object; give one with the members that to_json writes");
  DpEvent event;
  SOTTO_TRY(const std::string unit, json.get_string("unit"));
  SOTTO_TRY(const std::string sampling, json.get_string("sampling"));
  SOTTO_TRY(const std::string noise, json.get_string("noise"));
  SOTTO_TRY(event.unit, from_string<Unit>("privacy unit", unit));
  SOTTO_TRY(event.sampling, from_string<SamplingKind>("privacy event: sampling", sampling));
  SOTTO_TRY(event.noise, from_string<NoiseKind>("privacy event: noise", noise));
  for (const auto& [name, value] : json.members()) {
    const auto optional =
        std::find_if(kOptional.begin(), kOptional.end(), [&](const Optional& o) { return o.name == name; });
    const bool known = optional != kOptional.end() ? optional->used(event)
                                                   : std::find(kMembers.begin(), kMembers.end(), name) != kMembers.end() &&
                                                         (name != "sampling_rate" || has_rate(event));
    if (!known) return unsupported("privacy event: member \"" + name + "\" is not known to this version for these kinds");
  }
  if (const Json* trials = json.find("trials")) {
    SOTTO_TRY(const auto* members, json.get_object("trials"));
    if (members->size() != 3)
      return unsupported("privacy event: \"trials\" has other members than number, mean and choices");
    SOTTO_TRY(const std::string number, trials->get_string("number"));
    SOTTO_TRY(event.trials.kind, from_string<TrialsKind>("privacy event: trials", number));
    if (!has_trials(event)) return outside("trials", "left out where there are none");
    SOTTO_TRY(event.trials.mean, trials->get_double("mean"));
    SOTTO_TRY(event.trials.choices, get_count(*trials, "choices"));
  }
  double rate = 1;
  if (has_rate(event)) {
    SOTTO_TRY(rate, json.get_double("sampling_rate"));
  }
  SOTTO_TRY(event.noise_stddev, get_count(json, "noise_stddev"));
  SOTTO_TRY(event.sensitivity, get_count(json, "sensitivity"));
  SOTTO_TRY(event.dimension, get_count(json, "dimension"));
  SOTTO_TRY(event.grid_step, json.get_double("grid_step"));
  if (json.find("count") != nullptr) {
    SOTTO_TRY(event.count, get_count(json, "count"));
  }
  for (const Optional& optional : kOptional) {
    if (!optional.used(event)) continue;
    SOTTO_TRY(event.*optional.member, get_count(json, optional.name));
  }
  return checked(event, rate);
}

std::vector<DpEvent> merged(const std::vector<DpEvent>& events) {
  std::vector<DpEvent> out;
  for (const auto& event : events) {
    if (!out.empty() && !has_trials(event)) {  // steps of a run add up, selections do not
      auto same = event;
      same.count = out.back().count;
      if (same == out.back() && event.count <= std::numeric_limits<std::uint64_t>::max() - same.count) {
        out.back().count += event.count;
        continue;
      }
    }
    out.push_back(event);
  }
  return out;
}

Result<NoiseMultiplier> effective_noise_multiplier(const DpEvent& event) {
  if (event.noise_stddev < kSmallestNoiseStddev) {
    return refused("privacy event: noise of " + std::to_string(event.noise_stddev) + " grid units is below the " +
                   std::to_string(kSmallestNoiseStddev) + " that its proof needs; no epsilon can be given for it");
  }
  if (event.sensitivity == 0) return outside("sensitivity", "at least 1 grid unit");
  // sqrt(n s^2 - r^2), as sqrt(n) times that of one noise with r / sqrt(n).
  const double s = static_cast<double>(event.noise_stddev);
  const double n = static_cast<double>(event.noise_shares);
  const double r = kRoundingWidth / std::sqrt(n);
  constexpr double kDown = 1 - 2e-15;  // nine roundings of at most 2^-53 each
  const double root = std::sqrt(n) * std::sqrt(s - r) * std::sqrt(s + r);
  constexpr double kMost = 1e6;  // NoiseMultiplier's own; counting less noise than there is is safe
  return NoiseMultiplier::make(std::min(root / static_cast<double>(event.sensitivity) * kDown, kMost));
}

double certificate_log_ratio(const DpEvent& event) { return static_cast<double>(event.dimension) * kLogRatioPerCoordinate; }

}  // namespace sotto::privacy
