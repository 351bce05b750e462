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

SiteTimeline site_history(const PartyLog& log, const RunId& run) {
  SiteTimeline site;
  site.name = log.party;
  const Spending& spending = log.spending;
  for (const LogEntry& entry : log.entries) {
    // A log that contradicts itself fails verification; the report shows what could be accounted up to there.
    if (log.contradiction && entry.index >= log.contradiction->entry) break;
    site.refused_runs += std::holds_alternative<RunRefused>(entry.event) ? 1 : 0;
    if (const auto* measured = std::get_if<AuditMeasured>(&entry.event)) site.measured = *measured;
    if (const auto* program = std::get_if<ProgramRan>(&entry.event)) site.programs.push_back(*program);
  }
  site.sealed = log.sealed;
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
  history.started = folder.coordinator.at(facts.entry)->time;
  history.ended = history.started;
  for (const LogEntry& entry : folder.coordinator.entries) {
    add_coordinator_event(history, entry.event, facts);
    if (entry.index > 0 && !std::holds_alternative<HeadSeen>(entry.event))
      history.ended = std::max(history.ended, entry.time);
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
