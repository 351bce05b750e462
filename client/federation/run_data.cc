#include "client/federation/run_data.h"

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "client/site/data_facts.h"
#include "client/site/site_data.h"
#include "client/text/text_model.h"
#include "client/training/canaries.h"

namespace sotto::client {

Result<RunData> load_run_data(const RunDataSource& source) {
  const RunPlan& plan = *source.plan;
  const SiteConfig& config = *source.config;
  SOTTO_TRY(const TextModel text, TextModel::load(config.model));
  SOTTO_TRY(const auto chat, text.chat(plan.chat_template));
  SOTTO_TRY(auto records, read_site_records(config, plan.system_prompt));
  RunData out;
  out.fingerprint = fingerprint_of(*source.book, plan.run, records);
  data::Split parts = data::split(std::move(records), hold_out_of(*source.book, config));
  SOTTO_TRY_VOID(claim_patients(*source.book, source.budget, parts));
  std::ranges::move(planted_of(make_canaries(plan, source.folder->run_key())), std::back_inserter(parts.training));
  out.training = data::encode(std::move(parts.training), chat, {plan.unit, plan.max_tokens});
  if (out.training.examples.empty() && out.training.refused > 0)
    return invalid("no record can be used: " + out.training.refusal);
  tell_idle(out.training, plan.max_tokens);
  if (!config.watch.general.empty()) {
    SOTTO_TRY_VOID(check_outside(*source.book, {"watch.general", config.watch.general}, true));
    SOTTO_TRY(out.watch, ForgettingWatch::open(config.watch, plan, chat, source.folder->run_folder(plan.run)));
  }
  // Only what the operator sees on the site's own terminal: these counts go into no message, log or report.
  log(Level::kDebug, "data_loaded",
      {{"records", out.training.examples.size()},
       {"units", out.training.units.size()},
       {"skipped", out.training.skipped},
       {"refused", out.training.refused}});
  return out;
}

}  // namespace sotto::client
