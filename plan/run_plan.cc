#include "plan/run_plan.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace sotto {
namespace {

constexpr std::uint32_t kPlanVersion = 3;
constexpr std::uint32_t kMaxSites = 128;

std::string number(double v) { return std::to_string(v); }

Error bad(const std::string& field, const std::string& value, const std::string& rule) {
  return invalid("plan: " + field + " = " + value + ", but it must be " + rule);
}

bool positive(double v) { return std::isfinite(v) && v > 0; }
bool fraction(double v) { return v > 0 && v <= 1; }

void write(ByteWriter& out, const LoraPlan& p) {
  out.u32(p.rank).f64(p.alpha).f64(p.dropout).u8(p.rslora).u32(static_cast<std::uint32_t>(p.targets.size()));
  for (const auto& t : p.targets) out.text(t);
  out.u32(p.first_layer).u32(p.last_layer);
}

LoraPlan read_lora(ByteReader& in) {
  LoraPlan p;
  p.rank = in.u32();
  p.alpha = in.f64();
  p.dropout = in.f64();
  p.rslora = in.u8() != 0;
  const auto n = in.count(4);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) p.targets.push_back(in.text());
  p.first_layer = in.u32();
  p.last_layer = in.u32();
  return p;
}

void write(ByteWriter& out, const OptimizerPlan& p) {
  out.u8(static_cast<std::uint8_t>(p.kind)).f64(p.learning_rate).f64(p.beta1).f64(p.beta2).f64(p.epsilon);
  out.f64(p.weight_decay)
      .f64(p.max_grad_norm)
      .u32(p.warmup_steps)
      .u8(static_cast<std::uint8_t>(p.schedule))
      .f64(p.min_lr_ratio);
}

OptimizerPlan read_optimizer(ByteReader& in) {
  OptimizerPlan p;
  p.kind = static_cast<OptimizerKind>(in.u8());
  p.learning_rate = in.f64();
  p.beta1 = in.f64();
  p.beta2 = in.f64();
  p.epsilon = in.f64();
  p.weight_decay = in.f64();
  p.max_grad_norm = in.f64();
  p.warmup_steps = in.u32();
  p.schedule = static_cast<Schedule>(in.u8());
  p.min_lr_ratio = in.f64();
  return p;
}

void write(ByteWriter& out, const PrivateStepPlan& p) {
  out.u8(static_cast<std::uint8_t>(p.sampling)).u64(p.max_batch).u8(static_cast<std::uint8_t>(p.clipping));
  out.f64(p.clip_quantile).u8(static_cast<std::uint8_t>(p.noise)).u32(p.bands).u8(p.count_clipped);
}

PrivateStepPlan read_private_step(ByteReader& in) {
  PrivateStepPlan p;
  p.sampling = static_cast<SamplingScheme>(in.u8());
  p.max_batch = in.u64();
  p.clipping = static_cast<ClippingScheme>(in.u8());
  p.clip_quantile = in.f64();
  p.noise = static_cast<NoiseScheme>(in.u8());
  p.bands = in.u32();
  p.count_clipped = in.u8() != 0;
  return p;
}

Result<void> check_noise(const RunPlan& p) {
  const auto& s = p.step;
  const bool correlated = s.noise != NoiseScheme::kIndependent;
  if (correlated && s.sampling != SamplingScheme::kMinSeparation)
    return bad("privacy.noise", s.noise == NoiseScheme::kBlt ? "blt" : "banded",
               "\"independent\" unless privacy.sampling is \"min_separation\": sampling would not be accounted with it");
  const std::uint32_t most = s.noise == NoiseScheme::kBlt ? 64 : 4096;
  if (correlated ? s.bands < 1 || s.bands > most : s.bands != 0)
    return bad("privacy.bands", std::to_string(s.bands),
               correlated ? "from 1 to " + std::to_string(most) : "left out where noise is independent");
  const std::uint64_t steps = std::uint64_t{p.rounds} * p.local_steps,
                      longest = s.noise == NoiseScheme::kBlt ? 4096 : 1000000;
  if (s.sampling == SamplingScheme::kMinSeparation && steps > longest)
    return bad("rounds * local_steps", std::to_string(steps), "at most " + std::to_string(longest) + " with this noise");
  if (correlated && p.trained == TrainedPart::kAlternating)
    return bad("lora.train", "alternating", "another one where noise is correlated: each round would begin it anew");
  return {};
}

