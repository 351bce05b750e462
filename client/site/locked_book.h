// A site's book of patients while its lock is held: what it says, and what may be added to it. Its log is read whole and held
// against its head when the lock is taken. Adding never lowers what was spent. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/site/patient_book.h"

namespace sotto::client {

// Marks of patients and records (PatientBook).
struct People {
  std::set<Mark> training;
  std::set<Mark> held_out;
  std::set<Mark> records;  // of those who train
};
struct Outside {
  std::vector<Mark> records;
  std::vector<Mark> patient_of;  // one for each record
};

class LockedBook {
 public:
  static Result<LockedBook> open(const PatientBook& book, FileLock lock);

  // These patients belong to `budget` from now on, in these parts. A patient has one budget, and is held out or trains, for
  // good: refused otherwise, and nothing is written; the message tells how many, on the site's own terminal, and no id.
  Result<void> claim(const std::string& budget, const People& people);
  // How many of these records, of how many patients, are of patients who train under this book's promise, by the patient or by
  // what the record holds. Of a patient whose part is unknown, too.
  std::pair<std::size_t, std::size_t> protected_in(const Outside& outside) const;
  // The patients of such records never train.
  Result<void> claim_outside(const Outside& outside);
  // How many of the patients train.
  std::size_t training_among(const std::set<Mark>& patients) const;

  // What all logs but `own_log` have spent of the budget, and what `own_log` has, as far as the book knows.
  audit::Spent elsewhere(const std::string& budget, const Digest& own_log) const;
  audit::Spent spent_by(const std::string& budget, const Digest& log) const;
  // How far the book has seen the log; size 0: it knows of its spending alone (version 1). None: it does not know the log.
  std::optional<audit::TreeHead> seen(const Digest& log) const;
  std::set<std::string> budgets_of(const Digest& log) const;
  // Refused when the log at `path` is not the one that the book has seen, continued.
  Result<void> check_continues(const audit::LogImage& log, const std::string& path) const;
  // Steps of the run whose result has left the process; 0: none that the book was told of.
  std::uint64_t steps_told(const Digest& log, const RunId& run) const;

  // All that the log spends of the budget from now on; what the book had and `spent` lacks is kept.
  Result<void> write_spent(const std::string& budget, const audit::LogImage& log, const audit::Spent& spent);
  // What a book of version 1 had: patients of a budget in unknown parts, and what a log had spent, whose length it did not know.
  Result<void> take_patients(const std::string& budget, const std::set<Mark>& patients);
  Result<void> take_spent(const std::string& budget, const Digest& log, const audit::Spent& spent);
  Result<void> write_seen(const audit::LogImage& log, const RunId& run = RunId(), std::uint64_t steps = 0);

  Digest id() const { return log_.image().id(); }
  const audit::LogImage& image() const { return log_.image(); }
  const std::string& folder() const { return folder_; }

 private:
  struct Person {
    std::string budget;
    std::string part;
  };
  struct KnownLog {
    audit::TreeHead head;
    std::map<std::string, audit::Spent> spent;  // by budget
    std::map<RunId, std::uint64_t> steps;
  };

  LockedBook(const PatientBook& book, FileLock lock, audit::EventLog log)
      : folder_(book.folder()), key_check_(book.key_check()), lock_(std::move(lock)), log_(std::move(log)) {}
  Result<void> begin();
  Result<void> replay();
  Result<void> check_head() const;
  Result<void> apply(const audit::Event& event);
  Result<void> write(const audit::Event& event);
  Result<void> write_head() const;
  Result<void> write_people(const std::string& budget, const std::string& part, const std::set<Mark>& marks);
  Result<void> check_parts(const std::string& budget, const People& people) const;
  std::string head_file() const { return folder_ + "/head.json"; }

  std::string folder_;
  Digest key_check_;
  FileLock lock_;
  audit::EventLog log_;
  std::map<Mark, Person> people_;
  std::set<Mark> records_;
  std::map<Digest, KnownLog> logs_;
};

}  // namespace sotto::client
