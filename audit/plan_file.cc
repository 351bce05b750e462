#include "audit/plan_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include "audit/spending.h"
#include "base/config_reader.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "privacy/calibrate.h"
#include "privacy/rdp.h"

namespace sotto::audit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<std::string> kModules{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

std::string number(double v) { return Json(v).dump(); }

// Reads with ranges: what is outside is rejected by file, line and key.
class Reader {
 public:
  explicit Reader(ConfigReader config) : config_(std::move(config)) {}

  std::uint32_t integer(const char* key, std::int64_t low, std::int64_t high,
                        std::optional<std::int64_t> fallback = std::nullopt) {
    const auto value = config_.integer(key, fallback);
    if (config_.has(key) && (value < low || value > high))
      config_.reject(
          key, "is " + std::to_string(value) + ", must be from " + std::to_string(low) + " to " + std::to_string(high));
    return static_cast<std::uint32_t>(std::clamp(value, low, high));
  }
  // In [low, high], or (low, high] with `open`.
  double number_in(const char* key, double low, double high, std::optional<double> fallback = std::nullopt,
                   bool open = false) {
    const double value = config_.number(key, fallback);
    if (config_.has(key) && !((open ? value > low : value >= low) && value <= high && std::isfinite(value)))
      config_.reject(key, "is " + number(value) + ", must be " + (open ? "above " : "at least ") + number(low) +
                              (std::isfinite(high) ? " and at most " + number(high) : ""));
    return value;
  }
  double positive(const char* key, std::optional<double> fallback = std::nullopt) {
    return number_in(key, 0, kInfinity, fallback, true);
  }
  template <class Enum>
  Enum choice(const char* key, const std::vector<std::pair<std::string, Enum>>& values, const std::string& fallback) {
    const auto text = config_.text(key, fallback);
    std::string known;
    for (const auto& [name, value] : values) {
      if (text == name) return value;
      known += (known.empty() ? "\"" : ", \"") + name + "\"";
    }
    config_.reject(key, "is \"" + text + "\", must be one of " + known);
    return values.front().second;
  }
  ConfigReader& config() { return config_; }

