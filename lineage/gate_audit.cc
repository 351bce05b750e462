// The gate's audit check: recomputes epsilon and the canaries' bound from a run's log or report folder (gate.h).
#include <algorithm>
#include <cmath>

#include "audit/ledger/accounting.h"
#include "audit/run/empirical_result.h"
#include "audit/run/run_timeline.h"
#include "audit/verify/verify.h"
#include "lineage/gate.h"

namespace sotto::lineage {
namespace {

using audit::AuditMeasured;

std::string number(double v) { return Json(v).dump(); }

Finding failed(const std::string& sentence) { return {"audit", Finding::State::kFailed, sentence, nullptr}; }

// The lower bound that an attack showed, and what is proven at the same delta.
struct Shown {
  double lower = 0;
  double proven = 0;
  double delta = 0;
};

Finding compared(const std::vector<Shown>& shown, const Digest& root) {
  if (shown.empty()) return failed("no canaries were measured; put [audit] canaries = N into the plan");
  const auto worst = std::ranges::max_element(shown, {}, [](const Shown& s) { return s.lower - s.proven; });
  const bool good =
      std::ranges::all_of(shown, [](const Shown& s) { return std::isfinite(s.proven) && s.lower <= s.proven; });
  return {"audit", good ? Finding::State::kPassed : Finding::State::kFailed,
          "planted canaries show epsilon " + number(worst->lower) + " at least, " + number(worst->proven) +
              " is proven at most, at delta " + number(worst->delta),
          Json::object({{"epsilon_lower", audit::rounded_down(worst->lower)},
                        {"epsilon_proven", audit::rounded_up(worst->proven)},
                        {"delta", worst->delta},
                        {"log_root", to_hex(root)}})};
}

// A federated run, as its report's folder holds it: verified first, since everything rests on the logs.
Result<Finding> of_report(const Passport& passport, const std::string& path) {
  SOTTO_TRY(const auto folder, audit::read_run_folder(path));
  const auto verdict = audit::verify(folder, std::nullopt);
  if (const auto* check = verdict.first_failed())
    return failed(path + " does not verify: " + check->name + ": " + check->detail);
  const auto history = audit::history_of(folder);
  if (!history.finished || history.last_adapter != passport.adapter)
    return failed(path + ": the run '" + folder.run.value() + "' did not make this model");
  std::vector<Shown> shown;
  for (const auto& site : history.sites) {
    if (!site.measured) continue;
    SOTTO_TRY(const auto result, audit::result_of(*site.measured, folder.facts->plan));
    shown.push_back({result.epsilon_lower, audit::account(site.run, result.delta).proven(), result.delta});
  }
  return compared(shown, folder.coordinator.image.tree.root());
}

// One site alone: the log of the training's folder.
Result<Finding> of_training(const Passport& passport, const std::string& path) {
  SOTTO_TRY(const auto log, audit::read_log(path + "/log"));
  audit::Spending spending;
  std::vector<Shown> shown;
  std::vector<AuditMeasured> measured;
  for (const auto& record : log.records) {
    const auto event = audit::decode_event(record.type, record.payload);
    if (!event.ok()) return failed(path + "/log, entry " + std::to_string(record.index) + ": " + event.error().message);
    SOTTO_TRY_VOID(spending.apply(*event));
    const auto* found = std::get_if<AuditMeasured>(&*event);
    if (found && found->run == passport.plan.run && found->adapter == passport.adapter) measured.push_back(*found);
  }
  const auto spent = spending.of_run(passport.plan.run);
  const Json epsilon = audit::rounded_up(audit::composed_epsilon(spent, passport.plan.delta));
  const Json& told = passport.json.at("privacy").at("epsilon");
  if (epsilon.dump() != told.dump())
    return failed("the passport says epsilon " + told.dump() + ", and the log says " + epsilon.dump());
  for (const auto& m : measured) {
    SOTTO_TRY(const auto result, audit::result_of(m, passport.plan));
    shown.push_back({result.epsilon_lower, audit::account(spent, result.delta).proven(), result.delta});
  }
  return compared(shown, log.tree.root());
}

}  // namespace

Finding judge_audit(const Passport& passport, const std::string& folder) {
  if (!passport.plan.privacy)
    return failed("the model was trained without privacy: nothing is proven, and there is nothing to compare with");
  const auto found = file_exists(folder + "/run.json") ? of_report(passport, folder) : of_training(passport, folder);
  return found.ok() ? *found : failed(found.error().message);
}

}  // namespace sotto::lineage
