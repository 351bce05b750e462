// A site's privacy ledger, kept in the site's own event log. Order of a round: reserve its worst case (on disk) before data
// is touched; commit what the sampler and the noise returned before a REPORT leaves; refund only when the log shows that no
// REPORT of the round was sent. Whatever is reserved and not refunded counts as spent, so a crash anywhere over-counts and
// never under-counts. The budget is that of the site's patients: it composes all events of all runs in the log, by RDP. A
// round of a run without privacy has no events and no guarantee: from then on what is spent is infinite. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/event_log.h"

namespace sotto::audit {

// Neighbouring equal events as one with the sum of their counts.
std::vector<privacy::DpEvent> merged(const std::vector<privacy::DpEvent>& events);

// The events of one round of run `plan` at a site, as its sampler and noise would return them if they do what the plan says:
// what a site reserves. Empty for a plan without privacy. `dimension` = trained coordinates. Fails on a plan whose numbers
// have no events (validate(plan) refuses most of them).
Result<std::vector<privacy::DpEvent>> planned_round(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension);

// What was released, as far as an accountant needs it.
struct Spent {
  std::vector<privacy::DpEvent> events;
  bool without_privacy = false;  // a round without events: no guarantee
};

// Epsilon of the composition at `delta`, add or remove one unit. Infinite without privacy, or when an event has no finite
// bound.
double composed_epsilon(const Spent& spent, double delta);

// What one round of one run has cost.
struct RoundSpend {
  enum class State { kReserved, kCommitted, kRefunded };
  State state = State::kReserved;
  bool reported = false;  // a ReportSent stands in the log: no refund any more
  std::vector<privacy::DpEvent> planned;
  std::vector<privacy::DpEvent> taken;

  bool as_planned() const;          // committed, and merged(taken) == merged(planned)
  void add_to(Spent& total) const;  // taken; planned while reserved; both when they differ; nothing when refunded
};

// The ledger's state as a function of the log's events, in order. The auditor replays the same function.
class Spending {
 public:
  // Fails on what no honest ledger writes: a second reservation, a commit without a reservation, a report of a round that is
  // not committed as planned, a refund after a report. Events that are not the ledger's are ignored.
  Result<void> apply(const Event& event);

  using Key = std::pair<RunId, RoundId>;
  const std::map<Key, RoundSpend>& rounds() const { return rounds_; }
  Spent total() const;
  Spent of_run(const RunId& run) const;

 private:
  std::map<Key, RoundSpend> rounds_;
};

// The limit that the site's operator set for its patients, over all runs.
struct BudgetLimit {
  double epsilon = 0;
  double delta = 0;
};

class Ledger {
 public:
  // Replays the log; fails when its entries contradict each other. `log` must outlive the ledger; Reserved, Committed,
  // Refunded and ReportSent are appended through the ledger only.
  static Result<Ledger> open(EventLog& log);

  double spent(double delta) const;             // everything reserved or committed, in all runs
  double reserved(double delta) const;          // the open reservations alone, which may still be refunded
  double left(const BudgetLimit& limit) const;  // limit.epsilon - spent(limit.delta), not below 0
  // kOverBudget, with a sentence that names what is spent, asked and allowed, when `events` on top would exceed the limit.
  // Several rounds at once, to judge a whole run before it is approved: give all their events.
  Result<void> can_afford(const std::vector<privacy::DpEvent>& events, const BudgetLimit& limit) const;

  // Before data is touched. Refused when over the limit or when the round is reserved already. No limit: for a site whose
  // policy allows runs without privacy, the only case in which `planned` may be empty.
  Result<void> reserve(const RunId& run, RoundId round, std::vector<privacy::DpEvent> planned,
                       const std::optional<BudgetLimit>& limit, Time now);
  // Records `taken` in any case. Then kRefused when it is not what was reserved: the site must not report.
  Result<void> commit(const RunId& run, RoundId round, std::vector<privacy::DpEvent> taken, Time now);
  Result<void> refund(const RunId& run, RoundId round, const std::string& reason, Time now);
  // Writes the ReportSent ahead of the REPORT; refused unless the round is committed as planned.
  Result<void> note_report(const ReportSent& report, Time now);

  const Spending& spending() const { return spending_; }

 private:
  explicit Ledger(EventLog& log) : log_(&log) {}
  Result<void> write(const Event& event, Time now);
  EventLog* log_;
  Spending spending_;
};

}  // namespace sotto::audit
