// A site's privacy ledger, kept in the site's own event log. Order of a round: reserve its worst case (on disk) before data
// is touched; commit what the sampler and the noise returned before a REPORT leaves; refund only when the log shows that no
// REPORT of the round was sent. Whatever is reserved and not refunded counts as spent, so a crash anywhere over-counts and
// never under-counts. The budget is that of the site's patients: it composes all events of all runs in the log (RDP). Not
// thread-safe.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "audit/event_log.h"

namespace sotto::audit {

// What one round of one run has cost.
struct RoundSpend {
  enum class State { kReserved, kCommitted, kRefunded };
  State state = State::kReserved;
  bool reported = false;  // a ReportSent stands in the log: no refund any more
  std::vector<privacy::DpEvent> planned;
  std::vector<privacy::DpEvent> taken;
};

// The ledger's state as a function of the log's events, in order. The auditor replays the same function.
class Spending {
 public:
  // Fails on an event that no honest ledger writes: a commit without a reservation, a report without a commit, a refund
  // after a report, a second reservation. Events that are not the ledger's are ignored.
  Result<void> apply(const Event& event);

  using Key = std::pair<RunId, RoundId>;
  const std::map<Key, RoundSpend>& rounds() const { return rounds_; }
  // In order of run and round: planned of what is reserved, taken of what is committed; nothing of what is refunded.
  std::vector<privacy::DpEvent> events() const;
  std::vector<privacy::DpEvent> events_of(const RunId& run) const;

 private:
  std::map<Key, RoundSpend> rounds_;
};

// The limit that the site's operator set for its patients, over all runs.
struct BudgetLimit {
  double epsilon = 0;
  double delta = 0;
};

// Epsilon of the composition of `events` at `delta` under add-or-remove of one unit; infinite when an event has no
// guarantee.
double composed_epsilon(const std::vector<privacy::DpEvent>& events, double delta);

class Ledger {
 public:
  // Replays the log; fails when its entries contradict each other. `log` must outlive the ledger, which alone may append
  // Reserved, Committed and Refunded to it; a ReportSent goes through note_report.
  static Result<Ledger> open(EventLog& log);

  // Of everything reserved or committed in all runs.
  double spent(double delta) const;
  // Of the open reservations alone: what is spent in this sense may still be refunded.
  double reserved(double delta) const;
  // limit.epsilon - spent(limit.delta), and 0 when that is negative.
  double left(const BudgetLimit& limit) const;
  // kOverBudget, with a sentence that names what is spent, asked and allowed, when `events` on top would exceed the limit.
  Result<void> can_afford(const std::vector<privacy::DpEvent>& events, const BudgetLimit& limit) const;

  // Refused when over the limit or when the round is already reserved. Without a limit (a site that allows runs without
  // privacy says so by name) only the second holds.
  Result<void> reserve(const RunId& run, RoundId round, std::vector<privacy::DpEvent> planned,
                       const std::optional<BudgetLimit>& limit, Time now);
  // Records `taken` in any case. kRefused when it is not what was reserved: then the site must not report.
  Result<void> commit(const RunId& run, RoundId round, std::vector<privacy::DpEvent> taken, Time now);
  Result<void> refund(const RunId& run, RoundId round, const std::string& reason, Time now);
  // Writes the ReportSent ahead of the REPORT; refused unless the round is committed as reserved.
  Result<void> note_report(ReportSent report, Time now);

  const Spending& spending() const { return spending_; }

 private:
  explicit Ledger(EventLog& log) : log_(&log) {}
  Result<void> write(const Event& event, Time now);
  EventLog* log_;
  Spending spending_;
};

}  // namespace sotto::audit
