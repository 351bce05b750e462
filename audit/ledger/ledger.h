// A site's privacy ledger, kept in the site's own event log: it writes the events that spending.h adds up. Order of a round:
// reserve its worst case (on disk) before data is touched; commit what the sampler and the noise returned before a REPORT
// leaves; refund only when the log shows that no REPORT of the round was sent. A round of a run without privacy has no
// events and no guarantee: from then on what its budget has spent is infinite. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "audit/ledger/spending.h"
#include "audit/log/event_log.h"

namespace sotto::audit {

// The limit that the site's operator set for its patients, over all runs of a budget.
struct BudgetLimit {
  double epsilon = 0;
  double delta = 0;
  std::optional<double> own_share_epsilon =
      std::nullopt;  // in `joint`, by the own share alone; none: no limit on that curve
};

class Ledger {
 public:
  // Replays the log; fails when its entries contradict each other. `log` must outlive the ledger; Reserved, Committed,
  // Refunded, ReportSent, BudgetBound and SpentElsewhere are appended through the ledger only.
  static Result<Ledger> open(EventLog& log);

  double spent(double delta, const std::string& budget = kDefaultBudget) const;     // everything reserved or committed
  double reserved(double delta, const std::string& budget = kDefaultBudget) const;  // open reservations, may be refunded
  // limit.epsilon - spent(limit.delta), not below 0
  double left(const BudgetLimit& limit, const std::string& budget = kDefaultBudget) const;
  // kOverBudget, with a sentence that names what is spent, asked and allowed, when `cost` on top would exceed the limit.
  // Several rounds at once, to judge a whole run before it is approved: give all their events.
  Result<void> can_afford(const RoundCost& cost, const BudgetLimit& limit, const std::string& budget = kDefaultBudget) const;

  // From now on the run spends from this budget. Refused when it spends from another, or when the budget has another unit.
  Result<void> bind(const BudgetBound& binding, Time now);
  // What the same patients have spent towards other coordinators; writes nothing when that is known already.
  Result<void> note_elsewhere(const std::string& budget, const Spent& spent, Time now);

  // Before data is touched. Refused when over the limit or when the round is reserved already. No limit: for a site whose
  // policy allows runs without privacy, the only case in which `planned` may be empty.
  Result<void> reserve(const RunId& run, RoundId round, RoundCost planned, const std::optional<BudgetLimit>& limit,
                       Time now);
  // Records `taken` in any case. Then kRefused when it is not what was reserved: the site must not report.
  Result<void> commit(const RunId& run, RoundId round, RoundCost taken, Time now);
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
