// The report's parts about the course of a run: rounds, lineage, programs, heads, composed epsilon, and why it may not hold.
#include <algorithm>
#include <cmath>

#include "audit/checks/checks.h"
#include "audit/report/report_parts.h"

namespace sotto::audit {
namespace {

std::vector<std::string> site_hazards(const SiteTimeline& site, const RunPlan& plan) {
  std::vector<std::string> out;
  const std::string name = "Site '" + site.name + "'";
  const double epsilon = composed_epsilon(site.run, plan.delta);
  if (!site.delivered) out.push_back(name + " did not deliver its log: nothing can be said about its patients.");
  if (plan.privacy && site.delivered && !std::isfinite(epsilon))
    out.push_back(name + ": its events give no finite epsilon.");
  if (std::isfinite(epsilon) && epsilon > 10)
    out.push_back(name + ": an epsilon above 10 promises little in the worst case.");
  if (!site.other_runs.empty()) {
    out.push_back(name + ": the same patients were in " + std::to_string(site.other_runs.size()) +
                  " other runs; the number for all runs together is the one that counts for them.");
  }
  if (site.elsewhere.without_privacy || !site.elsewhere.events.empty()) {
    out.push_back(name +
                  ": the same patients were in runs of other coordinators, whose logs are not here; the site's log says "
                  "what those cost.");
  }
  for (const auto& [round, spend] : site.rounds) {
    const std::string where = name + ", round " + std::to_string(round.value()) + ": ";
    if (spend.state == RoundSpend::State::kReserved) {
      out.push_back(where + "reserved and not finished (a crash, or the site dropped out); counted as spent.");
    } else if (spend.state == RoundSpend::State::kCommitted && !spend.as_planned()) {
      out.push_back(where + "the steps that ran are not those that were planned; both are counted.");
    }
  }
  return out;
}

// Each site's own event of the round: what it sampled with, how much noise it added. From its log alone.
Json round_of_site(const SiteTimeline& site, const RoundSpend& spend) {
  const char* state = spend.state == RoundSpend::State::kReserved    ? "reserved"
                      : spend.state == RoundSpend::State::kCommitted ? "committed"
                                                                     : "refunded";
  Json out = Json::object({{"site", site.name}, {"state", state}, {"reported", spend.reported}});
  const auto& events = spend.state == RoundSpend::State::kCommitted ? spend.taken.events : spend.planned.events;
  Json steps = Json::array();
  for (const auto& e : merged(events)) {
    const auto sigma = privacy::effective_noise_multiplier(e);
    steps.push(Json::object({{"sampling_rate", e.sampling_rate.value()},
                             {"noise_multiplier", sigma.ok() ? Json(sigma->value()) : Json("none")},
                             {"clip_norm_with_rounding", static_cast<double>(e.sensitivity) * e.grid_step},
                             {"steps", e.count}}));
  }
  out.set("steps", std::move(steps));
  return out;
}

}  // namespace

Json strings(const std::vector<std::string>& values) {
  Json out = Json::array();
  for (const auto& v : values) out.push(v);
  return out;
}

Json rounds_json(const RunFolder& folder, const RunTimeline& history) {
  Json out = Json::array();
  for (const auto& [id, round] : history.rounds) {
    Json item = Json::object({{"round", id.value()},
                              {"attempts", round.attempts},
                              {"outcome", round.has_result ? "result"
                                          : round.is_void  ? "void"
                                                           : "unfinished"},
                              {"planned_sites", folder.facts->plan.sites.size()},
                              {"started", strings(round.started)},
                              {"survivors", strings(round.survivors)},
                              {"missing", strings(round.missing)}});
    if (round.is_void) item.set("reason", round.void_reason);
    if (round.has_result) {
      item.set("participants_hash", to_hex(round.participants));
      item.set("adapter", to_hex(round.adapter));
    }
    Json sites = Json::array();
    for (const auto& site : history.sites) {
      const auto at = site.rounds.find(id);
      if (at != site.rounds.end()) sites.push(round_of_site(site, at->second));
    }
    item.set("sites", std::move(sites));
    out.push(std::move(item));
  }
  return out;
}

Json hazards_json(const RunFolder& folder, const RunTimeline& history) {
  const RunPlan& plan = folder.facts->plan;
  std::vector<std::string> out;
  if (!plan.privacy) out.push_back("This run has no differential privacy.");
  for (const auto& site : history.sites) {
    for (auto& hazard : site_hazards(site, plan)) out.push_back(std::move(hazard));
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
  if (plan.privacy && plan.canaries == 0) {
    out.push_back("No canaries were planted: nothing was measured, and the proven bounds stand by themselves.");
  }
  for (const auto& [id, round] : history.rounds) {
    const std::string name = "ound " + std::to_string(id.value());
    if (round.is_void) out.push_back("R" + name + " is void (" + round.void_reason + "); what was spent stays spent.");
    for (const auto& site : round.missing) {
      if (round.has_result) out.push_back("Site '" + site + "' dropped out of r" + name + "; the sum lacks its update.");
    }
  }
  if (!history.finished) out.push_back("The coordinator's log does not say that the run finished.");
  return strings(out);
}

Json composed_json(const RunTimeline& history) {
  std::vector<std::string> out = {"All steps of all rounds of this run that the site's log has not refunded."};
  for (const auto& site : history.sites) {
    std::string line = "Site '" + site.name + "', budget '" + site.budget + "': " + std::to_string(site.rounds.size()) +
                       " rounds of this run, " + std::to_string(site.other_runs.size()) + " other runs of this coordinator";
    const bool elsewhere = site.elsewhere.without_privacy || !site.elsewhere.events.empty();
    out.push_back(
        line + (elsewhere ? ", and runs of other coordinators" : ", none of another coordinator that the log names") + ".");
  }
  out.push_back("Evaluation metrics and hyperparameter trials: none stands in the logs, so none is composed.");
  return strings(out);
}

// A build that ran more than once is one entry.
Json programs_json(const RunFolder& folder, const RunTimeline& history) {
  Json out = Json::array();
  const auto add = [&](const std::string& party, const std::vector<ProgramRan>& programs) {
    std::vector<Digest> known;
    for (const auto& p : programs) {
      if (std::find(known.begin(), known.end(), p.file) != known.end()) continue;
      known.push_back(p.file);
      out.push(Json::object({{"party", party}, {"version", p.version}, {"sha256", to_hex(p.file)}}));
    }
  };
  add(folder.coordinator.party, history.programs);
  for (const auto& site : history.sites) add(site.name, site.programs);
  return out;
}

Json lineage_json(const RunFolder& folder, const RunTimeline& history) {
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

std::vector<std::string> failures_of(const RunFolder& folder) {
  std::vector<std::string> out;
  for (const auto& site : folder.sites) {
    if (site.missing) continue;
    for (const Finding& finding : {check_ledger(folder, site), check_mechanism(folder, site),
                                   check_accountants(folder, site), check_canaries(folder, site)}) {
      if (!finding.ok()) out.push_back(finding.error().message);
    }
  }
  return out;
}

}  // namespace sotto::audit