Result<void> check_private_step(const RunPlan& p) {
  const auto& s = p.step;
  const auto known = [](auto value, int last) { return static_cast<int>(value) >= 1 && static_cast<int>(value) <= last; };
  if (!known(s.noise, 3)) return bad("privacy.noise", "unknown", "one that this version knows");
  if (!known(s.sampling, 5)) return bad("privacy.sampling", "unknown", "one that this version knows");
  if (!known(s.clipping, 4)) return bad("privacy.clipping", "unknown", "one that this version knows");
  const bool truncated = s.sampling == SamplingScheme::kTruncatedPoisson;
  if (truncated != (s.max_batch > 0))
    return bad("privacy.max_batch", std::to_string(s.max_batch),
               truncated ? "at least 1 in truncated Poisson sampling" : "left out unless sampling is truncated_poisson");
  if (s.sampling == SamplingScheme::kFixedSize && p.expected_batch != std::floor(p.expected_batch))
    return bad("privacy.expected_batch", number(p.expected_batch),
               "a whole number of units where batches have a fixed size");
  for (const auto& site : p.sites)
    if (s.max_batch > site.declared_size)
      return bad("privacy.max_batch", std::to_string(s.max_batch),
                 "at most the " + std::to_string(site.declared_size) + " units that site '" + site.name + "' declares");
  if (s.sampling == SamplingScheme::kFixedSize && p.canaries > 0)
    return bad("audit.canaries", std::to_string(p.canaries),
               "0 where batches have a fixed size: coins decide how many units they add");
  SOTTO_TRY_VOID(check_noise(p));
  if (!(s.clip_quantile > 0 && s.clip_quantile < 1))
    return bad("privacy.clip_quantile", number(s.clip_quantile), "in (0, 1)");
  return {};
}

Result<void> check_lora(const LoraPlan& p) {
  if (p.rank < 1 || p.rank > 1024) return bad("lora.rank", std::to_string(p.rank), "from 1 to 1024");
  if (!positive(p.alpha)) return bad("lora.alpha", number(p.alpha), "positive");
  if (!(p.dropout >= 0 && p.dropout < 1)) return bad("lora.dropout", number(p.dropout), "in [0, 1)");
  if (p.targets.empty()) return bad("lora.targets", "[]", "at least one module name");
  if (p.first_layer > p.last_layer) return bad("lora.first_layer", std::to_string(p.first_layer), "at most lora.last_layer");
  return {};
}

Result<void> check_prompt(const RunPlan& p) {
  if (p.prompt.tokens < 1 || p.prompt.tokens > 4096)
    return bad("prompt.tokens", std::to_string(p.prompt.tokens), "from 1 to 4096");
  if (!positive(p.prompt.deviation)) return bad("prompt.deviation", number(p.prompt.deviation), "positive");
  if (p.step.clipping == ClippingScheme::kPerLayer)
    return bad("privacy.clipping", "per_layer", "another one where a prompt is trained: it lies in no layer");
  return {};
}

Result<void> check_training(const RunPlan& p) {
  const auto& o = p.optimizer;
  if (trains_lora(p.trained)) SOTTO_TRY_VOID(check_lora(p.lora));
  if (p.trained == TrainedPart::kPrompt) SOTTO_TRY_VOID(check_prompt(p));
  if (o.kind != OptimizerKind::kAdamW && o.kind != OptimizerKind::kSgd)
    return bad("optimizer.kind", "unknown", "adamw or sgd");
  if (o.schedule != Schedule::kConstant && o.schedule != Schedule::kCosine)
    return bad("optimizer.schedule", "unknown", "constant or cosine");
  if (!positive(o.learning_rate)) return bad("optimizer.learning_rate", number(o.learning_rate), "positive");
  if (!(o.beta1 >= 0 && o.beta1 < 1)) return bad("optimizer.beta1", number(o.beta1), "in [0, 1)");
  if (!(o.beta2 >= 0 && o.beta2 < 1)) return bad("optimizer.beta2", number(o.beta2), "in [0, 1)");
  if (!positive(o.epsilon)) return bad("optimizer.epsilon", number(o.epsilon), "positive");
  if (!(o.weight_decay >= 0 && o.weight_decay < 1))
    return bad("optimizer.weight_decay", number(o.weight_decay), "in [0, 1)");
  if (!(o.max_grad_norm >= 0)) return bad("optimizer.max_grad_norm", number(o.max_grad_norm), "0 (none) or positive");
  if (!(o.min_lr_ratio >= 0 && o.min_lr_ratio <= 1))
    return bad("optimizer.min_lr_ratio", number(o.min_lr_ratio), "in [0, 1]");
  if (p.rounds < 1 || p.rounds > 100000) return bad("rounds", std::to_string(p.rounds), "from 1 to 100000");
  if (p.local_steps < 1 || p.local_steps > 100000)
    return bad("local_steps", std::to_string(p.local_steps), "from 1 to 100000");
  if (p.max_records < 1 || p.max_records > 64) return bad("max_records", std::to_string(p.max_records), "from 1 to 64");
  if (p.max_tokens < 8 || p.max_tokens > 8192) return bad("max_tokens", std::to_string(p.max_tokens), "from 8 to 8192");
  return {};
}

