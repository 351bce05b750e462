#include "client/federation/policy.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "plan/planned_events.h"

namespace sotto::client {
namespace {

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

Error no(const RunPlan& plan, const std::string& why) {
  return refused("run '" + plan.run.value() + "' is refused: " + why);
}

Result<void> check_terms(const Policy& policy, const SiteFacts& facts, const RunPlan& plan) {
  const bool known = policy.models.empty() ? plan.model == facts.model : std::ranges::count(policy.models, plan.model) > 0;
  if (!known || plan.model != facts.model)
    return no(plan, "it is for the model " + to_hex(plan.model).substr(0, 16) + "..., and this site holds and allows " +
                        to_hex(facts.model).substr(0, 16) +
                        "...; install the same model file, or list its fingerprint under policy.models");
  if (std::ranges::count(policy.units, plan.unit) == 0)
    return no(plan, "its unit of privacy is '" + to_string(plan.unit) + "', which policy.units does not list");
  if (plan.min_sites < policy.min_sites)
    return no(plan, "it opens a sum of " + std::to_string(plan.min_sites) + " sites, and policy.min_sites asks for " +
                        std::to_string(policy.min_sites));
  if (plan.colluders < policy.min_colluders)
    return no(plan, "it counts on " + std::to_string(plan.colluders) +
                        " colluding sites, and policy.min_colluders asks for " + std::to_string(policy.min_colluders));
  if (plan.rounds > policy.max_rounds)
    return no(plan, "it has " + std::to_string(plan.rounds) + " rounds, and policy.max_rounds allows " +
                        std::to_string(policy.max_rounds));
  if (!plan.privacy && !policy.allow_without_privacy)
    return no(plan,
              "it trains without clipping and noise, so nothing is promised to any patient; policy.allow_without_privacy is "
              "false");
  return {};
}

}  // namespace

Result<SiteIndex> find_site(const Roster& roster, const SiteFacts& facts) {
  for (std::size_t i = 0; i < roster.sites.size(); ++i) {
    const RosterSite& s = roster.sites[i];
    if (s.name != facts.name) continue;
    if (s.identity != facts.identity)
      return refused("the roster has another key for site '" + facts.name +
                     "' than this site's own; ask the coordinator's operator");
    if (s.declared_size != facts.declared_size)
      return refused("the roster declares " + std::to_string(s.declared_size) + " units for this site, which declared " +
                     std::to_string(facts.declared_size));
    return SiteIndex(static_cast<std::uint32_t>(i));
  }
  return refused("site '" + facts.name + "' is not in the run's roster");
}

Result<Consent> check_run(const Policy& policy, const SiteFacts& facts, const RunPlan& plan, const Roster& roster,
                          const audit::Spent& spent_before) {
  SOTTO_TRY_VOID(validate(plan, roster));
  if (roster.coordinator != facts.coordinator)
    return refused(
        "the roster names another coordinator than the one this site joined; compare fingerprints with its operator");
  SOTTO_TRY(const SiteIndex site, find_site(roster, facts));
  SOTTO_TRY_VOID(check_terms(policy, facts, plan));
  Consent consent{site, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  if (!plan.privacy) return consent;
  audit::Spent run;
  SOTTO_TRY(auto events, plan::planned_run(plan, plan.sites.at(site.value()), facts.dimension));
  run.add(audit::RoundCost(events));
  audit::Spent together = spent_before;
  together.add(run);
  consent.epsilon_of_run = audit::composed_epsilon(run, policy.delta);
  consent.epsilon_after = audit::composed_epsilon(together, policy.delta);
  if (!(consent.epsilon_after <= policy.epsilon_limit))
    return over_budget("run '" + plan.run.value() + "' is refused: it would bring this site's patients to epsilon " +
                       number(consent.epsilon_after) + " at delta " + number(policy.delta) + " (" +
                       number(consent.epsilon_of_run) + " from this run), and the limit is " + number(policy.epsilon_limit) +
                       " (policy.epsilon_limit)");
  return consent;
}

}  // namespace sotto::client
