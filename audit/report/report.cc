#include "audit/report/report.h"

#include <algorithm>
#include <cmath>

#include "audit/ledger/accounting.h"
#include "audit/report/report_parts.h"
#include "audit/report/report_text.h"
#include "crypto/signature.h"
#include "plan/plan_json.h"
#include "plan/planned_events.h"

namespace sotto::audit {
namespace {

Json trust_json(const RunPlan& plan) {
  Json out = Json::array();
  for (const auto& t : trust_statements(plan)) {
    out.push(Json::object({{"who", t.who}, {"sees", t.sees}, {"protection", t.protection}}));
  }
  return out;
}

std::string clipping_words(const RunPlan& plan) {
  switch (plan.step.clipping) {
    case privacy::ClippingKind::kFlat: return "flat";
    case privacy::ClippingKind::kAutomatic: return "automatic: every gradient is scaled to the clip norm";
    case privacy::ClippingKind::kPerLayer: return "per layer, each to an equal part of the clip norm";
    case privacy::ClippingKind::kAdaptive:
      return "flat, to a threshold that follows the noised share of clipped units, never above the clip norm";
  }
  return "?";
}

Json mechanism_json(const RunPlan& plan) {
  if (!plan.privacy) return Json::object({{"name", "none: no clipping, no noise"}});
  return Json::object(
      {{"name", "DP-SGD with " + plan::sampling_words(plan) + " and discrete Gaussian noise on an integer grid"},
       {"model_of_privacy", "distributed: each site noises by itself; no party sees an update without noise"},
       {"clipping", clipping_words(plan) + ", per " + to_string(plan.unit) +
                        ", then rounded to the grid by itself; its integer norm is checked"},
       {"clip_norm", plan.clip_norm},
       {"adaptive_clipping",
        plan.step.count_clipped
            ? "the count of clipped units is one more coordinate of each step's release, within the same "
              "clip norm and noise: its cost is in every number here"
            : "none, so it costs nothing"},
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
  return Json::object(
      {{"name", "rdp and pld"},
       {"charged", "the ledger charges the smaller of the two upper bounds, neither of which is below the exact epsilon"},
       {"rdp", "Renyi divergences at every order"},
       {"pld", "the privacy loss itself, composed on a grid laid from above and from below"},
       {"pld_bracket",
        "the exact epsilon of the composition lies between its two ends, whatever the rounding of floating "
        "point did; the lower end is about the accountant, and no bound on what the models give away"},
       {"discretisation",
        "losses lie on a grid whose spacing follows the spread of one step's loss; each is moved to the grid "
        "outwards, up for the upper end and down for the lower"},
       {"truncation", "mass outside the grid is charged in full to the upper end and dropped from the lower"},
       {"composition",
        "by FFT, tilted towards the wanted delta, with an explicit bound on its error added to the upper end"},
       {"agreement", "a lower end above the RDP value would make this report fail"},
       {"orders", "any real order above 1, chosen for the smallest epsilon"},
       {"conversion", "Canonne, Kamath, Steinke 2020, proposition 12"},
       {"error", "each divergence is enlarged by 1e-11 relative, above its numerical error"},
       {"version", kAccountantVersion},
       {"rounding", "up, to four decimals"}});
}

Json randomness_json() {
  return Json::object(
      {{"generator", "cryptographic, keyed by the operating system at each site; nobody else holds a seed"},
       {"noise",
        "exact discrete Gaussian on the integers (Canonne, Kamath, Steinke 2020), by rejection from integer weights"},
       {"sampling",
        "from the same generator; under Poisson sampling 64 fresh bits a unit and step, against the rate as a "
        "64-bit fraction"},
       {"floating_point", "none after rounding: sums, norms and noise are integers"}});
}

Error damage_error(const PartyLog& log) {
  return invalid(log.entry(log.damage->entry) + " is bad: " + log.damage->why +
                 "; no report can be made from a damaged log");
}

Result<void> check_folder(const RunFolder& folder) {
  if (!folder.facts) {
    return invalid("'" + folder.path +
                   "/coordinator/log' does not say what was run: it has no readable run_submitted of run '" +
                   folder.run.value() + "'");
  }
  if (folder.facts->plan.sites.size() != folder.facts->roster.sites.size())
    return invalid("plan and roster name different sites");
  if (folder.coordinator.damage) return damage_error(folder.coordinator);
  for (const auto& site : folder.sites) {
    if (site.damage && !site.missing) return damage_error(site);
  }
  return {};
}

// What the run was, and what its numbers are about.
void add_promise(Json& out, const RunFacts& facts, const RunTimeline& history, double largest) {
  const RunPlan& plan = facts.plan;
  double accuracy = 0;
  for (const auto& site : history.sites) accuracy = std::max(accuracy, best_guess_accuracy(curve_of(site.run, plan.delta)));
  out.set("plain_words", strings(plain_words(plan, largest, accuracy)));
  out.set("unit", unit_sentence(plan));
  out.set("neighbouring", neighbouring_sentence(plan));
  out.set("adversary", adversary_sentence(plan));
  out.set("relations", relations_json(history, plan.delta));
  out.set("max_sites_per_patient", plan.max_sites_per_patient);
  out.set("largest_epsilon", rounded_up(largest));
  double proven = 0;
  for (const auto& site : history.sites) proven = std::max(proven, account(site.run, plan.delta).proven());
  out.set("largest_epsilon_proven", rounded_up(proven));
  out.set("delta", plan.delta);
  out.set("best_guess_accuracy", percent(accuracy));
  out.set("risk", risk_json(history, plan.delta));
  out.set("person_at_several_sites", several_sites_json(history, plan.delta));
}

// The largest of what attacks showed at the sites; null when nothing was measured.
Json measured_json(const Json& sites) {
  Json out = nullptr;
  for (const Json& site : sites.items()) {
    const Json* lower = site.at("empirical").find("epsilon_lower");
    if (lower && lower->is_number() && (out.is_null() || lower->as_double() > out.as_double())) out = *lower;
  }
  return out;
}

void add_method(Json& out, const RunPlan& plan) {
  out.set("mechanism", mechanism_json(plan));
  out.set("accountant", accountant_json());
  out.set("randomness", randomness_json());
  out.set("trust", trust_json(plan));
  out.set("not_covered", strings(not_covered(plan)));
}

}  // namespace

Result<Json> make_report(const RunFolder& folder) {
  SOTTO_TRY_VOID(check_folder(folder));
  const RunFacts& facts = *folder.facts;
  const RunTimeline history = history_of(folder);
  double largest = 0;
  Json sites = Json::array();
  for (std::size_t i = 0; i < history.sites.size(); ++i) {
    largest = std::max(largest, composed_epsilon(history.sites[i].run, facts.plan.delta));
    sites.push(site_json(folder, history.sites[i], facts.plan.sites[i], facts.roster.sites[i]));
  }
  const auto failures = failures_of(folder);
  Json out = Json::object();
  out.set("format", "sotto/report/1");
  out.set("run", facts.plan.run.value());
  out.set("holds", failures.empty());
  out.set("failures", strings(failures));
  out.set("private", facts.plan.privacy);
  out.set("identities", "self-asserted");
  out.set("started", iso_time(history.started));
  out.set("ended", iso_time(history.ended));
  out.set("finished", history.finished);
  add_promise(out, facts, history, largest);
  out.set("measured_epsilon_at_least", measured_json(sites));
  out.set("sites", std::move(sites));
  add_method(out, facts.plan);
  out.set("rounds", rounds_json(folder, history));
  out.set("composed", composed_json(history));
  out.set("hazards", hazards_json(folder, history));
  out.set("lineage", lineage_json(folder, history));
  out.set("programs", programs_json(folder, history));
  out.set("heads", heads_json(folder));
  out.set("coordinator_identity", crypto::fingerprint(crypto::VerifyKey(facts.roster.coordinator)));
  out.set("recompute", "sotto-audit verify DIR --expect FINGERPRINTS");
  return out;
}

std::string report_json_text(const Json& report) { return report.dump(2) + "\n"; }

Result<void> write_report(const RunFolder& folder) {
  SOTTO_TRY(const Json report, make_report(folder));
  SOTTO_TRY_VOID(write_file_inside(folder.path, kReportJsonFile, report_json_text(report), FileMode::kPublic));
  SOTTO_TRY_VOID(write_file_inside(folder.path, kReportHtmlFile, report_html_text(report), FileMode::kPublic));
  if (report.at("holds").as_bool()) return {};
  return refused("the report was written and does not hold: " + report.at("failures").at(std::size_t{0}).as_string());
}

}  // namespace sotto::audit