Result<void> check_privacy(const RunPlan& p) {
  if (p.mode != Mode::kLocal) return unsupported("plan: mode 'joint' is not in this version; use mode = \"local\"");
  if (p.unit != PrivacyUnit::kPatient && p.unit != PrivacyUnit::kRecord)
    return unsupported("plan: unit 'site' is not in this version; use unit = \"patient\" or \"record\"");
  SOTTO_TRY_VOID(check_private_step(p));
  if (!positive(p.clip_norm)) return bad("clip_norm", number(p.clip_norm), "positive");
  if (!positive(p.expected_batch)) return bad("expected_batch", number(p.expected_batch), "positive");
  if (!(p.delta > 0 && p.delta < 1)) return bad("delta", number(p.delta), "in (0, 1)");
  for (const auto& s : p.sites) {
    if (s.declared_size < 1) return bad("declared size of site '" + s.name + "'", "0", "at least 1");
    if (!fraction(s.sampling_rate))
      return bad("sampling rate of site '" + s.name + "'", number(s.sampling_rate), "in (0, 1]");
    if (!positive(s.weight)) return bad("weight of site '" + s.name + "'", number(s.weight), "positive");
    if (p.privacy && !positive(s.noise_multiplier))
      return bad("noise multiplier of site '" + s.name + "'", number(s.noise_multiplier), "positive in a private run");
    if (!p.privacy && s.noise_multiplier != 0)
      return bad("noise multiplier of site '" + s.name + "'", number(s.noise_multiplier), "0 when privacy is off");
  }
  return {};
}

Result<void> check_audit(const RunPlan& p) {
  if (p.canaries == 0) return {};
  if (!p.privacy)
    return invalid("plan: canaries measure a run against its proven epsilon, and this run has none; set canaries = 0");
  if (p.canaries < 8 || p.canaries > 100000)
    return bad("canaries", std::to_string(p.canaries), "0 (none) or from 8 to 100000");
  if (!(p.audit_failure > 0 && p.audit_failure <= 0.05))
    return bad("audit_failure", number(p.audit_failure), "above 0 and at most 0.05");
  return {};
}

Result<void> check_round(const RunPlan& p) {
  const auto n = static_cast<std::uint32_t>(p.sites.size());
  if (n < 2 || n > kMaxSites) return bad("number of sites", std::to_string(n), "from 2 to " + std::to_string(kMaxSites));
  if (p.colluders >= n)
    return bad("colluders", std::to_string(p.colluders), "below the number of sites, " + std::to_string(n));
  const auto t = shamir_threshold(n, p.colluders);
  if (p.min_sites < t || p.min_sites > n)
    return bad("min_sites", std::to_string(p.min_sites), "from t = " + std::to_string(t) + " to n = " + std::to_string(n));
  if (p.min_sites - counted_colluders(p.colluders) < 2 && !p.allow_two_sites)
    return refused(
        "plan: with min_sites = " + std::to_string(p.min_sites) +
        " one site sees another's update (protected by that site's own noise alone); add a site, or allow it with "
        "--allow-two-sites");
  if (p.step.sampling == SamplingScheme::kMinSeparation)
    return unsupported(
        "plan: privacy.sampling 'min_separation', and correlated noise with it, is for 'sotto-client train' at one site "
        "alone "
        "in this version: what a site keeps of its earlier sums would have to survive its restarts");
  if (p.step.sampling == SamplingScheme::kFixedSize || p.step.sampling == SamplingScheme::kRandomAllocation)
    return unsupported(
        "plan: privacy.sampling 'fixed_size' is accounted for a site's true count, which its refusals would tell, and "
        "'random_allocation' for whole epochs, of which a site may miss rounds: both are for 'sotto-client train' alone in "
        "this version; use \"poisson\" or \"truncated_poisson\"");
  if (p.trained == TrainedPart::kFull)
    return refused(
        "plan: training.trained = \"full\" is for 'sotto-client train' at one site alone: an update of all parameters, " +
        std::to_string(p.ring.bits) + " bits each, passes the 256 MiB of a message from " +
        std::to_string((std::uint64_t{1} << 31) / std::max(p.ring.bits, 1u)) +
        " parameters on; use \"lora\" or \"prompt\" in a federated run");
  if (p.parent && !trains_lora(p.trained))
    return unsupported("plan: training.parent is for LoRA adapters in this version, not for a prompt");
  if (p.ring.bits < 8 || p.ring.bits > 32) return bad("ring.bits", std::to_string(p.ring.bits), "from 8 to 32");
  if (!positive(p.ring.range)) return bad("ring.range", number(p.ring.range), "positive");
  if (!positive(p.ring.step)) return bad("ring.step", number(p.ring.step), "positive");
  const double largest_sum = static_cast<double>(n) * std::ceil(p.ring.range / p.ring.step);
  if (!(largest_sum < std::ldexp(1.0, static_cast<int>(p.ring.bits) - 1)))
    return bad("ring.bits", std::to_string(p.ring.bits),
               "wide enough for a sum of up to " + number(largest_sum) + " steps, sign included");
  if (p.phase_deadline_s < 1) return bad("phase_deadline_s", "0", "at least 1");
  if (p.max_attempts < 1) return bad("max_attempts", "0", "at least 1");
  return {};
}

}  // namespace

