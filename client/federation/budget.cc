#include "client/federation/budget.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <optional>

#include "audit/ledger/accounting.h"
#include "audit/log/log_reader.h"
#include "client/site/patient_book.h"
#include "client/site/site_spending.h"
#include "client/text/text_model.h"
#include "model/adapter/lora.h"
#include "plan/plan_file.h"

namespace sotto::client {
namespace {

using audit::composed_epsilon;
using audit::Curve;

Json number_or_none(double v) { return std::isfinite(v) ? Json(v) : Json("none"); }

// A RUN.toml as its coordinator's operator has it, for this site alone.
Result<RunPlan> read_cost_of_plan(const std::string& path, std::uint64_t declared_size) {
  SOTTO_TRY(auto file, audit::read_plan_file(path));
  RunPlan plan = file.plan;
  const double rate = plan.expected_batch / static_cast<double>(declared_size);
  if (plan.privacy && !(rate <= 1))
    return invalid("'" + path + "': privacy.expected_batch = " + Json(plan.expected_batch).dump() + " is more than the " +
                   std::to_string(declared_size) + " units that this site declared");
  plan.sites = {{"", declared_size, rate, 0, 1}};
  SOTTO_TRY_VOID(audit::set_noise(file, plan));
  return plan;
}

struct Asked {
  RunPlan plan;
  std::vector<privacy::DpEvent> round;
};

Result<std::optional<Asked>> asked_for(const BudgetQuery& query, const SiteFolder& folder, const SiteConfig& config) {
  if (query.plan.empty() && query.run.empty()) return std::optional<Asked>();
  if (!query.plan.empty() && !query.run.empty()) return invalid("give --plan or --run, not both");
  Asked out;
  SitePlan own;
  if (!query.plan.empty()) {
    SOTTO_TRY(out.plan, read_cost_of_plan(query.plan, folder.site().declared_size));
    own = out.plan.sites.front();
  } else {
    if (!is_valid_name(query.run)) return invalid("'" + query.run + "' is not a run's name ([a-z0-9-], up to 64)");
    SOTTO_TRY(const Offer offer, folder.offer(RunId(query.run)));
    out.plan = offer.plan;
    const auto at = std::ranges::find_if(out.plan.sites, [&](const SitePlan& s) { return s.name == folder.site().name; });
    if (at == out.plan.sites.end()) return refused("run '" + query.run + "' does not name this site");
    own = *at;
  }
  if (out.plan.step.sampling == SamplingScheme::kRandomAllocation ||
      out.plan.step.sampling == SamplingScheme::kMinSeparation)
    return unsupported(
        "how many rounds of random allocation, or of a run that is one release, are affordable is not told in this version; "
        "'sotto-client approve " +
        out.plan.run.value() + "' shows what the whole run costs");
  if (!out.plan.privacy)
    return refused("run '" + out.plan.run.value() + "' has no privacy: it costs the whole budget, for good");
  SOTTO_TRY(const auto shape, read_model_config(config.model));
  SOTTO_TRY(const auto layout, model::adapter_layout(shape, out.plan));
  SOTTO_TRY(out.round, audit::planned_round(out.plan, own, layout.trained_size(out.plan.trained)));
  return std::optional<Asked>(std::move(out));
}

Json runs_of(const audit::Spending& spending, const std::string& budget, double delta) {
  std::set<RunId> runs;
  for (const auto& [key, round] : spending.rounds()) runs.insert(key.first);
  Json out = Json::array();
  for (const RunId& run : runs) {
    if (spending.budget_of(run) != budget) continue;
    out.push(
        Json::object({{"run", run.value()}, {"epsilon", number_or_none(composed_epsilon(spending.of_run(run), delta))}}));
  }
  return out;
}

Json plan_json(const Asked& asked, const audit::Spent& spent, const Policy& policy) {
  audit::Spent after = spent;
  for (std::uint32_t i = 0; i < asked.plan.rounds; ++i) after.add(audit::RoundCost(asked.round));
  audit::Spent alone;
  alone.add(audit::RoundCost(asked.round));
  const auto fits = affordable_rounds(spent, asked.round, policy.epsilon_limit, policy.delta);
  return Json::object({{"run", asked.plan.run.value()},
                       {"rounds", asked.plan.rounds},
                       {"epsilon_of_one_round", number_or_none(composed_epsilon(alone, policy.delta))},
                       {"epsilon_after_all", number_or_none(composed_epsilon(after, policy.delta))},
                       {"affordable_rounds", fits},
                       {"affordable", fits >= asked.plan.rounds}});
}

std::string shown(const Json& number) {
  if (!number.is_number()) return "none";
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", number.as_double());
  return text;
}

void print(const Json& b) {
  std::printf("privacy budget '%s' of this site's patients, all runs, at delta %g (%s)\n",
              b.at("budget").as_string().c_str(), b.at("delta").as_double(), b.at("neighbours").as_string().c_str());
  std::printf("  limit      %s\n  spent      %s (open reservations included)\n  reserved   %s\n  left       %s\n",
              shown(b.at("limit")).c_str(), shown(b.at("spent")).c_str(), shown(b.at("reserved")).c_str(),
              shown(b.at("left")).c_str());
  for (const auto& run : b.at("runs").items())
    std::printf("    run %-24s %s\n", run.at("run").as_string().c_str(), shown(run.at("epsilon")).c_str());
  if (b.at("spent_elsewhere").is_number() && b.at("spent_elsewhere").as_double() > 0)
    std::printf("    in this site's other folders   %s\n", shown(b.at("spent_elsewhere")).c_str());
  if (const Json* own = b.find("own_share"))
    std::printf("  by the own share of the noise alone: spent %s, limit %s\n", shown(own->at("spent")).c_str(),
                shown(own->at("limit")).c_str());
  if (const Json* plan = b.find("plan"))
    std::printf(
        "  plan %s: one round costs %s; %lld of its %lld rounds are affordable; after all of them %s would be spent\n",
        plan->at("run").as_string().c_str(), shown(plan->at("epsilon_of_one_round")).c_str(),
        static_cast<long long>(std::min(plan->at("affordable_rounds").as_int(), plan->at("rounds").as_int())),
        static_cast<long long>(plan->at("rounds").as_int()), shown(plan->at("epsilon_after_all")).c_str());
}

}  // namespace

Result<audit::Spending> spending_of(const SiteFolder& folder, const SiteConfig& config) {
  SOTTO_TRY(const Bytes file, audit::read_log_bytes(folder.log_path()));
  const auto parsed = audit::parse_log(file);
  if (parsed.damage && !parsed.damage->torn)
    return invalid("'" + folder.log_path() + "' is damaged at entry " + std::to_string(parsed.damage->entry) + ": " +
                   parsed.damage->why);
  audit::Spending spending;
  for (const auto& record : parsed.image.records) {
    SOTTO_TRY(const auto event, audit::decode_event(record.type, record.payload));
    SOTTO_TRY_VOID(spending.apply(event));
  }
  if (parsed.image.records.empty()) return spending;
  SOTTO_TRY(const auto book, PatientBook::open(config.budget_folder));
  SOTTO_TRY(const LockedBook open, book.lock());
  SOTTO_TRY_VOID(open.check_continues(parsed.image, folder.log_path()));
  const audit::Spent other = spent_elsewhere(open, spending, config.policy.budget, parsed.image.id());
  SOTTO_TRY_VOID(spending.apply(
      audit::SpentElsewhere{config.policy.budget, other.without_privacy ? 1U : 0U, other.events, other.own_share}));
  return spending;
}

Result<void> show_budget(const BudgetQuery& query) {
  SOTTO_TRY(const auto folder, SiteFolder::open(query.folder));
  SOTTO_TRY(const auto config, read_site_config(folder.site().config));
  SOTTO_TRY(const auto spending, spending_of(folder, config));
  SOTTO_TRY(const auto asked, asked_for(query, folder, config));
  const Policy& policy = config.policy;
  const audit::Spent all = spending.total(policy.budget);
  const double spent = composed_epsilon(all, policy.delta);
  Json out =
      Json::object({{"budget", policy.budget},
                    {"unit", spending.unit_of(policy.budget).value_or("patient")},
                    {"neighbours", audit::relation_text(all.events, spending.unit_of(policy.budget).value_or("patient"))},
                    {"limit", policy.epsilon_limit},
                    {"delta", policy.delta},
                    {"spent", number_or_none(spent)},
                    {"reserved", number_or_none(composed_epsilon(spending.reserved(policy.budget), policy.delta))},
                    {"left", std::max(0.0, policy.epsilon_limit - spent)},
                    {"spent_elsewhere", number_or_none(composed_epsilon(spending.elsewhere(policy.budget), policy.delta))},
                    {"runs", runs_of(spending, policy.budget, policy.delta)}});
  if (policy.own_share_limit)
    out.set("own_share",
            Json::object({{"limit", *policy.own_share_limit},
                          {"spent", number_or_none(composed_epsilon(all, policy.delta, Curve::kOwnShareAlone))}}));
  if (asked) out.set("plan", plan_json(*asked, all, policy));
  if (query.json)
    std::cout << out.dump() << '\n';
  else
    print(out);
  return {};
}

}  // namespace sotto::client
