#include "client/site/site_spending.h"

#include <filesystem>

#include "base/json.h"
#include "client/site/spent_sets.h"

namespace sotto::client {
namespace {

constexpr std::uint32_t kMostRounds = 1000000;
constexpr const char* kWitnessFormat = "sotto/book-seen/1";

std::string folder_of(const audit::EventLog& log) {
  const auto folder = std::filesystem::path(log.path()).parent_path();
  return folder.empty() ? std::string(".") : folder.string();
}

std::string witness_file(const SharedLedger& shared) { return folder_of(*shared.log) + "/book.json"; }

// The folder remembers how far the book had come when it last spent.
Result<void> write_witness(const SharedLedger& shared, const LockedBook& book) {
  const Json json = Json::object({{"format", kWitnessFormat},
                                  {"book", to_hex(book.id())},
                                  {"size", book.image().tree.size()},
                                  {"root", to_hex(book.image().tree.root())}});
  return write_file_atomically(witness_file(shared), json.dump(2) + "\n", FileMode::kPrivate);
}

Result<void> check_witness(const SharedLedger& shared, const LockedBook& book) {
  const std::string file = witness_file(shared);
  if (!file_exists(file)) return {};
  SOTTO_TRY(const Json json, Json::read_file(file));
  SOTTO_TRY(const std::string format, json.get_string("format"));
  if (format != kWitnessFormat)
    return unsupported("'" + file + "' has the format '" + format + "', and this program reads '" + kWitnessFormat + "'");
  SOTTO_TRY(const std::string id, json.get_string("book"));
  SOTTO_TRY(const auto size, json.get_int("size"));
  SOTTO_TRY(const std::string root, json.get_string("root"));
  const auto& tree = book.image().tree;
  const auto seen = static_cast<std::uint64_t>(size);
  if (size >= 1 && id == to_hex(book.id()) && seen <= tree.size() && root == to_hex(tree.root_at(seen))) return {};
  return refused("'" + folder_of(*shared.log) + "' has spent from " +
                 (id == to_hex(book.id()) ? "a newer copy of the book of patients '" : "another book of patients than '") +
                 book.folder() + "' (" + file +
                 "): what was spent since would be forgotten. Put the newest copy of that book back, or name it with "
                 "budget_folder in the site's configuration");
}

bool has_charged(const audit::Spending& spending) {
  for (const auto& [key, round] : spending.rounds()) {
    if (spending.binding_of(key.first)) return true;
  }
  return false;
}

Result<void> check(const SharedLedger& shared, const LockedBook& book) {
  const audit::LogImage& log = shared.log->image();
  SOTTO_TRY_VOID(book.check_continues(log, shared.log->path()));
  SOTTO_TRY_VOID(check_witness(shared, book));
  const auto& spending = shared.ledger->spending();
  const auto seen = book.seen(log.id());
  if (!seen && has_charged(spending))
    return refused(
        "'" + shared.log->path() + "' has spent of a budget, and the book of patients '" + book.folder() +
        "' knows nothing of it: it is another book, or an older copy. Put the newest copy of the book back, or name "
        "the right one with budget_folder in the site's configuration");
  if (!seen || seen->size > 0) return {};
  for (const auto& budget : book.budgets_of(log.id())) {  // version 1 kept the spending, and not how far the log had come
    if (!is_nothing(beyond(book.spent_by(budget, log.id()), spending.here(budget))))
      return refused(
          "'" + shared.log->path() + "' lacks reservations that the book of patients '" + book.folder() +
          "' has of it: the folder is an older copy; what was spent stays spent. Put the newest copy back, or begin "
          "anew in another folder");
  }
  return {};
}

Result<void> note(const SharedLedger& shared, const LockedBook& book, const std::string& budget,
                  const audit::RoundCost& to_come, audit::Time now) {
  const auto elsewhere = spent_elsewhere(book, shared.ledger->spending(), budget, shared.log->image().id(), to_come);
  return shared.ledger->note_elsewhere(budget, elsewhere, now);
}

}  // namespace

Result<FileLock> take_up(const SharedLedger& shared) {
  if (shared.log->size() == 0)
    return refused("'" + shared.log->path() +
                   "' is empty: the folder's log was removed, and what it had spent stays spent. Put the newest copy of the "
                   "folder back, or begin anew in another folder");
  SOTTO_TRY(FileLock mine, shared.book->take_up(shared.log->image().id(), shared.log->path()));
  SOTTO_TRY_VOID(keep(shared));
  return mine;
}

audit::Spent spent_elsewhere(const LockedBook& book, const audit::Spending& spending, const std::string& budget,
                             const Digest& log, const audit::RoundCost& to_come) {
  audit::Spent here = spending.here(budget);
  if (!to_come.events.empty()) here.add(to_come);
  audit::Spent out = book.elsewhere(budget, log);
  out.add(beyond(book.spent_by(budget, log), here));
  return out;
}

Result<void> note_elsewhere(const SharedLedger& shared, const std::string& budget, audit::Time now,
                            const audit::RoundCost& to_come) {
  SOTTO_TRY(const LockedBook book, shared.book->lock());
  SOTTO_TRY_VOID(check(shared, book));
  return note(shared, book, budget, to_come, now);
}

Result<void> reserve(const SharedLedger& shared, Charge charge, audit::Time now) {
  const std::string budget = shared.ledger->spending().budget_of(charge.run);
  SOTTO_TRY(LockedBook book, shared.book->lock());
  SOTTO_TRY_VOID(check(shared, book));
  SOTTO_TRY_VOID(note(shared, book, budget, charge.planned, now));
  if (charge.limit) SOTTO_TRY_VOID(shared.ledger->can_afford(charge.planned, *charge.limit, budget));
  audit::Spent here = shared.ledger->spending().here(budget);
  here.add(charge.planned);
  SOTTO_TRY_VOID(book.write_spent(budget, shared.log->image(), here));
  SOTTO_TRY_VOID(shared.ledger->reserve(charge.run, charge.round, std::move(charge.planned), charge.limit, now));
  SOTTO_TRY_VOID(book.write_seen(shared.log->image()));
  return write_witness(shared, book);
}

Result<void> commit(const SharedLedger& shared, const Charge& taken, audit::Time now) {
  const std::string budget = shared.ledger->spending().budget_of(taken.run);
  SOTTO_TRY(LockedBook book, shared.book->lock());
  SOTTO_TRY_VOID(check(shared, book));
  const auto committed = shared.ledger->commit(taken.run, taken.round, taken.planned, now);
  if (!committed.ok()) {  // what ran is not what was reserved: the ledger counts both, and so does the book
    const audit::Spent here = shared.ledger->spending().here(budget);
    if (!is_nothing(beyond(here, book.spent_by(budget, shared.log->image().id()))))
      SOTTO_TRY_VOID(book.write_spent(budget, shared.log->image(), here));
  }
  SOTTO_TRY_VOID(book.write_seen(shared.log->image()));
  SOTTO_TRY_VOID(write_witness(shared, book));
  return committed;
}

Result<void> keep(const SharedLedger& shared, const RunId& run, std::uint64_t steps) {
  SOTTO_TRY(LockedBook book, shared.book->lock());
  SOTTO_TRY_VOID(check(shared, book));
  const std::uint64_t before = book.image().tree.size();
  SOTTO_TRY_VOID(book.write_seen(shared.log->image(), run, steps));
  return book.image().tree.size() == before ? Result<void>() : write_witness(shared, book);
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
