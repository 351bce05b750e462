#include "client/measure/attack.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "audit/log/event_log.h"
#include "base/clock.h"
#include "client/site/site_config.h"
#include "client/site/site_data.h"
#include "client/site/site_folder.h"
#include "client/text/text_model.h"
#include "crypto/hash.h"
#include "crypto/system_random.h"
#include "data/records/data_set.h"
#include "model/inference/language_model.h"
#include "privacy/empirical.h"

namespace sotto::client {
namespace {

struct Scores {
  std::vector<double> drop;  // one a patient: mean over its records of the loss before training minus after
  std::vector<bool> member;
};

// The first `limit` patients, in the order of the data; every patient's score comes from its own records alone.
Result<void> add_scores(Scores& out, std::vector<data::Record> records, bool members, model::LanguageModel& model,
                        const AdapterState& adapter, const data::ChatTemplate& chat, const AttackCommand& command,
                        std::size_t max_tokens) {
  const auto data = data::encode(std::move(records), chat, {PrivacyUnit::kPatient, max_tokens});
  const std::size_t n = std::min(data.units.size(), static_cast<std::size_t>(command.limit));
  std::vector<std::vector<double>> means(2, std::vector<double>(n, 0));
  for (int after = 0; after < 2; ++after) {
    if (after == 1) SOTTO_TRY_VOID(model.set_adapter(adapter));
    if (after == 0) model.clear_adapter();
    for (std::size_t u = 0; u < n; ++u) {
      std::vector<data::Example> own;
      for (const auto i : data.units[u].examples) own.push_back(data.examples[i]);
      SOTTO_TRY(const auto losses, model.evaluate(own));
      double sum = 0;
      for (const auto& l : losses) sum += l.loss_sum / std::max<double>(1, l.tokens);
      means[static_cast<std::size_t>(after)][u] = sum / static_cast<double>(own.size());
    }
  }
  for (std::size_t u = 0; u < n; ++u) {
    out.drop.push_back(means[0][u] - means[1][u]);
    out.member.push_back(members);
  }
  return {};
}

Result<void> keep_sealed(const SiteFolder& folder, const SiteConfig& config, const audit::AttackMeasured& measured) {
  SOTTO_TRY(const auto key, audit::read_log_key(config.log_key));
  SOTTO_TRY(auto log, audit::EventLog::open(folder.log_path()));
  crypto::SystemRandom random;
  const auto now = wall_clock();
  SOTTO_TRY([[maybe_unused]] const auto index, log.append_sealed(measured, key, random, now));
  return {};
}

Result<Scores> scores_of(const AttackCommand& command, const SiteConfig& config, const RunPlan& plan,
                         const AdapterState& adapter) {
  if (config.holdout_fraction == 0)
    return refused(
        "this site holds no patients out of training (holdout_fraction = 0), so there is nobody to compare members with");
  SOTTO_TRY(auto records, read_site_records(config, plan.system_prompt));
  SOTTO_TRY(const auto book, PatientBook::open(config.budget_folder));
  auto parts = data::split(std::move(records), hold_out_of(book, config));
  SOTTO_TRY_VOID(check_held_out(book, parts.held_out));
  SOTTO_TRY(const TextModel text, TextModel::load(config.model));
  SOTTO_TRY(const auto chat, text.chat(plan.chat_template));
  SOTTO_TRY(auto model, model::LanguageModel::load(config.model,
                                                   {config.device, plan.precision, config.threads, config.quantized_base}));
  Scores out;
  SOTTO_TRY_VOID(add_scores(out, std::move(parts.training), true, model, adapter, chat, command, plan.max_tokens));
  SOTTO_TRY_VOID(add_scores(out, std::move(parts.held_out), false, model, adapter, chat, command, plan.max_tokens));
  return out;
}

}  // namespace

Result<void> attack(const AttackCommand& command) {
  if (!is_valid_name(command.run)) return invalid("'" + command.run + "' is not a run's name ([a-z0-9-], up to 64)");
  if (command.limit < 1 || command.limit > 100000)
    return invalid("--limit is " + std::to_string(command.limit) + "; it must be from 1 to 100000");
  const RunId run(command.run);
  SOTTO_TRY(const auto folder, SiteFolder::open(command.folder));
  SOTTO_TRY(const auto config, read_site_config(folder.site().config));
  SOTTO_TRY(const Offer offer, folder.offer(run));
  const std::string file = folder.run_folder(run) + "/adapter.bin";
  if (!file_exists(file)) return not_found("run '" + command.run + "' has left no adapter at this site yet");
  SOTTO_TRY(const Bytes bytes, read_binary_file(file));
  SOTTO_TRY(const auto adapter, decode_adapter(bytes));
  SOTTO_TRY(const Scores scores, scores_of(command, config, offer.plan, adapter));
  const auto members = static_cast<std::uint64_t>(std::count(scores.member.begin(), scores.member.end(), true));
  const auto found = privacy::separation_of(scores.drop, scores.member);
  const audit::AttackMeasured measured{run,
                                       crypto::sha256(bytes),
                                       members,
                                       scores.member.size() - members,
                                       found.auc,
                                       found.tpr_at_1_percent,
                                       found.tpr_at_01_percent};
  if (!config.log_key.empty()) SOTTO_TRY_VOID(keep_sealed(folder, config, measured));
  if (command.json) {
    std::cout << Json::object({{"run", command.run},
                               {"members", measured.members},
                               {"non_members", measured.non_members},
                               {"auc", measured.auc},
                               {"tpr_at_1_percent_fpr", measured.tpr_at_1_percent},
                               {"tpr_at_01_percent_fpr", measured.tpr_at_01_percent},
                               {"sealed", !config.log_key.empty()}})
                     .dump()
              << '\n';
    return {};
  }
  std::printf("membership inference by loss, run %s: %llu patients who trained, %llu held out\n", command.run.c_str(),
              static_cast<unsigned long long>(measured.members), static_cast<unsigned long long>(measured.non_members));
  std::printf("  AUC %.3f (0.5: nothing shown)\n  true positives at 1 %% false positives %.3f, at 0.1 %% %.3f\n",
              measured.auc, measured.tpr_at_1_percent, measured.tpr_at_01_percent);
  std::printf("this is a function of your patients' data and covered by no epsilon: keep it here%s\n",
              config.log_key.empty() ? "" : "; it stands sealed in the site's log");
  return {};
}

}  // namespace sotto::client
