#include "plan/plan_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/config_reader.h"
#include "base/json.h"
#include "crypto/hash.h"

namespace sotto::audit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<std::string> kModules{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
// GPT-2's. Its c_proj stands twice in a layer: alone it means both.
const std::vector<std::string> kGpt2Modules{"c_attn", "c_proj", "attn.c_proj", "c_fc", "mlp.c_proj"};

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
  plan.unit = in.choice<PrivacyUnit>(
      "privacy.unit", {{"patient", PrivacyUnit::kPatient}, {"record", PrivacyUnit::kRecord}, {"site", PrivacyUnit::kSite}},
      "patient");
  if (config.has("privacy.epsilon")) file.epsilon = in.number_in("privacy.epsilon", 0, 1000, std::nullopt, true);
  if (config.has("privacy.noise_multiplier")) file.noise_multiplier = in.number_in("privacy.noise_multiplier", 1e-3, 1e6);
  if (plan.privacy && file.epsilon && file.noise_multiplier)
    config.reject("privacy.noise_multiplier",
                  "and privacy.epsilon are both given, and each follows from the other; leave one out");
  if (plan.privacy && !file.epsilon && !file.noise_multiplier)
    config.reject("privacy.epsilon", "is missing; a private run needs it, or privacy.noise_multiplier in its place");
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
                                             {"random_allocation", SamplingScheme::kRandomAllocation},
                                             {"min_separation", SamplingScheme::kMinSeparation}},
                                            "poisson");
  step.max_batch = in.integer("privacy.max_batch", 1, 1000000, 0);
  if (!config.has("privacy.max_batch")) step.max_batch = 0;
  step.clipping = in.choice<ClippingScheme>("privacy.clipping",
                                            {{"flat", ClippingScheme::kFlat},
                                             {"automatic", ClippingScheme::kAutomatic},
                                             {"per_layer", ClippingScheme::kPerLayer},
                                             {"adaptive", ClippingScheme::kAdaptive}},
                                            "flat");
  step.noise = in.choice<NoiseScheme>(
      "privacy.noise",
      {{"independent", NoiseScheme::kIndependent}, {"banded", NoiseScheme::kBanded}, {"blt", NoiseScheme::kBlt}},
      "independent");
  const std::uint32_t bands = in.integer("privacy.bands", 1, step.noise == NoiseScheme::kBlt ? 64 : 4096, 8);
  step.bands = config.has("privacy.bands") || step.noise != NoiseScheme::kIndependent ? bands : 0;
  step.clip_quantile = in.number_in("privacy.clip_quantile", 0, 1, 0.5, true);
  step.count_clipped = config.boolean("privacy.count_clipped", false) || step.clipping == ClippingScheme::kAdaptive;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

void read_prompt(Reader& in, RunPlan& plan) {
  plan.prompt.tokens = in.integer("prompt.tokens", 1, 4096, 16);
  plan.prompt.deviation = in.positive("prompt.deviation", 0.1);
}

void read_lora(Reader& in, PlanFile& file, PlanUse use) {
  auto& config = in.config();
  auto& plan = file.plan;
  plan.lora.rank = in.integer("lora.rank", 1, 1024, 8);
  plan.lora.alpha = in.positive("lora.alpha", 2.0 * plan.lora.rank);
  plan.lora.dropout = in.number_in("lora.dropout", 0, 0.99, 0.0);
  plan.lora.rslora = config.boolean("lora.rslora", false);
  file.alone.dora = config.boolean("lora.dora", false);
  if (file.alone.dora && use == PlanUse::kCoordinator)
    config.reject("lora.dora",
                  "is true, and DoRA is not trained in runs of several sites: the mean of their adapters is not the adapter "
                  "of their mean (docs/adapters.md); leave it out for LoRA");
  plan.lora.targets = config.texts("lora.targets");
  if (config.has("lora.targets") && plan.lora.targets.empty())
    config.reject("lora.targets", "is empty; name at least one module");
  for (const auto& target : plan.lora.targets)
    if (std::ranges::find(kModules, target) == kModules.end() &&
        std::ranges::find(kGpt2Modules, target) == kGpt2Modules.end())
      config.reject("lora.targets", "names \"" + target + "\", which is none of " + listed(kModules) + ", nor of GPT-2's " +
                                        listed(kGpt2Modules));
  plan.lora.first_layer = in.integer("lora.first_layer", 0, 0xffff, 0);
  plan.lora.last_layer = in.integer("lora.last_layer", 0, 0xffff, 0xffff);
  if (plan.lora.first_layer > plan.lora.last_layer) config.reject("lora.first_layer", "is above lora.last_layer");
  plan.trained = in.choice<TrainedPart>(
      "lora.train", {{"B", TrainedPart::kB}, {"AB", TrainedPart::kAB}, {"alternating", TrainedPart::kAlternating}}, "B");
}

