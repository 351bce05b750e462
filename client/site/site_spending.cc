#include "client/site/site_spending.h"

namespace sotto::client {
namespace {

constexpr std::uint32_t kMostRounds = 1000000;

// The lock is held.
Result<void> note(const SharedLedger& shared, const std::string& budget, audit::Time now) {
  SOTTO_TRY(const audit::Spent elsewhere, shared.book->elsewhere(budget, shared.log->image().id()));
  return shared.ledger->note_elsewhere(budget, elsewhere, now);
}

}  // namespace

Result<void> note_elsewhere(const SharedLedger& shared, const std::string& budget, audit::Time now) {
  SOTTO_TRY(const FileLock lock, shared.book->lock());
  return note(shared, budget, now);
}

Result<void> reserve(const SharedLedger& shared, Charge charge, audit::Time now) {
  const std::string budget = shared.ledger->spending().budget_of(charge.run);
  SOTTO_TRY(const FileLock lock, shared.book->lock());
  SOTTO_TRY_VOID(note(shared, budget, now));
  if (charge.limit) SOTTO_TRY_VOID(shared.ledger->can_afford(charge.planned, *charge.limit, budget));
  audit::Spent here = shared.ledger->spending().here(budget);
  here.add(charge.planned);
  SOTTO_TRY_VOID(shared.book->publish(budget, shared.log->image().id(), here));
  return shared.ledger->reserve(charge.run, charge.round, std::move(charge.planned), charge.limit, now);
}

std::uint32_t affordable_rounds(const audit::Spent& spent, const std::vector<privacy::DpEvent>& round, double epsilon,
                                double delta) {
  const auto fits = [&](std::uint32_t rounds) {
    audit::Spent after = spent;
    auto events = round;
    for (auto& event : events) event.count *= rounds;
    if (rounds > 0) after.add(audit::RoundCost(events));
    return composed_epsilon(after, delta) <= epsilon;
  };
  if (!fits(1)) return 0;
  std::uint32_t low = 1;
  std::uint32_t high = kMostRounds + 1;
  while (high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace sotto::client