std::uint32_t counted_colluders(std::uint32_t c) { return std::max(c, 1u); }
std::uint32_t shamir_threshold(std::uint32_t n, std::uint32_t c) { return (n + c) / 2 + 1; }
std::uint64_t epoch_steps(const RunPlan& plan, const SitePlan& site) {
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(site.declared_size) / plan.expected_batch));
}
std::uint32_t default_colluders(std::uint32_t n) { return std::max(1u, n > 0 ? (n - 1) / 3 : 0); }

Bytes encode(const RunPlan& p) {
  ByteWriter out;
  out.text("sotto/plan").u32(kPlanVersion).text(p.run.value()).raw(p.model);
  out.u8(static_cast<std::uint8_t>(p.mode)).u8(static_cast<std::uint8_t>(p.unit)).u8(p.privacy);
  out.u8(static_cast<std::uint8_t>(p.trained)).u8(static_cast<std::uint8_t>(p.precision));
  write(out, p.lora);
  write(out, p.optimizer);
  out.u32(p.ring.bits).f64(p.ring.range).f64(p.ring.step);
  out.u32(p.rounds).u32(p.local_steps).f64(p.clip_norm).f64(p.expected_batch).f64(p.target_epsilon).f64(p.delta);
  out.u32(p.max_records).u32(p.max_tokens).text(p.system_prompt).text(p.chat_template).u32(p.colluders).u32(p.min_sites);
  write(out, p.step);
  out.u32(p.prompt.tokens).f64(p.prompt.deviation);
  out.u32(p.max_sites_per_patient).u8(p.allow_two_sites).u32(p.phase_deadline_s).u32(p.max_attempts).raw(p.seed);
  out.u32(p.canaries).f64(p.audit_failure);
  out.u32(static_cast<std::uint32_t>(p.sites.size()));
  for (const auto& s : p.sites)
    out.text(s.name).u64(s.declared_size).f64(s.sampling_rate).f64(s.noise_multiplier).f64(s.weight);
  if (p.parent) out.raw(*p.parent);  // at the end, so that plans without one are what they were
  return out.take();
}

Result<RunPlan> decode_plan(ByteSpan bytes) {
  ByteReader in(bytes);
  if (in.text() != "sotto/plan") return invalid("these bytes are not a run plan");
  if (const auto version = in.u32(); in.ok() && version != kPlanVersion)
    return unsupported("run plan of format " + std::to_string(version) + "; this version reads format " +
                       std::to_string(kPlanVersion));
  RunPlan p;
  p.run = RunId(in.text());
  p.model = in.digest();
  p.mode = static_cast<Mode>(in.u8());
  p.unit = static_cast<PrivacyUnit>(in.u8());
  p.privacy = in.u8() != 0;
  p.trained = static_cast<TrainedPart>(in.u8());
  p.precision = static_cast<Precision>(in.u8());
  p.lora = read_lora(in);
  p.optimizer = read_optimizer(in);
  p.ring = {in.u32(), in.f64(), in.f64()};
  p.rounds = in.u32();
  p.local_steps = in.u32();
  p.clip_norm = in.f64();
  p.expected_batch = in.f64();
  p.target_epsilon = in.f64();
  p.delta = in.f64();
  p.max_records = in.u32();
  p.max_tokens = in.u32();
  p.system_prompt = in.text();
  p.chat_template = in.text();
  p.colluders = in.u32();
  p.min_sites = in.u32();
  p.step = read_private_step(in);
  p.prompt = {in.u32(), in.f64()};
  p.max_sites_per_patient = in.u32();
  p.allow_two_sites = in.u8() != 0;
  p.phase_deadline_s = in.u32();
  p.max_attempts = in.u32();
  p.seed = in.digest();
  p.canaries = in.u32();
  p.audit_failure = in.f64();
  const auto n = in.count(4 + 8 + 3 * 8);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) p.sites.push_back({in.text(), in.u64(), in.f64(), in.f64(), in.f64()});
  if (in.ok() && in.left() > 0) p.parent = in.digest();
  SOTTO_TRY_VOID(in.finish("run plan"));
  if (!is_valid_name(p.run.value()))
    return invalid("run plan: '" + p.run.value() + "' is not a run's name ([a-z0-9-], up to 64)");
  if (p.trained > TrainedPart::kFull || p.trained == TrainedPart::kA) return invalid("run plan: unknown trained part");
  if (p.precision > Precision::kBf16) return invalid("run plan: unknown precision");
  // One value has one encoding: booleans other than 0 and 1 would hash differently and mean the same.
  const Bytes again = encode(p);
  if (!std::ranges::equal(again, bytes)) return invalid("run plan: not in canonical form");
  return p;
}

