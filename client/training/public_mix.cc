#include "client/training/public_mix.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/log.h"
#include "base/progress.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "privacy/mechanism/noise.h"

namespace sotto::client {
namespace {

std::string name_of(const std::string& file) { return std::filesystem::path(file).filename().string(); }

// Public: everybody who has the plan draws the same.
crypto::StreamRandom stream(const RunPlan& plan, const std::string& purpose, std::uint64_t step) {
  ByteWriter info;
  info.text("sotto/public-text/v1").text(purpose).u64(step);
  return crypto::StreamRandom(crypto::StreamKey(crypto::hkdf_sha256<32>({}, plan.seed, info.view())));
}

// Dropout of public records, where the plan has any.
model::DropoutStreams dropout(const RunPlan& plan, const std::string& purpose, std::uint64_t step) {
  if (plan.lora.dropout == 0) return {};
  return [&plan, purpose, step](std::uint32_t unit, std::uint32_t record,
                                std::uint32_t layer) -> std::unique_ptr<RandomSource> {
    return std::make_unique<crypto::StreamRandom>(stream(
        plan, purpose + "/dropout/" + std::to_string(unit) + "/" + std::to_string(record) + "/" + std::to_string(layer),
        step));
  };
}

std::size_t pick(const std::vector<PublicText>& sources, RandomSource& random) {
  double total = 0;
  for (const auto& s : sources) total += s.weight;
  double at = static_cast<double>(random.below(1ULL << 53)) / 9007199254740992.0 * total;
  for (std::size_t i = 0; i + 1 < sources.size(); ++i) {
    if (at < sources[i].weight) return i;
    at -= sources[i].weight;
  }
  return sources.size() - 1;
}

// Mean gradient of `batch` records, each from a source drawn by weight; within one source without repeats, as far as it
// goes.
Result<std::vector<float>> mean_gradient(const std::vector<PublicText>& sources, std::uint64_t batch,
                                         model::Training& training, RandomSource& random,
                                         const model::DropoutStreams& dropout) {
  std::vector<std::uint64_t> counts(sources.size(), 0);
  for (std::uint64_t i = 0; i < batch; ++i) ++counts[pick(sources, random)];
  std::vector<float> mean(training.dimension(), 0.0F);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto& data = sources[i].data;
    const std::uint64_t size = std::min<std::uint64_t>(counts[i], data.units.size());
    if (size == 0) continue;
    const std::vector<std::uint32_t> ones(data.units.size(), 1);
    auto units = privacy::SampledUnits::draw_fixed_size({privacy::Unit::kRecord, ones, 1}, size, random);
    SOTTO_TRY(auto sum, training.unclipped_sum(data, std::move(units), dropout));
    const auto own = privacy::NonPrivateSum(std::move(sum)).mean(privacy::ExpectedBatch(privacy::SamplingRate(1.0), size));
    const auto part = static_cast<float>(static_cast<double>(counts[i]) / static_cast<double>(batch));
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += part * own[k];
  }
  return mean;
}

}  // namespace

Result<std::vector<PublicText>> read_public(const std::vector<plan::PublicSource>& sources, const RunPlan& plan,
                                            const data::ChatTemplate& chat) {
  std::vector<PublicText> out;
  for (const auto& source : sources) {
    PublicText text{source.file, {}, source.weight, {}};
    SOTTO_TRY(text.sha256, crypto::sha256_file(source.file));
    SOTTO_TRY(auto records, data::read_records(source.file, {plan.system_prompt, {}}));
    text.data = data::encode(std::move(records), chat, {privacy::Unit::kRecord, plan.max_tokens});
    if (text.data.units.empty())
      return invalid("'" + source.file + "' holds no record whose response fits into " + std::to_string(plan.max_tokens) +
                     " tokens");
    out.push_back(std::move(text));
  }
  return out;
}

Json to_json(const std::vector<PublicText>& sources) {
  Json out = Json::array();
  for (const auto& s : sources)
    out.push(Json::object({{"file", name_of(s.file)}, {"sha256", to_hex(s.sha256)}, {"weight", s.weight}}));
  return out;
}

PublicMix::PublicMix(std::vector<PublicText> sources, double share, const RunPlan& plan)
    : sources_(std::move(sources)), share_(share), plan_(&plan) {
  SOTTO_CHECK(!sources_.empty() && share > 0 && share < 1);
}

Result<void> PublicMix::mix_into(std::vector<float>& mean, std::uint64_t step, model::Training& training) const {
  auto random = stream(*plan_, "mixture", step);
  const auto batch =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::llround(plan_->expected_batch * share_ / (1 - share_))));
  SOTTO_TRY(auto general, mean_gradient(sources_, batch, training, random, dropout(*plan_, "mixture", step)));
  if (plan_->privacy) model::clip_global_norm(general, plan_->clip_norm);
  const auto share = static_cast<float>(share_);
  for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = (1 - share) * mean[i] + share * general[i];
  return {};
}

Result<void> run_stages(const std::vector<plan::Stage>& stages, const RunPlan& plan, const data::ChatTemplate& chat,
                        model::Training& training) {
  for (const auto& stage : stages) {
    SOTTO_TRY(const auto sources, read_public(stage.sources, plan, chat));
    for (const auto& source : sources) SOTTO_TRY_VOID(training.check(source.data));
    OptimizerPlan settings = plan.optimizer;
    settings.learning_rate = stage.learning_rate;
    settings.warmup_steps = 0;
    model::Optimizer optimizer(settings, training.dimension());
    log(Level::kInfo, "stage_begins",
        {{"stage", stage.name}, {"steps", stage.steps}, {"learning_rate", stage.learning_rate}});
    Progress progress("stage " + stage.name + ", steps", stage.steps);
    for (std::uint32_t s = 0; s < stage.steps; ++s) {
      auto random = stream(plan, "stage/" + stage.name, s);
      SOTTO_TRY(auto mean, mean_gradient(sources, stage.batch, training, random, dropout(plan, "stage/" + stage.name, s)));
      if (settings.max_grad_norm > 0) model::clip_global_norm(mean, settings.max_grad_norm);
      training.step(optimizer, mean, model::learning_rate(settings, s, stage.steps));
      progress.advance();
    }
    progress.finish();
  }
  return {};
}

Result<Json> stages_json(const std::vector<plan::Stage>& stages) {
  Json out = Json::array();
  for (const auto& stage : stages) {
    Json files = Json::array();
    for (const auto& source : stage.sources) {
      SOTTO_TRY(const Digest sha256, crypto::sha256_file(source.file));
      files.push(Json::object({{"file", name_of(source.file)}, {"sha256", to_hex(sha256)}, {"weight", source.weight}}));
    }
    out.push(Json::object({{"name", stage.name},
                           {"data", std::move(files)},
                           {"steps", stage.steps},
                           {"batch", stage.batch},
                           {"learning_rate", stage.learning_rate}}));
  }
  return out;
}

}  // namespace sotto::client
