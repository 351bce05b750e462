#include "client/site/locked_book.h"

#include <algorithm>
#include <functional>

#include "base/clock.h"
#include "base/json.h"
#include "client/site/spent_sets.h"
#include "crypto/system_random.h"

namespace sotto::client {
namespace {

constexpr const char* kHeadFormat = "sotto/book-head/1";
constexpr const char* kTraining = "training";
constexpr const char* kHeldOut = "held_out";
constexpr const char* kOutside = "outside";
constexpr const char* kUnknown = "unknown";
constexpr std::size_t kMarksAnEvent = 500'000;  // an entry of a log holds at most 16 MiB

Result<std::vector<Mark>> marks_in(const Bytes& bytes) {
  if (bytes.size() % sizeof(Mark) != 0) return invalid("its marks are not whole");
  std::vector<Mark> out(bytes.size() / sizeof(Mark));
  for (std::size_t i = 0; i < out.size(); ++i)
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * sizeof(Mark)), sizeof(Mark), out[i].begin());
  return out;
}

// `write` is given the marks in pieces that fit into an entry.
Result<void> in_pieces(const std::vector<Mark>& marks, const std::function<Result<void>(Bytes)>& write) {
  for (std::size_t begin = 0; begin < marks.size(); begin += kMarksAnEvent) {
    Bytes piece;
    for (std::size_t i = begin; i < std::min(marks.size(), begin + kMarksAnEvent); ++i)
      piece.insert(piece.end(), marks[i].begin(), marks[i].end());
    SOTTO_TRY_VOID(write(std::move(piece)));
  }
  return {};
}

std::string entries(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " entry" : " entries"); }

Error changed(const std::string& folder, const std::string& what) {
  return refused("the book of patients '" + folder + "' was changed from outside: " + what +
                 ". Files of it were removed, or put back from an older copy, and what was spent since would be forgotten; "
                 "put the newest copy of the whole folder back");
}

}  // namespace

Result<LockedBook> LockedBook::open(const PatientBook& book, FileLock lock) {
  SOTTO_TRY(auto log, audit::EventLog::open(book.folder() + "/log"));
  LockedBook out(book, std::move(lock), std::move(log));
  if (out.log_.size() == 0)
    SOTTO_TRY_VOID(out.begin());
  else
    SOTTO_TRY_VOID(out.check_head());
  SOTTO_TRY_VOID(out.replay());
  return out;
}

// The line in `spent` is written last of all, so a book that has it and no log has lost the log.
Result<void> LockedBook::begin() {
  for (const char* part : {"/head.json", "/spent"}) {
    if (file_exists(folder_ + part)) return changed(folder_, "its log is gone or empty");
  }
  crypto::SystemRandom random;
  audit::BookCreated created{key_check_, {}};
  random.fill(created.salt);
  return write(created);
}

// A kill between an entry and its head leaves a log that is longer than its head; after the first entry, one without a head.
Result<void> LockedBook::check_head() const {
  const audit::LogImage& log = log_.image();
  if (!file_exists(head_file())) {
    if (log.tree.size() == 1 && !file_exists(folder_ + "/spent")) return write_head();
    return changed(folder_, "its head.json is gone");
  }
  SOTTO_TRY(const Json json, Json::read_file(head_file()));
  SOTTO_TRY(const std::string format, json.get_string("format"));
  if (format != kHeadFormat)
    return unsupported("'" + head_file() + "' has the format '" + format + "', and this program reads '" + kHeadFormat +
                       "'");
  SOTTO_TRY(const std::string id, json.get_string("log"));
  SOTTO_TRY(const auto size, json.get_int("size"));
  SOTTO_TRY(const std::string root, json.get_string("root"));
  if (id != to_hex(log.id())) return changed(folder_, "its log is another one than head.json tells of");
  if (size < 1 || static_cast<std::uint64_t>(size) > log.tree.size())
    return changed(folder_, "head.json tells of " + entries(static_cast<std::uint64_t>(size)) + ", and its log has " +
                                std::to_string(log.tree.size()));
  if (root != to_hex(log.tree.root_at(static_cast<std::uint64_t>(size))))
    return changed(folder_, "the first " + entries(static_cast<std::uint64_t>(size)) +
                                " of its log are not those that head.json tells of");
  return {};
}

Result<void> LockedBook::replay() {
  const audit::Event first = log_.event(0);
  const auto* created = std::get_if<audit::BookCreated>(&first);
  if (!created) return invalid("'" + log_.path() + "' is no book of patients");
  if (created->key_check != key_check_) return changed(folder_, "patients.key is not the key that it was begun with");
  for (std::uint64_t i = 1; i < log_.size(); ++i) {
    const auto applied = apply(log_.event(i));
    if (!applied.ok()) return invalid(log_.path() + ", entry " + std::to_string(i) + ": " + applied.error().message);
  }
  return {};
}