// What is trained, and the table that says how; the other tables have no meaning then.
void read_trained(Reader& in, PlanFile& file, PlanUse use) {
  auto& plan = file.plan;
  plan.trained = in.choice<TrainedPart>(
      "training.trained", {{"lora", TrainedPart::kB}, {"prompt", TrainedPart::kPrompt}, {"full", TrainedPart::kFull}},
      "lora");
  const bool lora = trains_lora(plan.trained), prompt = plan.trained == TrainedPart::kPrompt;
  if (lora) read_lora(in, file, use);
  if (prompt) read_prompt(in, plan);
  const auto alone = [&](const char* table, bool used, const char* value) {
    if (!used && in.config().has(table))
      in.config().reject(table, std::string("is read where training.trained = \"") + value + "\"; leave the table out");
  };
  alone("lora", lora, "lora");
  alone("prompt", prompt, "prompt");
}

void read_training(Reader& in, PlanFile& file, PlanUse use) {
  auto& config = in.config();
  auto& plan = file.plan;
  file.parent_run = config.text("training.parent", "");
  if (!file.parent_run.empty() && use == PlanUse::kAlone)
    config.reject("training.parent",
                  "names a run of a coordinator; where a site trains alone, train.parent names the folder of an adapter");
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

// `file` (or each of `files`) is relative to the plan.
PublicSource read_source(ConfigReader& table, const std::filesystem::path& folder) {
  PublicSource source{(folder / table.text("file")).lexically_normal().string(), table.number("weight", 1.0)};
  if (!(std::isfinite(source.weight) && source.weight > 0)) table.reject("weight", "must be above 0");
  return source;
}

std::vector<Stage> read_stages(ConfigReader& config, const std::filesystem::path& folder) {
  std::vector<Stage> out;
  for (auto& table : config.tables("train.stage")) {
    Stage stage;
    stage.name = table.text("name");
    if (!is_valid_name(stage.name)) table.reject("name", "must be 1 to 64 of a-z, 0-9 and '-'");
    if (std::ranges::find(out, stage.name, &Stage::name) != out.end())
      table.reject("name", "'" + stage.name + "' is there twice");
    const auto natural = [&](const char* key) {
      const auto value = table.integer(key);
      if (table.has(key) && (value < 1 || value > 1000000)) table.reject(key, "must be from 1 to 1000000");
      return static_cast<std::uint32_t>(value);
    };
    stage.steps = natural("steps");
    stage.batch = natural("batch");
    stage.learning_rate = table.number("learning_rate");
    if (table.has("learning_rate") && !(std::isfinite(stage.learning_rate) && stage.learning_rate > 0))
      table.reject("learning_rate", "must be above 0");
    for (auto& source : table.tables("source")) stage.sources.push_back(read_source(source, folder));
    if (stage.sources.empty()) table.reject("name", "'" + stage.name + "' has no [[train.stage.source]] with a file");
    out.push_back(std::move(stage));
  }
  return out;
}

void read_public_text(Reader& in, PlanFile& file, const std::filesystem::path& folder) {
  auto& config = in.config();
  file.alone.stages = read_stages(config, folder);
  for (auto& table : config.tables("train.mixture")) file.alone.mixture.push_back(read_source(table, folder));
  file.alone.public_share = in.number_in("train.public_share", 0, 0.99, 0.25, true);
  if (config.has("train.public_share") && file.alone.mixture.empty())
    config.reject("train.public_share", "needs [[train.mixture]] with a file");
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
  file.alone.domain = config.text("train.domain", "");
  if (!file.alone.domain.empty() && !is_valid_name(file.alone.domain))
    config.reject("train.domain", "must be 1 to 64 of a-z, 0-9 and '-'");
  file.alone.parent = beside("train.parent");
  file.alone.general = beside("train.general");
  file.alone.forgetting_limit = in.number_in("train.forgetting_limit", 0, kInfinity, 0.1);
  file.alone.forgetting_stops = config.boolean("train.forgetting_stops", false);
  if (file.alone.forgetting_stops && file.alone.general.empty())
    config.reject("train.forgetting_stops", "needs train.general, the text that is watched");
  read_public_text(in, file, folder);
  if (file.alone.patience > 0 && file.alone.validation.empty())
    config.reject("train.patience", "asks for early stopping, which needs train.validation");
}

// What [train] may not ask of several sites, since it would make another training than the one that they approve.
Result<void> check_together(const PlanFile& file) {
  const auto& alone = file.alone;
  const std::string alone_only = " is for 'sotto-client train' at one site alone in this version";
  if (!alone.parent.empty())
    return unsupported(
        file.path + ": train.parent" + alone_only +
        "; a run of several sites goes on from one that this coordinator has ended: training.parent = \"RUN\"");
  if (!alone.mixture.empty() || !alone.stages.empty())
    return unsupported(file.path + ": public text mixed in ([[train.mixture]], [[train.stage]])" + alone_only +
                       ": every site would have to hold the same files, and no plan names them by hash yet");
  if (!alone.general.empty())
    return unsupported(file.path + ": train.general" + alone_only +
                       "; at each site of a run, [watch] in site.toml watches what is forgotten");
  return {};
}

}  // namespace

