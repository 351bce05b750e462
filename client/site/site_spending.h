// Where a folder's ledger meets the book of the site's patients: what any folder of the site reserves, for a run of a
// coordinator or for training alone, is held against what all of them have spent; and a folder whose log is not the one that
// the book has seen, continued, spends nothing. Order of a reservation: the book has the charge, the log has it, the book has
// seen the log. A kill anywhere between leaves a book that counts at least what ran, and a folder that goes on: the same
// reservation again costs nothing more. One thread; the book's lock keeps others out.
#pragma once

#include "audit/ledger/ledger.h"
#include "client/site/locked_book.h"

namespace sotto::client {

// What a folder spends with; everything outlives it. Beside the log, FOLDER/book.json says how far the book had come: an older
// copy of the book is refused by it.
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

// Before a folder is worked with, and as long as it is: no copy of it works at the same time. Refused when its log is older
// than the book, or of another book.
Result<FileLock> take_up(const SharedLedger& shared);
// Brings the folder's log up to date with what the other folders have spent of the budget, and with what the book has of this
// one beyond its log and `to_come`: a reservation that a kill kept from the log.
Result<void> note_elsewhere(const SharedLedger& shared, const std::string& budget, audit::Time now,
                            const audit::RoundCost& to_come = {});
// What `note_elsewhere` would write.
audit::Spent spent_elsewhere(const LockedBook& book, const audit::Spending& spending, const std::string& budget,
                             const Digest& log, const audit::RoundCost& to_come = {});
// Before data is touched: over the limit nothing is written (kOverBudget).
Result<void> reserve(const SharedLedger& shared, Charge charge, audit::Time now);
// Before anything of the round leaves; fails as Ledger::commit does, and the book has what ran all the same.
Result<void> commit(const SharedLedger& shared, const Charge& taken, audit::Time now);
// Before anything leaves: the book has seen the log as it stands, and that so many steps of the run were told.
Result<void> keep(const SharedLedger& shared, const RunId& run = RunId(), std::uint64_t steps = 0);

// The most rounds, each of `round`, that fit on top of `spent`; at most 10^6.
std::uint32_t affordable_rounds(const audit::Spent& spent, const std::vector<privacy::DpEvent>& round, double epsilon,
                                double delta);

}  // namespace sotto::client