Result<void> LockedBook::apply(const audit::Event& event) {
  if (const auto* seen = std::get_if<audit::PatientsSeen>(&event)) {
    SOTTO_TRY(const auto marks, marks_in(seen->patients));
    for (const Mark& m : marks) {
      Person& person = people_[m];
      if (!seen->budget.empty()) person.budget = seen->budget;
      person.part = seen->part;
    }
  } else if (const auto* records = std::get_if<audit::RecordsSeen>(&event)) {
    SOTTO_TRY(const auto marks, marks_in(records->records));
    records_.insert(marks.begin(), marks.end());
  } else if (const auto* spent = std::get_if<audit::LogSpent>(&event)) {
    KnownLog& log = logs_[spent->log];
    if (spent->size >= log.head.size) log.head = {spent->size, spent->root};
    log.spent[spent->budget] = {spent->events, spent->own_share, spent->without_privacy != 0};
  } else if (const auto* at = std::get_if<audit::LogSeen>(&event)) {
    KnownLog& log = logs_[at->log];
    if (at->size >= log.head.size) log.head = {at->size, at->root};
    if (at->steps > 0) log.steps[at->run] = std::max(log.steps[at->run], at->steps);
  } else if (!std::holds_alternative<audit::BookCreated>(event)) {
    return invalid("an event of another kind of log");
  }
  return {};
}

Result<void> LockedBook::write(const audit::Event& event) {
  SOTTO_TRY([[maybe_unused]] const auto index, log_.append(event, wall_clock()));
  SOTTO_TRY_VOID(apply(event));
  return write_head();
}

Result<void> LockedBook::write_head() const {
  const Json head =
      Json::object({{"format", kHeadFormat}, {"log", to_hex(id())}, {"size", log_.size()}, {"root", to_hex(log_.root())}});
  return write_file_atomically(head_file(), head.dump(2) + "\n", FileMode::kPrivate);
}

Result<void> LockedBook::write_people(const std::string& budget, const std::string& part, const std::set<Mark>& marks) {
  std::vector<Mark> news;
  for (const Mark& m : marks) {
    const auto known = people_.find(m);
    if (known == people_.end() || known->second.part != part || (!budget.empty() && known->second.budget != budget))
      news.push_back(m);
  }
  return in_pieces(news, [&](Bytes piece) { return write(audit::PatientsSeen{budget, part, std::move(piece)}); });
}

Result<void> LockedBook::check_parts(const std::string& budget, const People& people) const {
  std::map<std::string, std::size_t> of_budget;
  std::size_t trained = 0, kept_out = 0;
  const auto look = [&](const Mark& m, bool trains) {
    const auto known = people_.find(m);
    if (known == people_.end()) return;
    if (!known->second.budget.empty() && known->second.budget != budget) ++of_budget[known->second.budget];
    trained += !trains && known->second.part == kTraining;
    kept_out += trains && (known->second.part == kHeldOut || known->second.part == kOutside);
  };
  for (const Mark& m : people.training) look(m, true);
  for (const Mark& m : people.held_out) look(m, false);
  for (const auto& [other, count] : of_budget)
    return refused(std::to_string(count) + " of these patients belong to the budget '" + other +
                   "' already, and a patient has one budget for good; set policy.budget = \"" + other +
                   "\", or take them out of this data");
  if (trained > 0)
    return refused(std::to_string(trained) +
                   " of the patients whom holdout_fraction would hold out have trained under this site's promise: exact "
                   "losses on them are covered by no epsilon. Put holdout_fraction back to what it was when they trained");
  if (kept_out > 0)
    return refused(
        std::to_string(kept_out) +
        " of the patients who would train were held out, or stand in validation, watched or public text: results on "
        "them were told without privacy. Put holdout_fraction back to what it was, or take them out of the data");
  return {};
}

Result<void> LockedBook::claim(const std::string& budget, const People& people) {
  SOTTO_TRY_VOID(check_parts(budget, people));
  SOTTO_TRY_VOID(write_people(budget, kTraining, people.training));
  SOTTO_TRY_VOID(write_people(budget, kHeldOut, people.held_out));
  std::vector<Mark> news;
  std::ranges::copy_if(people.records, std::back_inserter(news), [&](const Mark& m) { return !records_.contains(m); });
  return in_pieces(news, [&](Bytes piece) { return write(audit::RecordsSeen{std::move(piece)}); });
}

