// Joins a folder's ledger with the book of the site's patients. A reservation of any folder, for a run of a coordinator or
// for training alone, is checked against what all folders of the site have spent. One thread; the book's lock keeps other
// processes out.
#pragma once

#include "audit/ledger/ledger.h"
#include "client/site/patient_book.h"

namespace sotto::client {

// What a reservation needs; everything must outlive it.
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
// To be called before data is touched. Over the limit nothing is written (kOverBudget). The charge is in the book before it
// is in the log.
Result<void> reserve(const SharedLedger& shared, Charge charge, audit::Time now);

// The most rounds, each of `round`, that fit on top of `spent`; at most 10^6.
std::uint32_t affordable_rounds(const audit::Spent& spent, const std::vector<privacy::DpEvent>& round, double epsilon,
                                double delta);

}  // namespace sotto::client
