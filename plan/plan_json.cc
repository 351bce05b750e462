#include "plan/plan_json.h"

#include <array>

#include "crypto/signature.h"

namespace sotto::audit {
namespace {

Json lora_json(const LoraPlan& p) {
  Json targets = Json::array();
  for (const auto& t : p.targets) targets.push(t);
  return Json::object({{"rank", p.rank},
                       {"alpha", p.alpha},
                       {"dropout", p.dropout},
                       {"rslora", p.rslora},
                       {"targets", std::move(targets)},
                       {"first_layer", p.first_layer},
                       {"last_layer", p.last_layer}});
}

Json optimizer_json(const OptimizerPlan& p) {
  return Json::object({{"kind", p.kind == OptimizerKind::kAdamW ? "adamw" : "sgd"},
                       {"learning_rate", p.learning_rate},
                       {"beta1", p.beta1},
                       {"beta2", p.beta2},
                       {"epsilon", p.epsilon},
                       {"weight_decay", p.weight_decay},
                       {"max_grad_norm", p.max_grad_norm},
                       {"warmup_steps", p.warmup_steps},
                       {"schedule", p.schedule == Schedule::kCosine ? "cosine" : "constant"},
                       {"min_lr_ratio", p.min_lr_ratio}});
}

Json ring_json(const RingPlan& p) { return Json::object({{"bits", p.bits}, {"range", p.range}, {"step", p.step}}); }

Json sites_json(const std::vector<SitePlan>& sites) {
  Json out = Json::array();
  for (const auto& s : sites) {
    out.push(Json::object({{"name", s.name},
                           {"declared_size", s.declared_size},
                           {"sampling_rate", s.sampling_rate},
                           {"noise_multiplier", s.noise_multiplier},
                           {"weight", s.weight}}));
  }
  return out;
}

const char* precision_name(Precision p) {
  switch (p) {
    case Precision::kAuto: return "auto";
    case Precision::kFp32: return "fp32";
    case Precision::kBf16: return "bf16";
  }
  return "unknown";
}

}  // namespace

std::string to_string(PrivacyUnit unit) {
  switch (unit) {
    case PrivacyUnit::kPatient: return "patient";
    case PrivacyUnit::kRecord: return "record";
    case PrivacyUnit::kSite: return "site";
  }
  return "unknown";
}

std::string to_string(TrainedPart trained) {
  constexpr std::array kNames = {"b", "ab", "a", "alternating", "prompt", "full"};
  const auto index = static_cast<std::size_t>(trained);
  return index < kNames.size() ? kNames[index] : "unknown";
}

std::string to_string(Mode mode) { return mode == Mode::kLocal ? "local" : "unknown"; }

Json private_step_json(const PrivateStepPlan& p) {
  constexpr std::array kSamplings = {"unknown",    "poisson",           "truncated_poisson",
                                     "fixed_size", "random_allocation", "min_separation"};
  constexpr std::array kNoises = {"unknown", "independent", "banded", "blt"};
  constexpr std::array kClippings = {"unknown", "flat", "automatic", "per_layer", "adaptive"};
  const auto name = [](const auto& names, auto value) {
    const auto index = static_cast<std::size_t>(value);
    return names[index < names.size() ? index : 0];
  };
  return Json::object({{"sampling", name(kSamplings, p.sampling)},
                       {"max_batch", p.max_batch},
                       {"clipping", name(kClippings, p.clipping)},
                       {"clip_quantile", p.clip_quantile},
                       {"noise", name(kNoises, p.noise)},
                       {"bands", p.bands},
                       {"count_clipped", p.count_clipped}});
}

std::string sampling_words(const RunPlan& plan) {
  switch (plan.step.sampling) {
    case SamplingScheme::kPoisson: return "Poisson sampling";
    case SamplingScheme::kTruncatedPoisson:
      return "Poisson sampling cut at " + std::to_string(plan.step.max_batch) + " units";
    case SamplingScheme::kFixedSize: return "batches of a fixed size, without replacement";
    case SamplingScheme::kRandomAllocation: return "random allocation: each unit in one step of an epoch";
    case SamplingScheme::kMinSeparation: return "a fixed order: each unit's steps stand a fixed distance apart";
  }
  return "?";
}

Json to_json(const RunPlan& p) {
  Json out = Json::object({{"run", p.run.value()},
                           {"model", to_hex(p.model)},
                           {"mode", to_string(p.mode)},
                           {"unit", to_string(p.unit)},
                           {"privacy", p.privacy},
                           {"trained", to_string(p.trained)},
                           {"prompt", Json::object({{"tokens", p.prompt.tokens}, {"deviation", p.prompt.deviation}})},
                           {"precision", precision_name(p.precision)},
                           {"lora", lora_json(p.lora)},
                           {"optimizer", optimizer_json(p.optimizer)},
                           {"ring", ring_json(p.ring)},
                           {"rounds", p.rounds},
                           {"local_steps", p.local_steps},
                           {"clip_norm", p.clip_norm},
                           {"private_step", private_step_json(p.step)},
                           {"expected_batch", p.expected_batch},
                           {"target_epsilon", p.target_epsilon},
                           {"delta", p.delta},
                           {"max_records", p.max_records},
                           {"max_tokens", p.max_tokens},
                           {"system_prompt", p.system_prompt},
                           {"chat_template", p.chat_template},
                           {"colluders", p.colluders},
                           {"min_sites", p.min_sites},
                           {"max_sites_per_patient", p.max_sites_per_patient},
                           {"allow_two_sites", p.allow_two_sites},
                           {"phase_deadline_s", p.phase_deadline_s},
                           {"max_attempts", p.max_attempts},
                           {"canaries", p.canaries},
                           {"audit_failure", p.audit_failure},
                           {"seed", to_hex(p.seed)},
                           {"sites", sites_json(p.sites)}});
  if (p.parent) out.set("parent", to_hex(*p.parent));
  return out;
}

Json to_json(const Roster& roster) {
  Json sites = Json::array();
  for (const auto& s : roster.sites) {
    sites.push(Json::object({{"name", s.name},
                             {"identity", to_hex(s.identity)},
                             {"fingerprint", crypto::fingerprint(crypto::VerifyKey(s.identity))},
                             {"transport", to_hex(s.transport)},
                             {"declared_size", s.declared_size}}));
  }
  return Json::object(
      {{"coordinator", Json::object({{"identity", to_hex(roster.coordinator)},
                                     {"fingerprint", crypto::fingerprint(crypto::VerifyKey(roster.coordinator))}})},
       {"colluders", roster.colluders},
       {"sites", std::move(sites)}});
}

Json to_json(const RoundDescriptor& d) {
  return Json::object({{"run", d.run.value()},
                       {"round", d.round.value()},
                       {"attempt", d.attempt.value()},
                       {"model", to_hex(d.model)},
                       {"adapter", to_hex(d.adapter)},
                       {"layout", to_hex(d.layout)},
                       {"plan", to_hex(d.plan)},
                       {"roster", to_hex(d.roster)},
                       {"mode", to_string(d.mode)},
                       {"unit", to_string(d.unit)},
                       {"privacy", d.privacy},
                       {"sites", d.sites},
                       {"colluders", d.colluders},
                       {"min_sites", d.min_sites},
                       {"local_steps", d.local_steps},
                       {"clip_norm", d.clip_norm},
                       {"ring", ring_json(d.ring)},
                       {"rotation_seed", to_hex(d.rotation_seed)},
                       {"per_site", sites_json(d.per_site)},
                       {"transcript", to_hex(d.transcript)},
                       {"coordinator_head", to_hex(d.coordinator_head)}});
}

}  // namespace sotto::audit
