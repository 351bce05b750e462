#include "audit/run/run_timeline.h"

#include <algorithm>
#include <set>

#include "audit/log/statements.h"

namespace sotto::audit {
namespace {

std::vector<std::string> names_of(const std::vector<SiteIndex>& sites, const Roster& roster) {
  std::vector<std::string> out;
  for (const SiteIndex i : sites) {
    if (i.value() < roster.sites.size()) out.push_back(roster.sites[i.value()].name);
  }
  return out;
}

void add_coordinator_event(RunTimeline& history, const Event& event, const RunFacts& facts) {
  const auto of_run = [&](const auto& e) { return e.run == facts.plan.run; };
  if (const auto* e = std::get_if<AttemptOpened>(&event); e && of_run(*e)) {
    history.rounds[e->round].attempts = std::max(history.rounds[e->round].attempts, e->attempt.value());
  } else if (const auto* o = std::get_if<RoundOpened>(&event); o && of_run(*o)) {
    history.rounds[o->round].attempts = std::max(history.rounds[o->round].attempts, o->attempt.value());
    const auto d = decode_descriptor(o->descriptor);
    if (d.ok() && o->round == RoundId(0)) history.first_adapter = d->adapter;
  } else if (const auto* s = std::get_if<Survivors>(&event); s && of_run(*s)) {
    std::vector<SiteIndex> u1;
    for (const auto& p : s->u1) u1.push_back(p.site);
    history.rounds[s->round].started = names_of(u1, facts.roster);
  } else if (const auto* r = std::get_if<RoundResult>(&event); r && of_run(*r)) {
    RoundTimeline& round = history.rounds[r->round];
    round.has_result = true;
    round.survivors = names_of(r->survivors, facts.roster);
    round.participants = u3_hash(r->survivors);
    round.adapter = r->adapter;
    history.last_adapter = r->adapter;
  } else if (const auto* v = std::get_if<RoundVoid>(&event); v && of_run(*v)) {
    history.rounds[v->round].is_void = true;
    history.rounds[v->round].void_reason = v->reason;
  } else if (const auto* f = std::get_if<RunFinished>(&event); f && of_run(*f)) {
    history.finished = true;
  } else if (const auto* p = std::get_if<ProgramRan>(&event); p && of_run(*p)) {
    history.programs.push_back(*p);
  }
}

// Whether the event is about the run, of those that have one.
bool is_about(const Event& event, const RunId& run) {
  return std::visit(
      [&](const auto& e) {
        if constexpr (requires { e.run; }) {
          return e.run == run;
        } else {
          return false;
        }
      },
      event);
}

SiteTimeline site_history(const PartyLog& log, const RunId& run) {
  SiteTimeline site;
  site.name = log.party;
  Spending spending;
  for (const Event& event : log.events) {
    // A log that contradicts itself fails verification; the report shows what could be accounted up to there.
    if (!spending.apply(event).ok()) break;
    if (const auto* refusal = std::get_if<RunRefused>(&event)) site.refused_runs += refusal->run == run ? 1 : 0;
    if (const auto* measured = std::get_if<AuditMeasured>(&event); measured && measured->run == run)
      site.measured = *measured;
    if (const auto* program = std::get_if<ProgramRan>(&event); program && program->run == run)
      site.programs.push_back(*program);
    site.sealed += std::holds_alternative<Sealed>(event) ? 1 : 0;
  }
  std::set<std::string> others;
  site.budget = spending.budget_of(run);
  if (const BudgetBound* bound = spending.binding_of(run)) site.binding = *bound;
  for (const auto& [key, spend] : spending.rounds()) {
    if (key.first == run) {
      site.rounds[key.second] = spend;
    } else if (spending.budget_of(key.first) == site.budget) {
      others.insert(key.first.value());
    }
  }
  site.other_runs.assign(others.begin(), others.end());
  site.run = spending.of_run(run);
  site.elsewhere = spending.elsewhere(site.budget);
  site.all = spending.total(site.budget);
  return site;
}

}  // namespace

RunTimeline history_of(const RunFolder& folder) {
  SOTTO_CHECK(folder.facts.has_value());
  const RunFacts& facts = *folder.facts;
  RunTimeline history;
  history.started = folder.coordinator.image.records[static_cast<std::size_t>(facts.entry)].time;
  history.ended = history.started;
  for (std::size_t i = 0; i < folder.coordinator.events.size(); ++i) {
    const Event& event = folder.coordinator.events[i];
    add_coordinator_event(history, event, facts);
    if (is_about(event, facts.plan.run)) history.ended = std::max(history.ended, folder.coordinator.image.records[i].time);
  }
  for (auto& [id, round] : history.rounds) {
    for (const auto& site : facts.roster.sites) {
      if (std::find(round.survivors.begin(), round.survivors.end(), site.name) == round.survivors.end()) {
        round.missing.push_back(site.name);
      }
    }
  }
  for (const auto& site : facts.roster.sites) {
    const PartyLog* log = folder.find(site.name);
    SiteTimeline& added = history.sites.emplace_back();
    if (log && !log->missing) added = site_history(*log, facts.plan.run);
    added.name = site.name;
    added.delivered = log && !log->missing;
    if (!added.delivered) added.run.without_privacy = added.all.without_privacy = true;
  }
  return history;
}

}  // namespace sotto::audit
