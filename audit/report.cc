#include "audit/report.h"

#include <algorithm>
#include <cmath>

#include "audit/plan_json.h"
#include "audit/report_text.h"
#include "audit/run_history.h"
#include "crypto/signature.h"

namespace sotto::audit {
namespace {

// Rounded up, so that a printed epsilon is never below the computed one, and so coarse that machines agree on every digit.
Json epsilon_json(double epsilon) {
  if (!std::isfinite(epsilon)) return "none";
  return std::ceil(epsilon * 1e4) / 1e4;
}

Json strings(const std::vector<std::string>& values) {
  Json out = Json::array();
  for (const auto& v : values) out.push(v);
  return out;
}

Json curve_json(const Spent& spent, double delta) {
  Json out = Json::array();
  if (spent.without_privacy) return out;
  std::vector<double> deltas = {1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8, 1e-9, 1e-10};
  if (std::find(deltas.begin(), deltas.end(), delta) == deltas.end()) deltas.push_back(delta);
  std::sort(deltas.begin(), deltas.end(), std::greater<>());
  for (const double d : deltas)
    out.push(Json::object({{"delta", d}, {"epsilon", epsilon_json(composed_epsilon(spent, d))}}));
  return out;
}

// Epsilon of this run after a round, at most about twenty points and always the last.
Json by_round_json(const SiteHistory& site, double delta) {
  Json out = Json::array();
  const std::size_t step = std::max<std::size_t>(1, (site.rounds.size() + 19) / 20);
  Spent spent;
  std::size_t i = 0;
  for (const auto& [round, spend] : site.rounds) {
    spend.add_to(spent);
    if (++i % step == 0 || i == site.rounds.size()) {
      out.push(Json::object({{"round", round.value()}, {"epsilon", epsilon_json(composed_epsilon(spent, delta))}}));
    }
  }
  return out;
}

Json spend_counts(const SiteHistory& site) {
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

Json sampling_json(const SitePlan& plan, const std::vector<privacy::DpEvent>& events) {
  Json run = Json::array();
  for (const auto& e : events) {
    run.push(
        Json::object({{"kind", privacy::to_string(e.sampling)}, {"rate", e.sampling_rate.value()}, {"steps", e.count}}));
  }
  return Json::object(
      {{"assumed", Json::object({{"kind", "poisson"}, {"rate", plan.sampling_rate}, {"declared_size", plan.declared_size}})},
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

Json site_json(const RunFolder& folder, const SiteHistory& site, const SitePlan& plan, const RosterSite& roster) {
  const double delta = folder.facts->plan.delta;
  const auto events = merged(site.run.events);
  Json event_list = Json::array();
  for (const auto& e : events) event_list.push(privacy::to_json(e));
  Json out = Json::object();
  out.set("name", site.name);
  out.set("epsilon", epsilon_json(composed_epsilon(site.run, delta)));
  out.set("delta", delta);
  out.set("epsilon_with_other_runs", epsilon_json(composed_epsilon(site.all, delta)));
  out.set("other_runs", strings(site.other_runs));
  out.set("identity", crypto::fingerprint(crypto::VerifyKey(roster.identity)));
  out.set("identity_status", "self-asserted");
  out.set("rounds", spend_counts(site));
  out.set("sampling", sampling_json(plan, events));
  out.set("noise", noise_json(plan, events));
  out.set("curve", curve_json(site.run, delta));
  out.set("by_round", by_round_json(site, delta));
  out.set("events", std::move(event_list));
  return out;
}

// A person who is a patient at m sites: the composition of their events, at the m sites with the largest epsilon.
Json several_sites_json(const RunHistory& history, double delta) {
  std::vector<std::pair<double, const SiteHistory*>> order;
  for (const auto& site : history.sites) order.emplace_back(composed_epsilon(site.run, delta), &site);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  Json out = Json::array();
  Spent spent;
  Json names = Json::array();
  for (std::size_t m = 1; m <= std::min<std::size_t>(3, order.size()); ++m) {
    const SiteHistory& site = *order[m - 1].second;
    spent.without_privacy |= site.run.without_privacy;
    spent.events.insert(spent.events.end(), site.run.events.begin(), site.run.events.end());
    names.push(site.name);
    out.push(Json::object({{"sites", m}, {"names", names}, {"epsilon", epsilon_json(composed_epsilon(spent, delta))}}));
  }
  return out;
}

Json rounds_json(const RunHistory& history) {
  Json out = Json::array();
  for (const auto& [id, round] : history.rounds) {
    Json item = Json::object({{"round", id.value()},
                              {"attempts", round.attempts},
                              {"outcome", round.has_result ? "result"
                                          : round.is_void  ? "void"
                                                           : "unfinished"},
                              {"started", strings(round.started)},
                              {"survivors", strings(round.survivors)},
                              {"missing", strings(round.missing)}});
    if (round.is_void) item.set("reason", round.void_reason);
    if (round.has_result) item.set("adapter", to_hex(round.adapter));
    out.push(std::move(item));
  }
  return out;
}

Json trust_json(const RunPlan& plan) {
  Json out = Json::array();
  for (const auto& t : trust_statements(plan)) {
    out.push(Json::object({{"who", t.who}, {"sees", t.sees}, {"protection", t.protection}}));
  }
  return out;
}

Json hazards_json(const RunFolder& folder, const RunHistory& history) {
  const RunPlan& plan = folder.facts->plan;
  std::vector<std::string> out;
  if (!plan.privacy) out.push_back("This run has no differential privacy.");
  for (const auto& site : history.sites) {
    const double epsilon = composed_epsilon(site.run, plan.delta);
    if (!site.delivered)
      out.push_back("Site '" + site.name + "' did not deliver its log: nothing can be said about its patients.");
    if (plan.privacy && site.delivered && !std::isfinite(epsilon))
      out.push_back("Site '" + site.name + "': its events give no finite epsilon.");
    if (std::isfinite(epsilon) && epsilon > 10) {
      out.push_back("Site '" + site.name + "': an epsilon above 10 promises little in the worst case.");
    }
    if (!site.other_runs.empty()) {
      out.push_back("Site '" + site.name + "': the same patients were in " + std::to_string(site.other_runs.size()) +
                    " other runs; the number for all runs together is the one that counts for them.");
    }
    for (const auto& [round, spend] : site.rounds) {
      const std::string name = "Site '" + site.name + "', round " + std::to_string(round.value()) + ": ";
      if (spend.state == RoundSpend::State::kReserved) {
        out.push_back(name + "reserved and not finished (a crash, or the site dropped out); counted as spent.");
      } else if (spend.state == RoundSpend::State::kCommitted && !spend.as_planned()) {
        out.push_back(name + "the steps that ran are not those that were planned; both are counted.");
      }
    }
  }
  for (const auto& s : plan.sites) {
    if (plan.privacy && plan.delta * static_cast<double>(s.declared_size) > 0.1) {
      out.push_back("Site '" + s.name + "': delta is not small against one over its declared size.");
    }
  }
  if (plan.colluders == 0)
    out.push_back("The plan protects no site from another site that colludes with the coordinator (c = 0).");
  if (plan.allow_two_sites) {
    out.push_back(
        "The plan allows sums over so few sites that a site may see another's update, protected by its noise alone.");
  }
  for (const auto& [id, round] : history.rounds) {
    if (round.is_void)
      out.push_back("Round " + std::to_string(id.value()) + " is void (" + round.void_reason +
                    "); what was spent stays spent.");
    for (const auto& name : round.missing) {
      if (round.has_result)
        out.push_back("Site '" + name + "' dropped out of round " + std::to_string(id.value()) +
                      "; the sum lacks its update.");
    }
  }
  if (!history.finished) out.push_back("The coordinator's log does not say that the run finished.");
  return strings(out);
}

Json lineage_json(const RunFolder& folder, const RunHistory& history) {
  const RunFacts& facts = *folder.facts;
  return Json::object({{"model", to_hex(facts.plan.model)},
                       {"plan", to_hex(facts.plan_hash)},
                       {"roster", to_hex(facts.roster_hash)},
                       {"first_adapter", to_hex(history.first_adapter)},
                       {"last_adapter", to_hex(history.last_adapter)}});
}

Json heads_json(const RunFolder& folder) {
  Json out = Json::array();
  if (folder.coordinator.head) out.push(to_json(*folder.coordinator.head));
  for (const auto& site : folder.sites) {
    if (site.head) out.push(to_json(*site.head));
  }
  return out;
}

Json mechanism_json(const RunPlan& plan) {
  if (!plan.privacy) return Json::object({{"name", "none: no clipping, no noise"}});
  return Json::object(
      {{"name", "DP-SGD with Poisson sampling and discrete Gaussian noise on an integer grid"},
       {"clipping",
        "flat, per " + to_string(plan.unit) + ", then rounded to the grid by itself; its integer norm is checked"},
       {"clip_norm", plan.clip_norm},
       {"local_steps_per_round", plan.local_steps},
       {"planned_rounds", plan.rounds},
       {"expected_batch", plan.expected_batch},
       {"max_records_per_unit_and_step", plan.max_records},
       {"mode", to_string(plan.mode)},
       {"who_adds_noise", "each site by itself, at every local step; what other sites add is not counted"},
       {"dropouts", "a site's guarantee does not depend on which other sites took part"},
       {"certificate",
        "each step is accounted as a continuous Gaussian of variance s^2 - 4 (grid units), and the log-ratio of the "
        "discrete noise to its rounding is charged besides (docs/privacy.md)"}});
}

Json accountant_json() {
  return Json::object({{"name", "rdp"},
                       {"pld", "not in this version"},
                       {"epsilon_is", "an upper bound; no lower bound is computed in this version"},
                       {"orders", "any real order above 1, chosen for the smallest epsilon"},
                       {"conversion", "Canonne, Kamath, Steinke 2020, proposition 12"},
                       {"rounding", "up, to four decimals"}});
}

Error damage_error(const PartyLog& log) {
  return invalid(log.entry(log.damage->entry) + " is bad: " + log.damage->why +
                 "; no report can be made from a damaged log");
}

}  // namespace

Result<Json> make_report(const RunFolder& folder) {
  if (!folder.facts) {
    return invalid("'" + folder.path +
                   "/coordinator/log' does not say what was run: it has no readable run_submitted of run '" +
                   folder.run.value() + "'");
  }
  const RunFacts& facts = *folder.facts;
  if (facts.plan.sites.size() != facts.roster.sites.size()) return invalid("plan and roster name different sites");
  if (folder.coordinator.damage) return damage_error(folder.coordinator);
  for (const auto& site : folder.sites) {
    if (site.damage && !site.missing) return damage_error(site);
  }
  const RunHistory history = history_of(folder);
  double largest = 0;
  Json sites = Json::array();
  for (std::size_t i = 0; i < history.sites.size(); ++i) {
    largest = std::max(largest, composed_epsilon(history.sites[i].run, facts.plan.delta));
    sites.push(site_json(folder, history.sites[i], facts.plan.sites[i], facts.roster.sites[i]));
  }
  Json out = Json::object();
  out.set("format", "sotto/report/1");
  out.set("run", facts.plan.run.value());
  out.set("private", facts.plan.privacy);
  out.set("identities", "self-asserted");
  out.set("started", iso_time(history.started));
  out.set("ended", iso_time(history.ended));
  out.set("finished", history.finished);
  out.set("plain_words", strings(plain_words(facts.plan, largest)));
  out.set("unit", unit_sentence(facts.plan));
  out.set("neighbouring", neighbouring_sentence(facts.plan));
  out.set("max_sites_per_patient", facts.plan.max_sites_per_patient);
  out.set("largest_epsilon", epsilon_json(largest));
  out.set("delta", facts.plan.delta);
  out.set("best_guess_accuracy", percent(best_guess_accuracy(largest, facts.plan.delta)));
  out.set("sites", std::move(sites));
  out.set("person_at_several_sites", several_sites_json(history, facts.plan.delta));
  out.set("mechanism", mechanism_json(facts.plan));
  out.set("trust", trust_json(facts.plan));
  out.set("rounds", rounds_json(history));
  out.set("composed", Json::array({"all steps of all rounds of this run that the site's log has not refunded",
                                   "epsilon_with_other_runs: also every other run in the site's log",
                                   "no evaluation, no hyperparameter trial: none stands in the logs"}));
  out.set("accountant", accountant_json());
  out.set("randomness",
          "sampling and noise from a cryptographic generator keyed by the operating system at each site; integer "
          "arithmetic only");
  out.set("not_covered", strings(not_covered(facts.plan)));
  out.set("hazards", hazards_json(folder, history));
  out.set("lineage", lineage_json(folder, history));
  out.set("heads", heads_json(folder));
  out.set("coordinator_identity", crypto::fingerprint(crypto::VerifyKey(facts.roster.coordinator)));
  out.set("recompute", "sotto-audit verify DIR --expect FINGERPRINTS");
  return out;
}

std::string report_json_text(const Json& report) { return report.dump(2) + "\n"; }

Result<void> write_report(const RunFolder& folder) {
  SOTTO_TRY(const Json report, make_report(folder));
  SOTTO_TRY_VOID(make_folder(folder.path + "/report"));
  SOTTO_TRY_VOID(write_file_atomically(folder.path + "/" + kReportJsonFile, report_json_text(report)));
  return write_file_atomically(folder.path + "/" + kReportHtmlFile, report_html_text(report));
}

}  // namespace sotto::audit
