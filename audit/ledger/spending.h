// What a site's patients have spent, as a function of the events in its log, in order; the auditor replays the same
// function. Budgets have names; what is spent in a budget is everything that its runs released, in this log and, as
// spent_elsewhere says, outside it, composed. Order of a round: reserved, committed, reported; refunded only when nothing
// was reported. Whatever is reserved and not refunded counts, so a crash anywhere over-counts and never under-counts. Plain
// values.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "audit/log/log_format.h"
#include "plan/planned_events.h"
#include "privacy/mechanism/event.h"

namespace sotto::audit {

constexpr const char* kDefaultBudget = "patients";

// In mode `joint` a round has two costs: against at most c colluders, whom the other sites' shares of the noise protect
// from, and by the site's own share alone. In `local` they are one.
enum class Curve { kAgainstColluders, kOwnShareAlone };

struct RoundCost {
  std::vector<privacy::DpEvent> events;
  std::vector<privacy::DpEvent> own_share;  // empty: the same as `events`

  RoundCost() = default;
  RoundCost(std::vector<privacy::DpEvent> e, std::vector<privacy::DpEvent> own = {})  // NOLINT: one curve is the common case
      : events(std::move(e)), own_share(std::move(own)) {}
  RoundCost(std::initializer_list<privacy::DpEvent> e) : events(e) {}
  bool same_as(const RoundCost& other) const;  // equal when merged
};

// What was released, as far as an accountant needs it.
struct Spent {
  std::vector<privacy::DpEvent> events;
  std::vector<privacy::DpEvent> own_share;
  bool without_privacy = false;  // a round without events: no guarantee

  void add(const RoundCost& cost);
  void add(const Spent& other);
  const std::vector<privacy::DpEvent>& on(Curve curve) const { return curve == Curve::kOwnShareAlone ? own_share : events; }
};

// Epsilon of the composition at `delta`, add or remove one unit: the smaller upper bound of the two accountants
// (privacy/accounting/compose.h). Infinite without privacy, or when no accountant has a finite bound.
double composed_epsilon(const Spent& spent, double delta, Curve curve = Curve::kAgainstColluders);

// What one round of one run has cost.
struct RoundSpend {
  enum class State { kReserved, kCommitted, kRefunded };
  State state = State::kReserved;
  bool reported = false;  // a ReportSent stands in the log: no refund any more
  RoundCost planned;
  RoundCost taken;

  bool as_planned() const;          // committed, and what was taken is what was planned
  void add_to(Spent& total) const;  // taken; planned while reserved; both when they differ; nothing when refunded
};

class Spending {
 public:
  // Fails on what no honest ledger writes: a second reservation, a commit without a reservation, a report of a round that is
  // not committed as planned, a refund after a report, a run bound to two budgets, a budget with two units. Events that are
  // not the ledger's are ignored. Nothing has changed after a failure.
  Result<void> check(const Event& event) const;
  Result<void> apply(const Event& event);

  using Key = std::pair<RunId, RoundId>;
  const std::map<Key, RoundSpend>& rounds() const { return rounds_; }
  // Everything spent from a budget: this log's runs, and what was spent elsewhere.
  Spent total(const std::string& budget = kDefaultBudget) const;
  Spent reserved(const std::string& budget = kDefaultBudget) const;  // the open reservations alone
  Spent here(const std::string& budget) const;                       // without what was spent elsewhere
  Spent of_run(const RunId& run) const;
  const Spent& elsewhere(const std::string& budget) const;
  std::string budget_of(const RunId& run) const;          // kDefaultBudget when the run was bound to none
  const BudgetBound* binding_of(const RunId& run) const;  // nullptr when the run was bound to none
  std::optional<std::string> unit_of(const std::string& budget) const;
  std::set<std::string> budgets() const;  // that something was bound to or spent from

 private:
  Result<RoundSpend> after(const Event& event) const;
  Result<void> check_bound(const BudgetBound& event) const;
  std::map<Key, RoundSpend> rounds_;
  std::map<RunId, BudgetBound> bound_;
  std::map<std::string, Spent> elsewhere_;
};

}  // namespace sotto::audit