 private:
  ConfigReader config_;
};

void read_head(Reader& in, PlanFile& file, PlanUse use) {
  auto& config = in.config();
  auto& plan = file.plan;
  plan.run = RunId(config.text("run"));
  if (config.has("run") && !is_valid_name(plan.run.value()))
    config.reject("run", "is \"" + plan.run.value() + "\", must be 1 to 64 of a-z, 0-9 and '-'");
  file.sites = config.texts("sites", std::vector<std::string>{});
  plan.mode = in.choice<Mode>("mode", {{"local", Mode::kLocal}}, "local");
  const std::string none(64, '0');
  const auto hash = config.text("model.sha256", use == PlanUse::kAlone ? std::optional(none) : std::nullopt);
  if (const auto digest = digest_from_hex(hash); digest.ok())
    plan.model = *digest;
  else if (config.has("model.sha256"))
    config.reject("model.sha256",
                  "is no SHA-256 in 64 hexadecimal digits; 'sotto-client doctor' prints a model's fingerprint");
  plan.precision = in.choice<Precision>(
      "model.precision", {{"auto", Precision::kAuto}, {"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}}, "auto");
  if (config.has("model.shape"))
    file.shape =
        ModelShape{in.integer("model.shape.layers", 1, 1000), in.integer("model.shape.hidden", 1, 1 << 20),
                   in.integer("model.shape.intermediate", 1, 1 << 20), in.integer("model.shape.query_width", 1, 1 << 20),
                   in.integer("model.shape.key_width", 1, 1 << 20)};
}

void read_privacy(Reader& in, PlanFile& file) {
  auto& config = in.config();
  auto& plan = file.plan;
  plan.privacy = config.boolean("privacy.enabled", true);
  plan.unit = in.choice<PrivacyUnit>("privacy.unit", {{"patient", PrivacyUnit::kPatient}, {"record", PrivacyUnit::kRecord}, {"site", PrivacyUnit::kSite}},
                                     "patient");
  if (config.has("privacy.epsilon")) file.epsilon = in.number_in("privacy.epsilon", 0, 1000, std::nullopt, true);
  if (config.has("privacy.noise_multiplier")) file.noise_multiplier = in.number_in("privacy.noise_multiplier", 1e-3, 1e6);
  if (plan.privacy && file.epsilon.has_value() == file.noise_multiplier.has_value())
    config.reject(file.epsilon ? "privacy.noise_multiplier" : "privacy.epsilon",
                  "is wanted in a private run unless privacy.noise_multiplier is given, and not both");
  if (!plan.privacy && (file.epsilon || file.noise_multiplier))
    config.reject("privacy.enabled", "is false: a run without privacy has neither epsilon nor noise_multiplier");
  plan.delta = in.number_in("privacy.delta", 0, 0.1, 1e-5, true);
  plan.clip_norm = in.number_in("privacy.clip_norm", 1e-12, 1e12, 1.0);
  plan.expected_batch = in.positive("privacy.expected_batch");
  plan.max_records = in.integer("privacy.max_records", 1, 64, 4);
  plan.max_sites_per_patient = in.integer("privacy.max_sites_per_patient", 1, 3, 1);
  plan.canaries = in.integer("audit.canaries", 0, 100000, 0);
  plan.audit_failure = in.number_in("audit.failure", 0, 0.05, 1e-4, true);
}

void read_private_step(Reader& in, PrivateStepPlan& step) {
  auto& config = in.config();
  step.sampling = in.choice<SamplingScheme>("privacy.sampling",
                                            {{"poisson", SamplingScheme::kPoisson},
                                             {"truncated_poisson", SamplingScheme::kTruncatedPoisson},
                                             {"fixed_size", SamplingScheme::kFixedSize},
                                             {"random_allocation", SamplingScheme::kRandomAllocation}},
                                            "poisson");
  step.max_batch = in.integer("privacy.max_batch", 1, 1000000, 0);
  if (!config.has("privacy.max_batch")) step.max_batch = 0;
  step.clipping = in.choice<ClippingScheme>("privacy.clipping",
                                            {{"flat", ClippingScheme::kFlat},
                                             {"automatic", ClippingScheme::kAutomatic},
                                             {"per_layer", ClippingScheme::kPerLayer},
                                             {"adaptive", ClippingScheme::kAdaptive}},
                                            "flat");
  step.clip_quantile = in.number_in("privacy.clip_quantile", 0, 1, 0.5, true);
  step.count_clipped = config.boolean("privacy.count_clipped", false) || step.clipping == ClippingScheme::kAdaptive;
}

void read_lora(Reader& in, RunPlan& plan) {
  auto& config = in.config();
  plan.lora.rank = in.integer("lora.rank", 1, 1024, 8);
  plan.lora.alpha = in.positive("lora.alpha", 2.0 * plan.lora.rank);
  plan.lora.dropout = in.number_in("lora.dropout", 0, 0.99, 0.0);
  plan.lora.rslora = config.boolean("lora.rslora", false);
  if (config.boolean("lora.dora", false))
    config.reject("lora.dora", "is true, and DoRA is not trained in runs: noise on B would enter the norm that each row is divided "
                               "by (docs/adapters.md); leave it out for LoRA");
  plan.lora.targets = config.texts("lora.targets");
  if (config.has("lora.targets") && plan.lora.targets.empty())
    config.reject("lora.targets", "is empty; name at least one module");
  for (const auto& target : plan.lora.targets)
    if (std::ranges::find(kModules, target) == kModules.end())
      config.reject(
          "lora.targets",
          "names \"" + target + "\", which is none of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
  plan.lora.first_layer = in.integer("lora.first_layer", 0, 0xffff, 0);
  plan.lora.last_layer = in.integer("lora.last_layer", 0, 0xffff, 0xffff);
  if (plan.lora.first_layer > plan.lora.last_layer) config.reject("lora.first_layer", "is above lora.last_layer");
  plan.trained = in.choice<TrainedPart>("lora.train", {{"B", TrainedPart::kB}, {"AB", TrainedPart::kAB}}, "B");
}

void read_training(Reader& in, PlanFile& file) {
  auto& config = in.config();
  auto& plan = file.plan;
  plan.rounds = in.integer("training.rounds", 1, 100000);
  plan.local_steps = in.integer("training.local_steps", 1, 100000, 1);
  plan.max_tokens = in.integer("training.max_tokens", 8, 8192, 128);
  plan.system_prompt = config.text("training.system_prompt", "");
  plan.chat_template = config.text("training.chat_template", "");
  file.weigh_by_size = in.choice<bool>("training.weights", {{"size", true}, {"equal", false}}, "size");
  ByteWriter seed;
  seed.text("sotto/run-seed/v1").text(config.text("training.seed", plan.run.value()));
  plan.seed = crypto::sha256(seed.view());

  auto& o = plan.optimizer;
  o.kind =
      in.choice<OptimizerKind>("optimizer.kind", {{"adamw", OptimizerKind::kAdamW}, {"sgd", OptimizerKind::kSgd}}, "adamw");
  o.learning_rate = in.positive("optimizer.learning_rate");
  o.beta1 = in.number_in("optimizer.beta1", 0, 0.999999, 0.9);
  o.beta2 = in.number_in("optimizer.beta2", 0, 0.99999999, 0.999);
  o.epsilon = in.positive("optimizer.epsilon", 1e-8);
  o.weight_decay = in.number_in("optimizer.weight_decay", 0, 0.99, 0.0);
  o.max_grad_norm = in.number_in("optimizer.max_grad_norm", 0, kInfinity, 0.0);
  o.warmup_steps = in.integer("optimizer.warmup_steps", 0, 1000000, 0);
  o.schedule = in.choice<Schedule>("optimizer.schedule", {{"constant", Schedule::kConstant}, {"cosine", Schedule::kCosine}},
                                   "constant");
  o.min_lr_ratio = in.number_in("optimizer.min_lr_ratio", 0, 1, 0.0);
}

void read_aggregation(Reader& in, PlanFile& file) {
  auto& config = in.config();
  auto& plan = file.plan;
  if (config.has("aggregation.colluders")) file.colluders = in.integer("aggregation.colluders", 0, 127);
  if (config.has("aggregation.min_sites")) file.min_sites = in.integer("aggregation.min_sites", 2, 128);
  plan.allow_two_sites = config.boolean("aggregation.allow_two_sites", false);
  plan.ring.bits = in.integer("aggregation.bits", 8, 32, 24);
  plan.ring.range = in.positive("aggregation.range", 0.25);
  if (config.has("aggregation.step")) file.ring_step = in.positive("aggregation.step");
  plan.phase_deadline_s = in.integer("aggregation.phase_deadline_s", 1, 7 * 86400, 120);
  plan.max_attempts = in.integer("aggregation.max_attempts", 1, 100, 3);
}

// Paths are relative to the file.
void read_alone(Reader& in, PlanFile& file) {
  auto& config = in.config();
  const auto folder = std::filesystem::path(file.path).parent_path();
  const auto beside = [&](const char* key) {
    const auto name = config.text(key, "");
    return name.empty() ? name : (folder / name).lexically_normal().string();
  };
  file.alone.config = beside("train.config");
  file.alone.out = beside("train.out");
  file.alone.validation = beside("train.validation");
  if (config.has("train.declared_size")) file.alone.declared_size = in.integer("train.declared_size", 1, 1000000000);
  file.alone.evaluate_every = in.integer("train.evaluate_every", 1, 100000, 1);
  file.alone.patience = in.integer("train.patience", 0, 100000, 0);
  file.alone.checkpoint_s = in.integer("train.checkpoint_s", 0, 86400, 30);
  if (file.alone.patience > 0 && file.alone.validation.empty())
    config.reject("train.patience", "asks for early stopping, which needs train.validation");
}

}  // namespace

AdapterLayout layout_of(const ModelShape& shape, const LoraPlan& lora) {
  AdapterLayout layout;
  const auto widths = [&](const std::string& module) -> std::pair<std::uint32_t, std::uint32_t> {
    if (module == "q_proj") return {shape.hidden, shape.query_width};
    if (module == "k_proj" || module == "v_proj") return {shape.hidden, shape.key_width};
    if (module == "o_proj") return {shape.query_width, shape.hidden};
    if (module == "down_proj") return {shape.intermediate, shape.hidden};
    return {shape.hidden, shape.intermediate};
  };
  for (std::uint32_t layer = lora.first_layer; layer < shape.layers && layer <= lora.last_layer; ++layer)
    for (const auto& module : kModules) {
      if (std::ranges::find(lora.targets, module) == lora.targets.end()) continue;
      const auto [in, out] = widths(module);
      layout.modules.push_back({"layers." + std::to_string(layer) + "." + module, in, out, lora.rank, 1.0});
    }
  return layout;
}

Result<PlanFile> read_plan_file(const std::string& path, PlanUse use) {
  SOTTO_TRY(auto config, ConfigReader::read_file(path));
  if (config.text("mode", "local") == "joint")
    return unsupported(path + ": mode = \"joint\" (the sites share the noise of one step a round, and their ledgers have two curves) is not "
                              "in this version; use \"local\"");
  Reader in(std::move(config));
  PlanFile file;
  file.path = path;
  read_head(in, file, use);
  read_privacy(in, file);
  read_private_step(in, file.plan.step);
  read_lora(in, file.plan);
  read_training(in, file);
  read_aggregation(in, file);
  read_alone(in, file);
  SOTTO_TRY_VOID(in.config().finish());
  if (file.plan.unit == PrivacyUnit::kSite)
    return unsupported(path + ": privacy.unit = \"site\" (client-level privacy) is not in this version; use \"patient\" or \"record\"");
  return file;
}

Error in_file(const PlanFile& file, const Error& error) { return {error.code, file.path + ": " + error.message}; }

Result<void> set_noise(const PlanFile& file, RunPlan& plan) {
  if (!plan.privacy) return {};
  const privacy::Delta delta(plan.delta);
  const std::uint64_t steps = std::uint64_t{plan.rounds} * plan.local_steps;
  std::map<std::uint64_t, double> known;  // sites of one size have one noise
  if (file.epsilon && plan.step.sampling != SamplingScheme::kPoisson)
    return unsupported(file.path + ": noise for privacy.epsilon is calibrated for Poisson sampling alone in this version; give "
                                   "privacy.noise_multiplier");
  for (auto& site : plan.sites) {
    const privacy::SamplingRate rate(site.sampling_rate);
    if (file.noise_multiplier) {
      site.noise_multiplier = *file.noise_multiplier;
    } else if (const auto same = known.find(site.declared_size); same != known.end()) {
      site.noise_multiplier = same->second;
    } else {
      const auto sigma = privacy::calibrate_noise(privacy::Epsilon(*file.epsilon), delta, rate, steps, privacy::Accountant::kBoth);
      if (!sigma.ok()) return in_file(file, sigma.error());
      site.noise_multiplier = sigma->value();
      known.emplace(site.declared_size, site.noise_multiplier);
    }
    if (file.epsilon) continue;
    const auto spent = planned_epsilon(plan, site, 1);
    if (!spent.ok()) return in_file(file, spent.error());
    plan.target_epsilon = std::max(plan.target_epsilon, *spent);
  }
  if (file.epsilon) plan.target_epsilon = *file.epsilon;
  return {};
}

}  // namespace sotto::audit
