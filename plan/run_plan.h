// What a run is: the constants that every party checks and none may change. The operator writes it as TOML, the coordinator
// fixes it together with a roster, every site approves both by hash. Nothing in a plan depends on a site's true counts:
// sizes are declared (rounded by the site's operator), and q, the normaliser, sigma, steps and weights follow from them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/adapter.h"
#include "base/bytes.h"
#include "base/enum_names.h"
#include "base/ids.h"
#include "base/result.h"
#include "privacy/mechanism/kinds.h"

namespace sotto {

using PublicKeyBytes = std::array<std::uint8_t, 32>;  // Ed25519 or X25519, as on the wire
using SignatureBytes = std::array<std::uint8_t, 64>;  // Ed25519

// Numbers and names of enumerations stand in signed bytes and in logs: none may ever change. Those of the guarantee are
// privacy's own (privacy/mechanism/kinds.h).
enum class Mode : std::uint8_t { kLocal = 1 };  // joint has number 2, and is not in this version
constexpr std::array<NamedValue<Mode>, 1> names_of(Mode) { return {{{Mode::kLocal, "local"}}}; }
inline std::string to_string(Mode mode) { return std::string(name_of(mode)); }

enum class OptimizerKind : std::uint8_t { kAdamW = 1, kSgd = 2 };
constexpr std::array<NamedValue<OptimizerKind>, 2> names_of(OptimizerKind) {
  return {{{OptimizerKind::kAdamW, "adamw"}, {OptimizerKind::kSgd, "sgd"}}};
}
inline std::string to_string(OptimizerKind kind) { return std::string(name_of(kind)); }

enum class Schedule : std::uint8_t { kConstant = 1, kCosine = 2 };
constexpr std::array<NamedValue<Schedule>, 2> names_of(Schedule) {
  return {{{Schedule::kConstant, "constant"}, {Schedule::kCosine, "cosine"}}};
}
inline std::string to_string(Schedule schedule) { return std::string(name_of(schedule)); }

enum class Precision : std::uint8_t { kAuto = 0, kFp32 = 1, kBf16 = 2 };
constexpr std::array<NamedValue<Precision>, 3> names_of(Precision) {
  return {{{Precision::kAuto, "auto"}, {Precision::kFp32, "fp32"}, {Precision::kBf16, "bf16"}}};
}
inline std::string to_string(Precision precision) { return std::string(name_of(precision)); }

using PrivacyUnit = privacy::Unit;

struct PrivateStepPlan {
  privacy::SamplingKind sampling = privacy::SamplingKind::kPoisson;
  std::uint64_t max_batch = 0;  // truncated Poisson: of more units than this, as many stay; otherwise 0
  privacy::ClippingKind clipping = privacy::ClippingKind::kFlat;
  double clip_quantile = 0.5;  // adaptive: the share of units that the threshold should leave as they are
  privacy::CorrelationKind noise = privacy::CorrelationKind::kIndependent;  // other only where units are kept apart
  std::uint32_t bands = 0;     // banded: coefficients; blt: exponentials; otherwise 0
  bool count_clipped = false;  // the log tells the noised share of clipped units; always on where clipping is adaptive
};

struct LoraPlan {
  std::uint32_t rank = 8;
  double alpha = 16;
  double dropout = 0;
  bool rslora = false;
  std::vector<std::string> targets;   // last components of module paths: "q_proj", ...
  std::uint32_t first_layer = 0;      // inclusive
  std::uint32_t last_layer = 0xffff;  // inclusive; beyond the model's last layer means up to the last
};

struct PromptPlan {  // trained = prompt
  std::uint32_t tokens = 16;
  double deviation = 0.1;  // of the normal numbers that it starts from
};

struct OptimizerPlan {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
  double max_grad_norm = 0;  // 0: none. A private run never needs it: each unit is clipped
  std::uint32_t warmup_steps = 0;
  Schedule schedule = Schedule::kConstant;
  double min_lr_ratio = 0;
};

struct RingPlan {
  std::uint32_t bits = 24;  // b: sums are modulo 2^b, b <= 32
  double range = 0.25;      // each coordinate of a weighted update is clipped to [-range, range]
  double step = 1.0 / (1 << 18);
};

struct SitePlan {
  std::string name;
  std::uint64_t declared_size = 0;  // units, rounded by the site's operator
  double sampling_rate = 0;         // q = expected_batch / declared_size
  double noise_multiplier = 0;      // sigma; 0 only when privacy is off
  double weight = 1;                // public, declared
};

struct RunPlan {
  RunId run;
  Digest model{};  // SHA-256 that model_hash gives
  Mode mode = Mode::kLocal;
  privacy::Unit unit = privacy::Unit::kPatient;
  bool privacy = true;  // false: no clipping, no noise, no guarantee; every site must allow it by name
  TrainedPart trained = TrainedPart::kB;
  Precision precision = Precision::kAuto;
  LoraPlan lora;      // where factors of LoRA are trained
  PromptPlan prompt;  // where a prompt is
  OptimizerPlan optimizer;
  RingPlan ring;
  std::uint32_t rounds = 1;
  std::uint32_t local_steps = 1;  // K
  double clip_norm = 1.0;         // C; adaptive clipping starts there
  PrivateStepPlan step;
  double expected_batch = 0;  // q * declared size, the same at every site
  double target_epsilon = 0;  // what sigma was calibrated for; a site recomputes its own
  double delta = 1e-5;
  std::uint32_t max_records = 4;   // of one unit in one step
  std::uint32_t max_tokens = 128;  // of one record
  std::string system_prompt;       // for records in the instruction format
  std::string chat_template;       // a well-known one by name; empty: the model's own
  std::uint32_t colluders = 1;     // c
  std::uint32_t min_sites = 3;     // tau
  std::uint32_t max_sites_per_patient = 1;
  bool allow_two_sites = false;
  std::uint32_t phase_deadline_s = 120;
  std::uint32_t max_attempts = 3;
  std::uint32_t canaries = 0;   // that each site plants, by fair coins, as extra units, to measure the run by; 0: none
  double audit_failure = 1e-4;  // probability with which the measured lower bound may be wrong
  std::optional<Digest>
      parent;     // the model (lineage/weights.h) whose adapter the first round starts from; none: one from the seed
  Digest seed{};  // public: the first adapter's A; nothing private is drawn from it
  std::vector<SitePlan> sites;  // in roster order
};

struct RosterSite {
  std::string name;
  PublicKeyBytes identity{};   // Ed25519
  PublicKeyBytes transport{};  // CURVE (X25519)
  std::uint64_t declared_size = 0;
  bool operator==(const RosterSite&) const = default;
};

// Who takes part in a run. A proposal until each site's own operator has approved it by its hash; fixed for the run.
struct Roster {
  PublicKeyBytes coordinator{};  // Ed25519; signs heads, nothing about membership
  std::vector<RosterSite> sites;
  std::uint32_t colluders = 1;  // c
  bool operator==(const Roster&) const = default;
};

// design: k = max(c, 1); t = floor((n + c) / 2) + 1, always from the roster, never from who showed up.
std::uint32_t counted_colluders(std::uint32_t c);
std::uint32_t shamir_threshold(std::uint32_t n, std::uint32_t c);
std::uint32_t default_colluders(std::uint32_t n);  // max(1, floor((n - 1) / 3))

// Steps of one epoch of random allocation at a site, and between two steps of one unit in min_separation: declared size over
// expected batch, up.
std::uint64_t epoch_steps(const RunPlan& plan, const SitePlan& site);
std::uint64_t total_steps(const RunPlan& plan);  // of each site, over all rounds

Bytes encode(const RunPlan& plan);
Result<RunPlan> decode_plan(ByteSpan bytes);
Bytes encode(const Roster& roster);
Result<Roster> decode_roster(ByteSpan bytes);

// Everything about a plan that can be checked without a model: every field within its limits, which are those of the
// operator's file (docs/configuration.md), and the rules between fields: t <= tau <= n, tau - k >= 2 unless two sites are
// allowed, n <= 128, ring wide enough for n updates, .. The message names the field, its value and what it must be.
Result<void> validate(const RunPlan& plan);
Result<void> validate(const RunPlan& plan, const Roster& roster);  // and that both speak of the same sites
Result<void> validate_alone(const RunPlan& plan);                  // of one site's training by itself: nothing is aggregated

}  // namespace sotto
