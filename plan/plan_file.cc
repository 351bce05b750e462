#include "plan/plan_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/config_reader.h"
#include "base/ids.h"
#include "crypto/hash.h"
#include "plan/file_fields.h"
#include "plan/lora_targets.h"
#include "plan/plan_fields.h"
#include "privacy/mechanism/correlation.h"

namespace sotto::plan {
namespace {

// Reads fields by their rows: what is outside is rejected by file, line and key.
class FileReader {
 public:
  // `folder` is what paths are relative to.
  FileReader(ConfigReader& config, PlanUse use, std::filesystem::path folder)
      : config_(config), use_(use), folder_(std::move(folder)) {}

  // Rows whose key begins so are left alone: their table has no meaning here.
  void leave_out(std::string prefix) { left_out_.push_back(std::move(prefix)); }

  void operator()(const Row& row, std::uint32_t& v) { whole_number(row, v); }
  void operator()(const Row& row, std::uint64_t& v) { whole_number(row, v); }
  void operator()(const Row& row, double& v) {
    if (!is_read(row)) return;
    v = config_.number(row.key, fallback(row, v));
    check_number(row, v, in_words(v), false);
  }
  void operator()(const Row& row, std::optional<double>& v) {
    double given = 0;
    if (!config_.has(row.key)) return;
    (*this)(row, given);
    v = given;
  }
  void operator()(const Row& row, bool& v) {
    if (is_read(row)) v = config_.boolean(row.key, fallback(row, v));
  }
  void operator()(const Row& row, std::string& v) {
    if (!is_read(row)) return;
    v = config_.text(row.key, fallback(row, v));
    const bool may_be_empty = row.source == Source::kFile;
    if (row.text == Text::kName && config_.has(row.key) && !is_valid_name(v) && !(may_be_empty && v.empty()))
      config_.reject(row.key, "is \"" + v + "\", must be " + std::string(kNameWords));
    if (row.text == Text::kPath && !v.empty()) v = (folder_ / v).lexically_normal().string();
  }
  void operator()(const Row& row, std::optional<std::string>& v) {
    if (config_.has(row.key)) v = config_.text(row.key, "");
  }
  void operator()(const Row& row, RunId& v) {
    std::string name;
    Row named = row;
    named.text = Text::kName;
    (*this)(named, name);
    v = RunId(name);
  }
  void operator()(const Row& row, std::vector<std::string>& v) {
    if (is_read(row)) v = config_.texts(row.key, fallback(row, v));
  }
  // The fingerprint of a model: a site that trains alone may leave it out.
  void operator()(const Row& row, Digest& v) {
    if (!is_read(row)) return;
    const auto none = use_ == PlanUse::kAlone ? std::optional(to_hex(Digest{})) : std::nullopt;
    const auto text = config_.text(row.key, none);
    if (const auto digest = digest_from_hex(text); digest.ok())
      v = *digest;
    else if (config_.has(row.key))
      config_.reject(row.key, "is no SHA-256 in 64 hexadecimal digits; 'sotto-client doctor' prints a model's fingerprint");
  }
  template <NamedEnum Enum>
  void operator()(const Row& row, Enum& v) {
    if (!is_read(row)) return;
    const auto text = config_.text(row.key, std::string(name_of(v)));
    if (const auto known = with_name<Enum>(text))
      v = *known;
    else if (row.not_yet && row.not_yet->name == text)
      not_yet_ = not_yet_ ? not_yet_ : std::optional(unsupported(told(row, text) + listed_names<Enum>(" or ")));
    else
      config_.reject(row.key, "is \"" + text + "\", must be one of " + listed_names<Enum>());
  }
  void operator()(const Row&, const std::optional<Digest>&) {}  // computed
  void operator()(const Row&, const std::vector<SitePlan>&) {}  // computed

  const std::optional<Error>& not_yet() const { return not_yet_; }

