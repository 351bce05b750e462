// The report's part about each site: budget, sampling, noise, both accountants, curves, canaries.
#include <algorithm>
#include <cmath>

#include "audit/ledger/accounting.h"
#include "audit/report/report_parts.h"
#include "audit/report/report_text.h"
#include "audit/run/empirical_result.h"
#include "crypto/signature.h"
#include "plan/planned_events.h"

namespace sotto::audit {
namespace {

Json bracket_json(const privacy::Bracket& b) {
  return Json::object({{"lower", rounded_down(b.lower)}, {"upper", rounded_up(b.upper)}});
}

// Both accountants on this run, add or remove one unit.
Json accountants_json(const Accounted& a) {
  return Json::object({{"rdp", Json::object({{"epsilon_upper", rounded_up(a.rdp)}})},
                       {"pld", a.pld ? bracket_json(*a.pld) : Json("none: an event is outside its vocabulary")},
                       {"agree", !a.contradicts()}});
}

// mu-Gaussian DP with its regret, and zero-concentrated DP, where the profile has them.
Json other_forms_json(const Spent& spent, double delta) {
  const auto profile = profile_of(spent, delta);
  if (!profile) return nullptr;
  const auto gdp = profile->gaussian_dp();
  const auto rho = profile->zero_concentrated();
  return Json::object({{"gaussian_dp_mu", rounded_up(gdp.mu)},
                       {"gaussian_dp_regret", rounded_up(gdp.regret)},
                       {"zero_concentrated_rho", rho ? rounded_up(*rho) : Json("none for sampled steps")}});
}

Json curve_json(const std::vector<CurvePoint>& curve) {
  Json out = Json::array();
  for (const auto& p : curve) {
    Json item =
        Json::object({{"delta", p.delta}, {"epsilon", rounded_up(p.epsilon.proven())}, {"rdp", rounded_up(p.epsilon.rdp)}});
    if (p.epsilon.pld) item.set("pld", bracket_json(*p.epsilon.pld));
    out.push(std::move(item));
  }
  return out;
}

// Epsilon of this run after a round, at most about twenty points and always the last.
Json by_round_json(const SiteTimeline& site, double delta) {
  Json out = Json::array();
  const std::size_t step = std::max<std::size_t>(1, (site.rounds.size() + 19) / 20);
  Spent spent;
  std::size_t i = 0;
  for (const auto& [round, spend] : site.rounds) {
    spend.add_to(spent);
    ++i;
    if (i % step == 0 || i == site.rounds.size()) {
      out.push(Json::object({{"round", round.value()}, {"epsilon", rounded_up(composed_epsilon(spent, delta))}}));
    }
  }
  return out;
}

Json spend_counts(const SiteTimeline& site) {
  std::int64_t committed = 0;
  std::int64_t reserved = 0;
  std::int64_t refunded = 0;
  std::int64_t different = 0;
  for (const auto& [round, spend] : site.rounds) {
    committed += spend.state == RoundSpend::State::kCommitted;
    reserved += spend.state == RoundSpend::State::kReserved;
    refunded += spend.state == RoundSpend::State::kRefunded;
    different += spend.state == RoundSpend::State::kCommitted && !spend.as_planned();
  }
  return Json::object({{"committed", committed},
                       {"reserved_and_not_finished", reserved},
                       {"refunded", refunded},
                       {"not_as_planned", different}});
}

Json sampling_json(const RunPlan& run_plan, const SitePlan& plan, const std::vector<privacy::DpEvent>& events) {
  const auto planned = plan::planned_round(run_plan, plan, 1);
  const std::string assumed =
      planned.ok() && !planned->empty() ? std::string(privacy::to_string(planned->front().sampling)) : "none";
  Json run = Json::array();
  for (const auto& e : events) {
    run.push(
        Json::object({{"kind", privacy::to_string(e.sampling)}, {"rate", e.sampling_rate.value()}, {"steps", e.count}}));
  }
  return Json::object(
      {{"assumed", Json::object({{"kind", assumed}, {"rate", plan.sampling_rate}, {"declared_size", plan.declared_size}})},
       {"run", std::move(run)}});
}

Json noise_json(const SitePlan& plan, const std::vector<privacy::DpEvent>& events) {
  Json run = Json::array();
  for (const auto& e : events) {
    const auto sigma = privacy::effective_noise_multiplier(e);
    run.push(Json::object({{"kind", privacy::to_string(e.noise)},
                           {"stddev_grid_units", e.noise_stddev},
                           {"sensitivity_grid_units", e.sensitivity},
                           {"grid_step", e.grid_step},
                           {"coordinates", e.dimension},
                           {"effective_noise_multiplier", sigma.ok() ? Json(sigma->value()) : Json("none")},
                           {"certificate_log_ratio_per_step", privacy::certificate_log_ratio(e)},
                           {"steps", e.count}}));
  }
  return Json::object({{"planned_noise_multiplier", plan.noise_multiplier}, {"run", std::move(run)}});
}

// What the site's own limit made of the run; limits are the site's word, as its log has it.
Json budget_json(const SiteTimeline& site, double plan_delta) {
  const double delta = site.binding ? site.binding->delta : plan_delta;
  const double spent = composed_epsilon(site.all, delta);
  Json out = Json::object({{"name", site.budget}, {"delta", delta}, {"spent", rounded_up(spent)}});
  out.set("spent_by_this_run", rounded_up(composed_epsilon(site.run, delta)));
  out.set("spent_towards_other_coordinators", rounded_up(composed_epsilon(site.elsewhere, delta)));
  if (site.binding) {
    out.set("unit", site.binding->unit);
    out.set("limit", site.binding->limit);
    out.set("left", rounded_down(std::isfinite(spent) ? std::max(0.0, site.binding->limit - spent) : 0.0));
  }
  out.set("stop_rule", "a round is reserved before data is touched, and refused when the budget would exceed the limit");
  return out;
}

// The one-run audit, next to what is proven. Null when the plan plants no canaries or the site measured none.
Json empirical_json(const SiteTimeline& site, const RunPlan& plan) {
  if (!site.measured) return nullptr;
  const auto result = result_of(*site.measured, plan);
  if (!result.ok()) return Json::object({{"error", result.error().message}});
  const AuditMeasured& m = result->measured;
  return Json::object({{"epsilon_lower", rounded_down(result->epsilon_lower)},
                       {"mu_lower", rounded_down(result->mu_lower)},
                       {"confidence", 1 - result->failure},
                       {"delta", result->delta},
                       {"epsilon_proven_at_this_delta", rounded_up(account(site.run, result->delta).proven())},
                       {"canaries", m.canaries},
                       {"guesses", m.guesses},
                       {"correct", m.correct},
                       {"auc", rounded_down(m.auc)},
                       {"tpr_at_1_percent_fpr", rounded_down(m.tpr_at_1_percent)},
                       {"tpr_at_01_percent_fpr", rounded_down(m.tpr_at_01_percent)},
                       {"adapter", to_hex(m.adapter)}});
}

Json trade_off_json(const std::vector<CurvePoint>& curve) {
  Json out = Json::array();
  for (const auto& p : trade_off_of(curve)) {
    out.push(Json::object({{"false_alarm_rate", p.alpha}, {"miss_rate_at_least", rounded_down(p.beta)}}));
  }
  return out;
}

}  // namespace

Json site_json(const RunFolder& folder, const SiteTimeline& site, const SitePlan& plan, const RosterSite& roster) {
  const double delta = folder.facts->plan.delta;
  const auto events = merged(site.run.events);
  const auto curve = curve_of(site.run, delta);
  const double epsilon = composed_epsilon(site.run, delta);
  Json event_list = Json::array();
  for (const auto& e : events) event_list.push(privacy::to_json(e));
  Json out = Json::object();
  out.set("name", site.name);
  out.set("epsilon", rounded_up(epsilon));
  out.set("delta", delta);
  out.set("accountants", accountants_json(account(site.run, delta)));
  out.set("delta_times_declared_size", rounded_up(delta * static_cast<double>(plan.declared_size)));
  out.set("epsilon_with_other_runs", rounded_up(composed_epsilon(site.all, delta)));
  out.set("other_runs", strings(site.other_runs));
  out.set("budget", budget_json(site, delta));
  out.set("identity", crypto::fingerprint(crypto::VerifyKey(roster.identity)));
  out.set("identity_status", "self-asserted");
  out.set("rounds", spend_counts(site));
  out.set("sampling", sampling_json(folder.facts->plan, plan, events));
  out.set("noise", noise_json(plan, events));
  out.set("curve", curve_json(curve));
  out.set("trade_off", trade_off_json(curve));
  out.set("advantage_at_most", rounded_up(advantage_of(curve)));
  out.set("other_forms", other_forms_json(site.run, delta));
  out.set("by_round", by_round_json(site, delta));
  out.set("empirical", empirical_json(site, folder.facts->plan));
  out.set("sealed_entries", site.sealed);
  out.set("events", std::move(event_list));
  return out;
}

// A person who is a patient at m sites: the composition of their events, at the m sites with the largest epsilon.
Json several_sites_json(const RunTimeline& history, double delta) {
  std::vector<std::pair<double, const SiteTimeline*>> order;
  for (const auto& site : history.sites) order.emplace_back(composed_epsilon(site.run, delta), &site);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  Json out = Json::array();
  Spent spent;
  Json names = Json::array();
  for (std::size_t m = 1; m <= std::min<std::size_t>(3, order.size()); ++m) {
    const SiteTimeline& site = *order[m - 1].second;
    spent.add(site.run);
    names.push(site.name);
    const Accounted accounted = account(spent, delta);
    Json item = Json::object(
        {{"sites", m}, {"names", names}, {"epsilon", rounded_up(accounted.proven())}, {"rdp", rounded_up(accounted.rdp)}});
    if (accounted.pld) item.set("pld", bracket_json(*accounted.pld));
    out.push(std::move(item));
  }
  return out;
}

// The numbers under each neighbouring relation, of the site with the largest epsilon.
Json relations_json(const RunTimeline& history, double delta) {
  const SiteTimeline* worst = nullptr;
  for (const auto& site : history.sites) {
    if (!worst || composed_epsilon(site.run, delta) > composed_epsilon(worst->run, delta)) worst = &site;
  }
  const auto found = worst ? relations_of(worst->run, delta) : std::nullopt;
  if (!found) return nullptr;
  const auto either = [](const Result<privacy::Bracket>& epsilon) {
    return epsilon.ok() ? bracket_json(*epsilon) : Json("none: " + epsilon.error().message);
  };
  return Json::object({{"site", worst->name},
                       {"remove", either(found->remove)},
                       {"add", either(found->add)},
                       {"replace_one", either(found->replace)},
                       {"zero_out", either(found->zero_out)},
                       {"two_units_together", either(found->group)},
                       {"worse_direction", privacy::to_string(found->worse)}});
}

// What the promise of the worst site means for somebody who guesses.
Json risk_json(const RunTimeline& history, double delta) {
  double epsilon = 0;
  double advantage = 0;
  for (const auto& site : history.sites) {
    epsilon = std::max(epsilon, account(site.run, delta).proven());
    advantage = std::max(advantage, advantage_of(curve_of(site.run, delta)));
  }
  Json posteriors = Json::array();
  for (const double prior : {0.001, 0.01, 0.1, 0.5}) {
    posteriors.push(Json::object({{"prior", percent(prior)}, {"posterior_at_most", percent(posterior_of(prior, epsilon))}}));
  }
  return Json::object({{"advantage_at_most", rounded_up(advantage)},
                       {"best_guess_accuracy", percent((1 + advantage) / 2)},
                       {"posteriors", std::move(posteriors)}});
}

}  // namespace sotto::audit