AdapterLayout layout_of(const ModelShape& shape, const LoraPlan& lora) {
  const bool gpt2 = std::ranges::any_of(
      lora.targets, [](const auto& t) { return std::ranges::find(kGpt2Modules, t) != kGpt2Modules.end(); });
  const std::uint32_t h = shape.hidden, f = shape.intermediate, q = shape.query_width, kv = shape.key_width;
  using Linears = std::vector<LoraModule>;
  const auto linears =
      gpt2 ? Linears{{"attn.c_attn", h, q + 2 * kv}, {"attn.c_proj", q, h}, {"mlp.c_fc", h, f}, {"mlp.c_proj", f, h}}
           : Linears{{"q_proj", h, q},    {"k_proj", h, kv}, {"v_proj", h, kv},  {"o_proj", q, h},
                     {"gate_proj", h, f}, {"up_proj", h, f}, {"down_proj", f, h}};
  AdapterLayout layout;
  for (std::uint32_t layer = lora.first_layer; layer < shape.layers && layer <= lora.last_layer; ++layer)
    for (const auto& linear : linears) {
      const auto is_it = [&](const auto& target) { return linear.path == target || linear.path.ends_with("." + target); };
      if (std::ranges::none_of(lora.targets, is_it)) continue;
      layout.modules.push_back(
          {"layers." + std::to_string(layer) + "." + linear.path, linear.in, linear.out, lora.rank, 1.0});
    }
  return layout;
}

Result<PlanFile> read_plan_file(const std::string& path, PlanUse use) {
  SOTTO_TRY(auto config, ConfigReader::read_file(path));
  if (config.text("mode", "local") == "joint")
    return unsupported(
        path +
        ": mode = \"joint\" (the sites share the noise of one step a round, and their ledgers have two curves) is not "
        "in this version; use \"local\"");
  Reader in(std::move(config));
  PlanFile file;
  file.path = path;
  read_head(in, file, use);
  read_privacy(in, file);
  read_private_step(in, file.plan.step);
  read_trained(in, file, use);
  read_training(in, file, use);
  read_aggregation(in, file);
  read_alone(in, file);
  SOTTO_TRY_VOID(in.config().finish());
  if (file.plan.unit == PrivacyUnit::kSite)
    return unsupported(
        path + ": privacy.unit = \"site\" (client-level privacy) is not in this version; use \"patient\" or \"record\"");
  if (use == PlanUse::kCoordinator) SOTTO_TRY_VOID(check_together(file));
  return file;
}

Error in_file(const PlanFile& file, const Error& error) { return {error.code, file.path + ": " + error.message}; }

}  // namespace sotto::audit