Bytes encode(const Roster& roster) {
  ByteWriter out;
  out.text("sotto/roster").u32(1).raw(roster.coordinator).u32(roster.colluders);
  out.u32(static_cast<std::uint32_t>(roster.sites.size()));
  for (const auto& s : roster.sites) out.text(s.name).raw(s.identity).raw(s.transport).u64(s.declared_size);
  return out.take();
}

Result<Roster> decode_roster(ByteSpan bytes) {
  ByteReader in(bytes);
  if (in.text() != "sotto/roster" || in.u32() != 1) return invalid("these bytes are not a roster of format 1");
  Roster roster;
  roster.coordinator = in.digest();
  roster.colluders = in.u32();
  const auto n = in.count(4 + 32 + 32 + 8);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) roster.sites.push_back({in.text(), in.digest(), in.digest(), in.u64()});
  SOTTO_TRY_VOID(in.finish("roster"));
  std::set<std::string> names;
  std::set<PublicKeyBytes> keys;
  for (const auto& s : roster.sites) {
    if (!is_valid_name(s.name) || s.name == "coordinator")
      return invalid("roster: '" + s.name + "' is not a site's name ([a-z0-9-], up to 64, and not 'coordinator')");
    if (!names.insert(s.name).second) return invalid("roster: site '" + s.name + "' is listed twice");
    if (!keys.insert(s.identity).second)
      return invalid("roster: site '" + s.name + "' has the identity key of another site");
  }
  return roster;
}

Result<void> validate_alone(const RunPlan& plan) {
  if (plan.sites.size() != 1)
    return bad("number of sites", std::to_string(plan.sites.size()), "1 where a site trains alone");
  if (plan.privacy) SOTTO_TRY_VOID(check_audit(plan));
  SOTTO_TRY_VOID(check_training(plan));
  return check_privacy(plan);
}

Result<void> validate(const RunPlan& plan) {
  SOTTO_TRY_VOID(check_round(plan));
  SOTTO_TRY_VOID(check_privacy(plan));
  SOTTO_TRY_VOID(check_audit(plan));
  return check_training(plan);
}

Result<void> validate(const RunPlan& plan, const Roster& roster) {
  SOTTO_TRY_VOID(validate(plan));
  if (plan.sites.size() != roster.sites.size())
    return invalid("plan: it names " + std::to_string(plan.sites.size()) + " sites, the roster " +
                   std::to_string(roster.sites.size()));
  if (plan.colluders != roster.colluders)
    return bad("colluders", std::to_string(plan.colluders), "the roster's, " + std::to_string(roster.colluders));
  for (std::size_t i = 0; i < plan.sites.size(); ++i) {
    const auto& p = plan.sites[i];
    const auto& r = roster.sites[i];
    if (p.name != r.name)
      return invalid("plan: site " + std::to_string(i) + " is '" + p.name + "', in the roster '" + r.name + "'");
    if (p.declared_size != r.declared_size)
      return bad("declared size of site '" + p.name + "'", std::to_string(p.declared_size),
                 "the roster's, " + std::to_string(r.declared_size));
    const double q = plan.expected_batch / static_cast<double>(p.declared_size);
    if (std::abs(q - p.sampling_rate) > 1e-12 * q)
      return bad("sampling rate of site '" + p.name + "'", number(p.sampling_rate),
                 "expected_batch / declared size = " + number(q));
  }
  return {};
}

}  // namespace sotto
