#include "coordinator/runs/run_rows.h"

#include <algorithm>

namespace sotto::coordinator {
namespace {

std::int64_t seconds(audit::Time time) { return time.time_since_epoch().count(); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

const char* to_string(RoundHistory::State state) {
  switch (state) {
    case RoundHistory::State::kOpen: return "open";
    case RoundHistory::State::kDone: return "done";
    case RoundHistory::State::kVoid: return "void";
  }
  return "?";
}

}  // namespace

std::string names_of(const Roster& roster, const std::vector<SiteIndex>& sites) {
  std::vector<std::string> names;
  for (const auto site : sites) names.push_back(roster.sites.at(site.value()).name);
  return joined(names);
}

store::RunRow run_row(const RunHistory& run, const RunProgress& progress, const std::vector<std::string>& unapproved,
                      const std::string& refusal, const Round* round) {
  store::RunRow row;
  row.run = run.run.value();
  row.rounds = run.plan.rounds;
  row.rounds_done = run.rounds_over();
  row.rounds_void = std::ranges::count(run.rounds, RoundHistory::State::kVoid, &RoundHistory::state);
  if (run.finished) {
    row.state = run.stopped() ? "stopped" : "finished";
  } else if (round != nullptr || !run.rounds.empty()) {
    row.state = "running";
    if (round != nullptr) {
      row.phase = coordinator::to_string(round->phase());
      row.attempt = round->attempt().value();
      const auto waiting = round->waiting_for();
      if (!waiting.empty()) row.detail = "waits for " + names_of(run.roster, waiting);
    }
  } else if (!refusal.empty()) {
    row.state = "refused";
    row.detail = refusal;
  } else {
    row.state = "waiting";
    row.detail = unapproved.empty() ? "approved by all sites, in the queue" : "not yet approved by " + joined(unapproved);
  }
  if (run.adapter) row.adapter = to_hex(*run.adapter);
  row.submitted = seconds(run.submitted);
  row.started = run.rounds.empty() ? 0 : seconds(run.rounds.front().opened);
  row.finished = run.finished ? seconds(run.ended) : 0;
  row.bytes_up = static_cast<std::int64_t>(progress.bytes_up);
  row.bytes_down = static_cast<std::int64_t>(progress.bytes_down);
  return row;
}

std::vector<store::RoundRow> round_rows(const RunHistory& run) {
  std::vector<store::RoundRow> rows;
  for (std::size_t i = 0; i < run.rounds.size(); ++i) {
    const auto& round = run.rounds[i];
    store::RoundRow row{run.run.value(),
                        static_cast<std::int64_t>(i),
                        round.attempt.value(),
                        to_string(round.state),
                        "",
                        round.reason,
                        "",
                        seconds(round.opened),
                        0};
    if (round.state == RoundHistory::State::kDone) {
      row.survivors = names_of(run.roster, round.survivors);
      row.adapter = to_hex(round.adapter);
    }
    if (round.state != RoundHistory::State::kOpen) row.closed = seconds(round.closed);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sotto::coordinator
