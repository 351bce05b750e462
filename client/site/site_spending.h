// Where a folder's ledger meets the book of the site's patients: what any folder of the site reserves, for a run of a
// coordinator or for training alone, is held against what all of them have spent. One thread; the book's lock keeps others
// out.
#pragma once

#include "audit/ledger/ledger.h"
#include "client/site/patient_book.h"

namespace sotto::client {

// What a folder spends with; everything outlives it.
struct SharedLedger {
  const PatientBook* book;
  const audit::EventLog* log;
  audit::Ledger* ledger;
};

struct Charge {
  RunId run;  // bound to its budget, or it spends from the default one
  RoundId round;
  audit::RoundCost planned;
  std::optional<audit::BudgetLimit> limit;  // none: for a run without privacy, where the policy allows it
};

// Brings the folder's log up to date with what the other folders have spent of the budget.
Result<void> note_elsewhere(const SharedLedger& shared, const std::string& budget, audit::Time now);
// Before data is touched: over the limit nothing is written (kOverBudget). The book has the charge before the log does.
Result<void> reserve(const SharedLedger& shared, Charge charge, audit::Time now);

// The most rounds, each of `round`, that fit on top of `spent`; at most 10^6.
std::uint32_t affordable_rounds(const audit::Spent& spent, const std::vector<privacy::DpEvent>& round, double epsilon,
                                double delta);

}  // namespace sotto::client
