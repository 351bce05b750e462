// The words of a privacy guarantee: who is protected, how units are drawn, how gradients are clipped, how noise hangs together
// over the steps. Each is one enumeration with one table of names; plans, events, logs, files and reports use these numbers
// and names. Their numbers stand in signed bytes: none may ever change. Values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/enum_names.h"

namespace sotto::privacy {

// What is protected: two data sets are neighbours when one has one unit more than the other (add or remove).
enum class Unit : std::uint8_t { kPatient = 1, kRecord = 2 };
constexpr std::array<NamedValue<Unit>, 2> names_of(Unit) {
  return {{{Unit::kPatient, "patient"}, {Unit::kRecord, "record"}}};
}
inline std::string to_string(Unit unit) { return std::string(name_of(unit)); }

// How the units of a step are drawn (docs/privacy.md, "Other samplers"):
//   poisson            each unit with probability q, independently
//   truncated_poisson  the same; of more than `batch_size` drawn, `batch_size` stay, uniformly. At most `population` units
//   fixed_size         `batch_size` of `population` units, uniformly without replacement; neighbours: one unit replaced
//   random_allocation  each unit in one of an epoch's `epoch_steps` steps, uniformly (balls and bins)
//   min_separation     no chance counted on: a unit takes part in every `min_separation`-th of the run's `run_steps` steps
enum class SamplingKind : std::uint8_t {
  kPoisson = 1,
  kTruncatedPoisson = 2,
  kFixedSize = 3,
  kRandomAllocation = 4,
  kMinSeparation = 5
};
constexpr std::array<NamedValue<SamplingKind>, 5> names_of(SamplingKind) {
  return {{{SamplingKind::kPoisson, "poisson"},
           {SamplingKind::kTruncatedPoisson, "truncated_poisson"},
           {SamplingKind::kFixedSize, "fixed_size"},
           {SamplingKind::kRandomAllocation, "random_allocation"},
           {SamplingKind::kMinSeparation, "min_separation"}}};
}
inline std::string to_string(SamplingKind kind) { return std::string(name_of(kind)); }

// How one unit's gradient is brought within the bound that a grid stands for (docs/privacy.md, "Clipping"):
//   flat       g min(1, C / ||g||): Abadi et al. 2016, arXiv 1607.00133
//   automatic  g C / (||g|| + gamma), gamma = 0.01: Bu et al. 2022, arXiv 2206.07136, AUTO-S
//   per_layer  flat in each of M groups of coordinates, to C / sqrt(M): McMahan et al. 2018, arXiv 1710.06963
//   adaptive   flat, at a threshold that follows a private quantile of the norms: Andrew et al. 2021, arXiv 1905.03871
enum class ClippingKind : std::uint8_t { kFlat = 1, kAutomatic = 2, kPerLayer = 3, kAdaptive = 4 };
constexpr std::array<NamedValue<ClippingKind>, 4> names_of(ClippingKind) {
  return {{{ClippingKind::kFlat, "flat"},
           {ClippingKind::kAutomatic, "automatic"},
           {ClippingKind::kPerLayer, "per_layer"},
           {ClippingKind::kAdaptive, "adaptive"}}};
}
inline std::string to_string(ClippingKind kind) { return std::string(name_of(kind)); }

// How the noise of a run's steps hangs together: which matrix C of correlation.h. independent: the identity.
enum class CorrelationKind : std::uint8_t { kIndependent = 1, kBanded = 2, kBlt = 3 };
constexpr std::array<NamedValue<CorrelationKind>, 3> names_of(CorrelationKind) {
  return {{{CorrelationKind::kIndependent, "independent"},
           {CorrelationKind::kBanded, "banded"},
           {CorrelationKind::kBlt, "blt"}}};
}
inline std::string to_string(CorrelationKind kind) { return std::string(name_of(kind)); }

// What an event says of the noise that ran: the draw, where CorrelationKind is what was asked for.
//   discrete_gaussian         one draw of standard deviation s a coordinate
//   discrete_gaussian_shares  the sum of `noise_shares` independent ones, s each
//   banded, blt               one draw of deviation s a coordinate and step under the matrix of the run (correlation.h)
enum class NoiseKind : std::uint8_t { kDiscreteGaussian = 1, kDiscreteGaussianShares = 2, kBanded = 3, kBlt = 4 };
constexpr std::array<NamedValue<NoiseKind>, 4> names_of(NoiseKind) {
  return {{{NoiseKind::kDiscreteGaussian, "discrete_gaussian"},
           {NoiseKind::kDiscreteGaussianShares, "discrete_gaussian_shares"},
           {NoiseKind::kBanded, "banded"},
           {NoiseKind::kBlt, "blt"}}};
}
inline std::string to_string(NoiseKind kind) { return std::string(name_of(kind)); }

}  // namespace sotto::privacy
