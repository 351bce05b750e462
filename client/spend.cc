#include "client/spend.h"

namespace sotto::client {
namespace {

// The lock is held.
Result<void> note(const Purse& purse, const std::string& budget, audit::Time now) {
  SOTTO_TRY(const audit::Spent elsewhere, purse.book->elsewhere(budget, purse.log->image().id()));
  return purse.ledger->note_elsewhere(budget, elsewhere, now);
}

}  // namespace

Result<void> note_elsewhere(const Purse& purse, const std::string& budget, audit::Time now) {
  SOTTO_TRY(const FileLock lock, purse.book->lock());
  return note(purse, budget, now);
}

Result<void> reserve(const Purse& purse, Charge charge, audit::Time now) {
  const std::string budget = purse.ledger->spending().budget_of(charge.run);
  SOTTO_TRY(const FileLock lock, purse.book->lock());
  SOTTO_TRY_VOID(note(purse, budget, now));
  if (charge.limit) SOTTO_TRY_VOID(purse.ledger->can_afford(charge.planned, *charge.limit, budget));
  audit::Spent here = purse.ledger->spending().here(budget);
  here.add(charge.planned);
  SOTTO_TRY_VOID(purse.book->publish(budget, purse.log->image().id(), here));
  return purse.ledger->reserve(charge.run, charge.round, std::move(charge.planned), charge.limit, now);
}

}  // namespace sotto::client
