#include "coordinator/plan_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/config_reader.h"
#include "crypto/hash.h"
#include "privacy/calibrate.h"
#include "privacy/rdp.h"

namespace sotto::coordinator {
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

void read_head(Reader& in, PlanFile& file) {
  auto& config = in.config();
  auto& plan = file.plan;
  plan.run = RunId(config.text("run"));
  if (config.has("run") && !is_valid_name(plan.run.value()))
    config.reject("run", "is \"" + plan.run.value() + "\", must be 1 to 64 of a-z, 0-9 and '-'");
  file.sites = config.texts("sites", std::vector<std::string>{});
  plan.mode = in.choice<Mode>("mode", {{"local", Mode::kLocal}}, "local");
  const auto hash = config.text("model.sha256");
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
  plan.unit = in.choice<PrivacyUnit>("privacy.unit", {{"patient", PrivacyUnit::kPatient}, {"record", PrivacyUnit::kRecord}},
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

Error in_file(const PlanFile& file, const Error& error) { return {error.code, file.path + ": " + error.message}; }

Result<std::vector<Site>> choose_sites(const PlanFile& file, const std::vector<Site>& approved) {
  if (file.sites.empty()) {
    if (approved.size() < 2)
      return refused(file.path + ": " + std::to_string(approved.size()) +
                     " sites are approved, a run needs at least two; see 'sotto-coordinator sites'");
    return approved;
  }
  std::vector<Site> chosen;
  for (const auto& name : file.sites) {
    const auto site = std::ranges::find(approved, SiteName(name), &Site::name);
    if (site == approved.end())
      return not_found(file.path + ": 'sites' names '" + name +
                       "', which is no approved site; see 'sotto-coordinator sites'");
    if (std::ranges::find(chosen, site->name, &Site::name) != chosen.end())
      return invalid(file.path + ": 'sites' names '" + name + "' twice");
    chosen.push_back(*site);
  }
  return chosen;
}

// The smallest power of two at which n updates of the full range cannot wrap (validate in run_plan.h asks for the same).
double smallest_step(const RingPlan& ring, std::size_t n) {
  double step = std::exp2(std::ceil(std::log2(static_cast<double>(n) * ring.range)) - ring.bits);
  while (!(static_cast<double>(n) * std::ceil(ring.range / step) < std::ldexp(1.0, static_cast<int>(ring.bits) - 1)))
    step *= 2;
  return step;
}

Result<void> set_noise(const PlanFile& file, RunPlan& plan) {
  if (!plan.privacy) return {};
  const privacy::Delta delta(plan.delta);
  const std::uint64_t steps = std::uint64_t{plan.rounds} * plan.local_steps;
  std::map<std::uint64_t, double> known;  // sites of one size have one noise
  for (auto& site : plan.sites) {
    const privacy::SamplingRate rate(site.sampling_rate);
    if (file.noise_multiplier) {
      site.noise_multiplier = *file.noise_multiplier;
    } else if (const auto same = known.find(site.declared_size); same != known.end()) {
      site.noise_multiplier = same->second;
    } else {
      const auto sigma = privacy::calibrate_noise(privacy::Epsilon(*file.epsilon), delta, rate, steps);
      if (!sigma.ok()) return in_file(file, sigma.error());
      site.noise_multiplier = sigma->value();
      known.emplace(site.declared_size, site.noise_multiplier);
    }
    if (file.epsilon) continue;
    const privacy::GaussianSteps run{privacy::NoiseMultiplier(site.noise_multiplier), rate, steps};
    const auto spent = privacy::epsilon_of_steps({&run, 1}, delta);
    if (!spent.ok()) return in_file(file, spent.error());
    plan.target_epsilon = std::max(plan.target_epsilon, spent->epsilon.value());
  }
  if (file.epsilon) plan.target_epsilon = *file.epsilon;
  return {};
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

Result<PlanFile> read_plan_file(const std::string& path) {
  SOTTO_TRY(auto config, ConfigReader::read_file(path));
  Reader in(std::move(config));
  PlanFile file;
  file.path = path;
  read_head(in, file);
  read_privacy(in, file);
  read_lora(in, file.plan);
  read_training(in, file);
  read_aggregation(in, file);
  SOTTO_TRY_VOID(in.config().finish());
  return file;
}

Result<Proposal> propose(const PlanFile& file, const std::vector<Site>& approved, const PublicKeyBytes& coordinator) {
  SOTTO_TRY(const auto sites, choose_sites(file, approved));
  const auto n = static_cast<std::uint32_t>(sites.size());
  Proposal out{file.plan, {coordinator, {}, file.colluders.value_or(default_colluders(n))}};
  auto& plan = out.plan;
  plan.colluders = out.roster.colluders;
  const auto t = shamir_threshold(n, plan.colluders);
  plan.min_sites = file.min_sites.value_or(std::max(t, std::min(n, counted_colluders(plan.colluders) + 2)));
  plan.ring.step = file.ring_step.value_or(smallest_step(plan.ring, n));
  for (const auto& site : sites) {
    const double q = plan.expected_batch / static_cast<double>(site.declared_size);
    if (!(q <= 1))
      return invalid(file.path + ": privacy.expected_batch = " + number(plan.expected_batch) + " is more than the " +
                     std::to_string(site.declared_size) + " units that site '" + site.name.value() + "' declared");
    plan.sites.push_back(
        {site.name.value(), site.declared_size, q, 0, file.weigh_by_size ? static_cast<double>(site.declared_size) : 1.0});
    out.roster.sites.push_back({site.name.value(), site.identity, site.transport, site.declared_size});
  }
  SOTTO_TRY_VOID(set_noise(file, plan));
  if (const auto ok = validate(plan, out.roster); !ok.ok()) return in_file(file, ok.error());
  return out;
}

}  // namespace sotto::coordinator
