// Canaries: invented records that a site plants to measure, by an attack on them, how much a run gives away about a record
// (privacy/empirical.h). Which are planted is decided by one fair coin each; text and coins come from the site's run key, so
// that they are the same before and after the run and nobody else can know them. They are units beside the patients: no
// patient's gradient, sampling or noise changes, and the plan's constants do not count them. Their scores are functions of
// the released adapter, so what is logged of them costs no budget.
#pragma once

#include <vector>

#include "audit/log/site_events.h"
#include "base/adapter.h"
#include "client/site/site_folder.h"
#include "data/records/data_set.h"
#include "model/inference/language_model.h"

namespace sotto::client {

struct Canary {
  data::Record record;  // a short question and a random answer that no model can know
  bool planted = false;
};

// plan.canaries of them, in a fixed order. Their patient ids begin with "canary/" and the run's name.
std::vector<Canary> make_canaries(const RunPlan& plan, const RunKey& key);
std::vector<data::Record> planted_of(const std::vector<Canary>& canaries);

// The attack: score = loss under the base model minus loss under `adapter`; the highest scores are guessed planted, the
// lowest not. `model` is left without an adapter.
Result<audit::AuditMeasured> measure(const std::vector<Canary>& canaries, const AdapterState& adapter,
                                     model::LanguageModel& model, const data::ChatTemplate& chat, const RunPlan& plan);

}  // namespace sotto::client
