// DpEvent: what one DP-SGD step released, with every parameter that an accountant needs. A step's event is put together only
// from what the sampler and the noise function returned (SampledUnits, NoisySum), so it says what ran, not what a plan
// wished. Here it is plain data: logs carry it and auditors read it back. Values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "privacy/mechanism/kinds.h"
#include "privacy/mechanism/units.h"

namespace sotto::privacy {

// Of a random number of runs the best one's result alone is released (mechanism.h, RepeatAndSelect). The event is then what
// one run releases; `choices` such events in a row are what a run may be, each run as its settings fall.
enum class TrialsKind : std::uint8_t { kNone = 0, kPoisson = 1, kGeometric = 2 };
constexpr std::array<NamedValue<TrialsKind>, 3> names_of(TrialsKind) {
  return {{{TrialsKind::kNone, "none"}, {TrialsKind::kPoisson, "poisson"}, {TrialsKind::kGeometric, "geometric"}}};
}
inline std::string to_string(TrialsKind kind) { return std::string(name_of(kind)); }
struct Trials {
  TrialsKind kind = TrialsKind::kNone;
  double mean = 0;            // expected number of runs, at least 1
  std::uint64_t choices = 0;  // 1 to kMostChoices
  bool operator==(const Trials&) const = default;
};
inline constexpr std::uint64_t kMostChoices = 64;

// A member that a kind has no use for keeps the value given here, is not written, and is refused when read.
struct DpEvent {
  Unit unit = Unit::kPatient;
  SamplingKind sampling = SamplingKind::kPoisson;
  SamplingRate sampling_rate{1.0};   // that ran: poisson, truncated_poisson
  std::uint64_t population = 0;      // truncated_poisson: declared upper bound on the units; fixed_size: their number
  std::uint64_t batch_size = 0;      // truncated_poisson, fixed_size; at most the population
  std::uint64_t epoch_steps = 0;     // t, random_allocation
  std::uint64_t epoch_step = 0;      // random_allocation: which of the epoch's steps, 1..t; 0: `count` whole epochs
  std::uint64_t min_separation = 0;  // min_separation
  std::uint64_t run_steps = 0;       // min_separation
  std::uint64_t run_step = 0;        // min_separation: which of the run's steps, 1..run_steps; 0: `count` whole runs
  NoiseKind noise = NoiseKind::kDiscreteGaussian;
  std::uint64_t noise_stddev = 0;  // s, in grid units, that ran: an integer, see noise.h
  std::uint64_t noise_shares = 1;  // discrete_gaussian_shares: those that nobody colluding made; at least 2
  std::uint64_t bands = 0;         // banded, blt
  std::uint64_t sensitivity = 0;   // C~, in grid units: no unit's integer vector is longer (L2)
  std::uint64_t dimension = 0;     // d: coordinates of the released vector
  double grid_step = 0;            // length of a grid unit, in the gradient's unit
  std::uint64_t count = 1;         // this many such steps (or epochs), each with fresh samples and noise
  Trials trials;
  bool operator==(const DpEvent&) const = default;
};

// Canonical bytes (for the event log) and JSON (for reports and `compose`). Reading refuses unknown kinds and values outside
// their range, by name: an event that this version does not know is never accounted as something else.
Bytes encode(const DpEvent& event);
Result<DpEvent> decode_event(ByteSpan bytes);
Json to_json(const DpEvent& event);
Result<DpEvent> event_from_json(const Json& json);

// Neighbouring equal events as one with the sum of their counts.
std::vector<DpEvent> merged(const std::vector<DpEvent>& events);

// The noise's certificate (docs/privacy.md, "The noise"). Discrete Gaussian noise of standard deviation s on the integers is
// a randomised rounding, of width r, of continuous Gaussian noise of variance s^2 - r^2, up to a log-ratio of at most
// kLogRatioPerCoordinate in each coordinate and either direction; so is a sum of n such noises, of variance n s^2 - r^2. So
// an event is accounted as a Gaussian with
//   effective noise multiplier = sqrt(n s^2 - r^2) / C~   (rounded down)
// and d * kLogRatioPerCoordinate is charged besides, as a pure max-divergence in both directions.
inline constexpr double kRoundingWidth = 2.0;             // r, grid units
inline constexpr std::uint64_t kSmallestNoiseStddev = 8;  // s, grid units: what the proof asks for
inline constexpr double kLogRatioPerCoordinate =
    1.03e-34;  // > -ln(1 - 2 sum_k exp(-2 pi^2 r^2 k^2)) + ln(1 + the same with s)

// Refused when s < kSmallestNoiseStddev (noise off, or a grid too coarse for the certificate) or C~ = 0.
Result<NoiseMultiplier> effective_noise_multiplier(const DpEvent& event);
double certificate_log_ratio(const DpEvent& event);  // d * kLogRatioPerCoordinate, for one step

}  // namespace sotto::privacy