std::pair<std::size_t, std::size_t> LockedBook::protected_in(const Outside& outside) const {
  std::size_t records = 0;
  std::set<Mark> patients;
  for (std::size_t i = 0; i < outside.records.size(); ++i) {
    const auto known = people_.find(outside.patient_of[i]);
    const bool trains = known != people_.end() && (known->second.part == kTraining || known->second.part == kUnknown);
    if (!trains && !records_.contains(outside.records[i])) continue;
    ++records;
    patients.insert(outside.patient_of[i]);
  }
  return {records, patients.size()};
}

Result<void> LockedBook::claim_outside(const Outside& outside) {
  std::set<Mark> fresh;
  for (const Mark& m : outside.patient_of) {
    if (!people_.contains(m)) fresh.insert(m);
  }
  return write_people("", kOutside, fresh);
}

std::size_t LockedBook::training_among(const std::set<Mark>& patients) const {
  return static_cast<std::size_t>(std::ranges::count_if(patients, [&](const Mark& m) {
    const auto known = people_.find(m);
    return known != people_.end() && known->second.part == kTraining;
  }));
}

audit::Spent LockedBook::elsewhere(const std::string& budget, const Digest& own_log) const {
  audit::Spent out;
  for (const auto& [log, known] : logs_) {
    const auto part = known.spent.find(budget);
    if (log != own_log && part != known.spent.end()) out.add(part->second);
  }
  return out;
}

audit::Spent LockedBook::spent_by(const std::string& budget, const Digest& log) const {
  const auto known = logs_.find(log);
  if (known == logs_.end()) return {};
  const auto part = known->second.spent.find(budget);
  return part == known->second.spent.end() ? audit::Spent() : part->second;
}

std::optional<audit::TreeHead> LockedBook::seen(const Digest& log) const {
  const auto known = logs_.find(log);
  return known == logs_.end() ? std::nullopt : std::optional(known->second.head);
}

std::set<std::string> LockedBook::budgets_of(const Digest& log) const {
  std::set<std::string> out;
  const auto known = logs_.find(log);
  if (known == logs_.end()) return out;
  for (const auto& [budget, spent] : known->second.spent) out.insert(budget);
  return out;
}

Result<void> LockedBook::check_continues(const audit::LogImage& log, const std::string& path) const {
  const auto known = logs_.find(log.id());
  if (known == logs_.end()) return {};
  const audit::TreeHead& seen = known->second.head;
  const std::string next =
      " This folder is an older copy (a backup, a snapshot, a copied folder), or a copy of it went on; what was spent stays "
      "spent. Put the newest copy of the folder back, or begin anew in another folder";
  if (log.tree.size() < seen.size)
    return refused("'" + path + "' has " + entries(log.tree.size()) + ", and the book of patients '" + folder_ +
                   "' has seen " + std::to_string(seen.size) + " of it." + next);
  if (seen.size > 0 && log.tree.root_at(seen.size) != seen.root)
    return refused("'" + path + "' has " + entries(log.tree.size()) + ", of which the first " + std::to_string(seen.size) +
                   " are not those that the book of patients '" + folder_ + "' has seen." + next);
  return {};
}

std::uint64_t LockedBook::steps_told(const Digest& log, const RunId& run) const {
  const auto known = logs_.find(log);
  if (known == logs_.end()) return 0;
  const auto at = known->second.steps.find(run);
  return at == known->second.steps.end() ? 0 : at->second;
}

Result<void> LockedBook::write_spent(const std::string& budget, const audit::LogImage& log, const audit::Spent& spent) {
  const audit::Spent all = joined(spent_by(budget, log.id()), spent);
  return write(audit::LogSpent{budget, log.id(), log.tree.size(), log.tree.root(), all.without_privacy ? 1U : 0U, all.events,
                               all.own_share});
}

Result<void> LockedBook::take_patients(const std::string& budget, const std::set<Mark>& patients) {
  return write_people(budget, kUnknown, patients);
}

Result<void> LockedBook::take_spent(const std::string& budget, const Digest& log, const audit::Spent& spent) {
  return write(audit::LogSpent{budget, log, 0, {}, spent.without_privacy ? 1U : 0U, spent.events, spent.own_share});
}

Result<void> LockedBook::write_seen(const audit::LogImage& log, const RunId& run, std::uint64_t steps) {
  const auto known = logs_.find(log.id());
  const bool news = known == logs_.end() || known->second.head.size != log.tree.size() || steps > steps_told(log.id(), run);
  return news ? write(audit::LogSeen{log.id(), log.tree.size(), log.tree.root(), run, steps}) : Result<void>();
}

}  // namespace sotto::client
