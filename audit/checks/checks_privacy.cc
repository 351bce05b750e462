// The checks of privacy: the order of the ledger's entries, what ran against what was planned, every epsilon, the canaries,
// the report's files.
#include <algorithm>
#include <cmath>

#include "audit/checks/checks.h"
#include "audit/ledger/accounting.h"
#include "audit/ledger/ledger.h"
#include "audit/run/empirical_result.h"
#include "plan/plan_json.h"
#include "plan/planned_events.h"

namespace sotto::audit {
namespace {

const SitePlan* plan_of_site(const RunFacts& facts, const std::string& name) {
  const auto at =
      std::find_if(facts.plan.sites.begin(), facts.plan.sites.end(), [&](const SitePlan& s) { return s.name == name; });
  return at == facts.plan.sites.end() ? nullptr : &*at;
}

// What differs, in words, between a round's events and the plan's.
std::string difference(const std::vector<privacy::DpEvent>& wanted, const std::vector<privacy::DpEvent>& found) {
  if (found.empty()) return "no noise ran";
  if (wanted.empty()) return "the plan is without privacy, but events are recorded";
  const auto& w = wanted.front();
  for (const auto& f : found) {
    if (f.sampling != w.sampling) {
      return "sampling " + std::string(privacy::to_string(f.sampling)) + " instead of " +
             std::string(privacy::to_string(w.sampling));
    }
    if (f.sampling_rate != w.sampling_rate) {
      return "sampling rate " + Json(f.sampling_rate.value()).dump() + " instead of " + Json(w.sampling_rate.value()).dump();
    }
    if (f.noise_stddev != w.noise_stddev || f.sensitivity != w.sensitivity || f.grid_step != w.grid_step) {
      const auto sigma = privacy::effective_noise_multiplier(f);
      const auto planned = privacy::effective_noise_multiplier(w);
      return "noise multiplier " + (sigma.ok() ? Json(sigma->value()).dump() : "too small to account") + " instead of " +
             (planned.ok() ? Json(planned->value()).dump() : "?") + " (or another grid)";
    }
    if (f.unit != w.unit) return "another unit of privacy";
  }
  std::uint64_t steps = 0;
  for (const auto& f : found) steps += f.count;
  return std::to_string(steps) + " steps instead of " + std::to_string(w.count);
}

// The dimension that the run's events name, which must be one for all sites and for all rounds in which the same is trained:
// that of the first such event.
std::uint64_t dimension_of(const RunFolder& folder, RoundId round) {
  const auto trained = folder.facts->plan.trained;
  for (const auto& site : folder.sites) {
    for (const auto& p : all_of<Reserved>(site, folder.run)) {
      if (!p.event->planned.empty() && part_in_round(trained, p.event->round) == part_in_round(trained, round))
        return p.event->planned.front().dimension;
    }
  }
  return 1;
}

// Up to the first entry that contradicts those before it, which check_ledger names.
Spent spent_by(const PartyLog& site, const RunId& run) { return site.spending.of_run(run); }

}  // namespace

Finding check_ledger(const RunFolder& folder, const PartyLog& site) {
  if (site.contradiction) return at_entry(site, site.contradiction->entry, site.contradiction->why);
  const Spending& spending = site.spending;
  std::size_t of_run = 0;
  for (const auto& [key, spend] : spending.rounds()) of_run += key.first == folder.run ? 1 : 0;
  return std::to_string(of_run) + " rounds of this run, " + std::to_string(spending.rounds().size() - of_run) +
         " of others; each reserved before it ran";
}

Finding check_mechanism(const RunFolder& folder, const PartyLog& site) {
  const RunFacts& facts = *folder.facts;
  const SitePlan* plan = plan_of_site(facts, site.party);
  if (!plan) return invalid("the plan has no site '" + site.party + "'");
  const auto wanted_of = [&](RoundId round) {
    return plan::planned_round(facts.plan, *plan, dimension_of(folder, round), round);
  };
  for (const auto& p : all_of<Reserved>(site, folder.run)) {
    SOTTO_TRY(const auto wanted, wanted_of(p.event->round));
    if (merged(p.event->planned) != merged(wanted))
      return at_entry(site, p.entry, "reserved: " + difference(wanted, p.event->planned));
    if (p.event->round.value() >= facts.plan.rounds) return at_entry(site, p.entry, "the plan has no such round");
  }
  for (const auto& p : all_of<Committed>(site, folder.run)) {
    SOTTO_TRY(const auto wanted, wanted_of(p.event->round));
    if (merged(p.event->taken) != merged(wanted))
      return at_entry(site, p.entry, "what ran: " + difference(wanted, p.event->taken));
  }
  if (!facts.plan.privacy) return std::string("the plan is without privacy: nothing was sampled or noised for it");
  return plan::sampling_words(facts.plan) + ", rate " + Json(plan->sampling_rate).dump() + ", noise multiplier " +
         Json(plan->noise_multiplier).dump() + ", " + std::to_string(facts.plan.local_steps) +
         " steps a round: what ran is what was planned";
}

Finding check_epsilon(const RunFolder& folder, const PartyLog& site) {
  const double delta = folder.facts->plan.delta;
  const double epsilon = composed_epsilon(spent_by(site, folder.run), delta);
  SOTTO_TRY(const std::string text, read_report_file(folder, kReportJsonFile));
  const auto report = Json::parse(text, kReportJsonFile);
  if (!report.ok()) return report.error();
  const Json* sites = report->find("sites");
  if (!sites || !sites->is_array()) return invalid(std::string(kReportJsonFile) + ": no list 'sites'");
  for (const Json& s : sites->items()) {
    const auto name = s.get_string("name");
    if (!name.ok() || *name != site.party) continue;
    const Json* reported = s.find("epsilon");
    const std::string shown = reported ? reported->dump() : "nothing";
    const bool agrees = std::isfinite(epsilon)
                            ? reported && reported->is_number() && std::abs(reported->as_double() - epsilon) < 2e-4
                            : reported && reported->is_string() && reported->as_string() == "none";
    const std::string found = std::isfinite(epsilon) ? Json(epsilon).dump() : "none";
    if (!agrees) {
      return invalid(std::string(kReportJsonFile) + " says epsilon " + shown + " for site '" + site.party +
                     "', the events in " + site.file() + " give " + found);
    }
    if (folder.facts->plan.privacy && !std::isfinite(epsilon)) {
      return invalid(site.file() + ": the events of a private run give no finite epsilon");
    }
    return "epsilon " + found + " at delta " + Json(delta).dump() + ", recomputed from the events";
  }
  return invalid(std::string(kReportJsonFile) + " does not name site '" + site.party + "'");
}

Finding check_accountants(const RunFolder& folder, const PartyLog& site) {
  const double delta = folder.facts->plan.delta;
  const Accounted found = account(spent_by(site, folder.run), delta);
  if (!folder.facts->plan.privacy) return std::string("the plan is without privacy");
  if (!found.pld) return std::string("RDP alone: an event is outside the privacy loss's vocabulary");
  const std::string shown = "privacy loss " + Json(found.pld->lower).dump() + " to " + Json(found.pld->upper).dump() +
                            ", RDP " + Json(found.rdp).dump() + ", at delta " + Json(delta).dump();
  if (found.contradicts()) return invalid(site.file() + ": " + shown + ": one of the two accountants is wrong");
  return shown;
}

Finding check_canaries(const RunFolder& folder, const PartyLog& site) {
  const RunPlan& plan = folder.facts->plan;
  const auto measured = all_of<AuditMeasured>(site, folder.run);
  if (measured.size() > 1) return at_entry(site, measured[1].entry, "a second audit of one run");
  if (plan.canaries == 0) {
    if (!measured.empty()) return at_entry(site, measured[0].entry, "the plan has no canaries");
    return std::string("the plan plants none");
  }
  const auto finished = all_of<RunFinished>(site, folder.run);
  if (measured.empty()) {
    if (finished.empty() || all_of<ResultAccepted>(site, folder.run).empty())
      return std::string("the run has not finished at this site");
    return at_entry(site, finished[0].entry,
                    "the plan has " + std::to_string(plan.canaries) + " canaries, and their outcome was not logged");
  }
  const auto result = result_of(*measured[0].event, plan);
  if (!result.ok()) return at_entry(site, measured[0].entry, result.error().message);
  // The results say which adapter that is, not the site's own word for the end.
  const auto accepted = all_of<ResultAccepted>(site, folder.run);
  const auto results = all_of<RoundResult>(folder.coordinator, folder.run);
  if ((!results.empty() && measured[0].event->adapter != results.back().event->adapter) ||
      (!accepted.empty() && measured[0].entry < accepted.back().entry) ||
      (!finished.empty() && measured[0].event->adapter != finished[0].event->adapter))
    return at_entry(site, measured[0].entry, "another adapter was scored than the run's last");
  const double proven = account(spent_by(site, folder.run), result->delta).proven();
  const std::string shown = "the attack shows epsilon " + Json(result->epsilon_lower).dump() + " at least, " +
                            Json(proven).dump() + " is proven at most, at delta " + Json(result->delta).dump();
  if (result->epsilon_lower > proven) {
    return at_entry(site, measured[0].entry, shown + ": the noise, the sampling or the proof is not what the log says");
  }
  return std::to_string(result->measured.correct) + " of " + std::to_string(result->measured.guesses) + " guesses right; " +
         shown;
}

Finding check_report_file(const RunFolder& folder, const std::string& file, const std::string& recomputed) {
  SOTTO_TRY(const std::string found, read_report_file(folder, file));
  if (found == recomputed) return std::string("equals the recomputed report, byte for byte");
  const auto [a, b] = std::mismatch(found.begin(), found.end(), recomputed.begin(), recomputed.end());
  const auto line = 1 + std::count(found.begin(), a, '\n');
  return invalid(file + " is not the report that the logs give: they differ first in line " + std::to_string(line));
}

}  // namespace sotto::audit