 private:
  bool is_read(const Row& row) const {
    return row.source != Source::kComputed &&
           std::ranges::none_of(left_out_, [&](const auto& prefix) { return row.key.starts_with(prefix); });
  }
  template <class T>
  static std::optional<T> fallback(const Row& row, const T& v) {
    return row.source == Source::kRequired ? std::nullopt : std::optional(v);
  }
  template <class T>
  void whole_number(const Row& row, T& v) {
    if (!is_read(row)) return;
    const auto value = config_.integer(row.key, fallback(row, static_cast<std::int64_t>(v)));
    check_number(row, static_cast<double>(value), std::to_string(value), true);
    v = static_cast<T>(std::clamp(value, std::int64_t{0}, static_cast<std::int64_t>(std::min(row.limits.high, 0x1p53))));
  }
  void check_number(const Row& row, double v, const std::string& shown, bool whole) {
    if (config_.has(row.key) && !row.limits.contains(v))
      config_.reject(row.key, "is " + shown + ", must be " + row.limits.words(whole));
  }
  static std::string told(const Row& row, const std::string& name) {
    return std::string(row.key) + " = \"" + name + "\" (" + std::string(row.not_yet->meaning) +
           ") is not in this version; use ";
  }

  ConfigReader& config_;
  PlanUse use_;
  std::filesystem::path folder_;
  std::vector<std::string> left_out_;
  std::optional<Error> not_yet_;
};

TrainedPart trained_part(const FileWords& words) {
  switch (words.trained) {
    case TrainedTable::kPrompt: return TrainedPart::kPrompt;
    case TrainedTable::kFull: return TrainedPart::kFull;
    case TrainedTable::kLora: break;
  }
  switch (words.lora_part) {
    case LoraPart::kAB: return TrainedPart::kAB;
    case LoraPart::kAlternating: return TrainedPart::kAlternating;
    case LoraPart::kB: break;
  }
  return TrainedPart::kB;
}

// Only the table of what is trained is read; another one is a mistake.
void choose_tables(ConfigReader& config, FileReader& read, const FileWords& words) {
  const auto only = [&](const char* table, TrainedTable of) {
    if (words.trained == of) return;
    read.leave_out(table + std::string("."));
    if (config.has(table))
      config.reject(table, "is read where training.trained = \"" + std::string(name_of(of)) + "\"; leave the table out");
  };
  only("lora", TrainedTable::kLora);
  only("prompt", TrainedTable::kPrompt);
}

void check_lora(ConfigReader& config, const PlanFile& file, PlanUse use) {
  const auto& lora = file.plan.lora;
  if (file.alone.dora && use == PlanUse::kCoordinator)
    config.reject("lora.dora",
                  "is true, and DoRA is not trained in runs of several sites: the mean of their adapters is not the adapter "
                  "of their mean (docs/adapters.md); leave it out for LoRA");
  if (config.has("lora.targets") && lora.targets.empty())
    config.reject("lora.targets", "is empty; name at least one module");
  for (const auto& target : lora.targets)
    if (!is_known_target(target))
      config.reject("lora.targets", "names \"" + target + "\", which is none of " + known_targets());
  if (lora.first_layer > lora.last_layer) config.reject("lora.first_layer", "is above lora.last_layer");
}

void check_privacy(ConfigReader& config, const PlanFile& file) {
  if (file.plan.privacy && file.epsilon && file.noise_multiplier)
    config.reject("privacy.noise_multiplier",
                  "and privacy.epsilon are both given, and each follows from the other; leave one out");
  if (file.plan.privacy && !file.epsilon && !file.noise_multiplier)
    config.reject("privacy.epsilon", "is missing; a private run needs it, or privacy.noise_multiplier in its place");
  if (!file.plan.privacy && (file.epsilon || file.noise_multiplier))
    config.reject("privacy.enabled", "is false: a run without privacy has neither epsilon nor noise_multiplier");
  if (file.plan.step.noise == privacy::CorrelationKind::kBlt && file.plan.step.bands > privacy::kMostBuffers)
    config.reject("privacy.bands", "is " + std::to_string(file.plan.step.bands) + ", must be at most " +
                                       std::to_string(privacy::kMostBuffers) + " where privacy.noise = \"blt\"");
}

// What is left out follows from other fields.
void fill_in(const ConfigReader& config, const FileWords& words, PlanFile& file) {
  auto& plan = file.plan;
  auto& step = plan.step;
  plan.trained = trained_part(words);
  file.weigh_by_size = words.weights == Weights::kSize;
  ByteWriter seed;
  seed.text("sotto/run-seed/v1").text(words.seed.value_or(plan.run.value()));
  plan.seed = crypto::sha256(seed.view());
  if (!config.has("lora.alpha")) plan.lora.alpha = 2.0 * plan.lora.rank;
  if (!config.has("privacy.bands") && step.noise != privacy::CorrelationKind::kIndependent) step.bands = 8;
  if (step.clipping == privacy::ClippingKind::kAdaptive) step.count_clipped = true;
  if (config.has("aggregation.colluders")) file.colluders = plan.colluders;
  if (config.has("aggregation.min_sites")) file.min_sites = plan.min_sites;
  if (config.has("aggregation.step")) {  // a proposal puts it back; without one it is none of the plan's business
    file.ring_step = plan.ring.step;
    plan.ring.step = RingPlan{}.step;
  }
}

std::vector<PublicSource> read_sources(ConfigReader& config, const char* key, const std::filesystem::path& folder) {
  std::vector<PublicSource> out;
  for (auto& table : config.tables(key)) {
    FileReader read(table, PlanUse::kAlone, folder);
    for_each_field(out.emplace_back(), read);
  }
  return out;
}

void read_public_text(ConfigReader& config, PlanFile& file, const std::filesystem::path& folder) {
  auto& stages = file.alone.stages;
  for (auto& table : config.tables("train.stage")) {
    Stage stage;
    FileReader read(table, PlanUse::kAlone, folder);
    for_each_field(stage, read);
    if (std::ranges::find(stages, stage.name, &Stage::name) != stages.end())
      table.reject("name", "'" + stage.name + "' is there twice");
    stage.sources = read_sources(table, "source", folder);
    if (stage.sources.empty()) table.reject("name", "'" + stage.name + "' has no [[train.stage.source]] with a file");
    stages.push_back(std::move(stage));
  }
  file.alone.mixture = read_sources(config, "train.mixture", folder);
}

void check_alone(ConfigReader& config, const PlanFile& file, PlanUse use) {
  const auto& alone = file.alone;
  if (!file.parent_run.empty() && use == PlanUse::kAlone)
    config.reject("training.parent",
                  "names a run of a coordinator; where a site trains alone, train.parent names the folder of an adapter");
  if (alone.forgetting_stops && alone.general.empty())
    config.reject("train.forgetting_stops", "needs train.general, the text that is watched");
  if (config.has("train.public_share") && alone.mixture.empty())
    config.reject("train.public_share", "needs [[train.mixture]] with a file");
  if (alone.patience > 0 && alone.validation.empty())
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
  const bool gpt2 = std::ranges::any_of(lora.targets, is_gpt2_target);
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
  const auto folder = std::filesystem::path(path).parent_path();
  FileReader read(config, use, folder);
  PlanFile file;
  file.path = path;
  FileWords words;
  for_each_field(words, read);
  choose_tables(config, read, words);
  for_each_field(file.plan, read);
  for_each_field(file, read);
  if (config.has("model.shape")) for_each_field(file.shape.emplace(), read);
  for_each_field(file.alone, read);
  read_public_text(config, file, folder);
  fill_in(config, words, file);
  check_privacy(config, file);
  if (words.trained == TrainedTable::kLora) check_lora(config, file, use);
  check_alone(config, file, use);
  if (read.not_yet()) return in_file(file, *read.not_yet());
  SOTTO_TRY_VOID(config.finish());
  if (use == PlanUse::kCoordinator) SOTTO_TRY_VOID(check_together(file));
  return file;
}

Error in_file(const PlanFile& file, const Error& error) { return {error.code, file.path + ": " + error.message}; }

}  // namespace sotto::plan
