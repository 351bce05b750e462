// The coordinator's index of sites, runs, rounds and adapters, for the commands that only read while `serve` runs. The event
// log is the truth: the index says how many of the log's entries it has taken in, and is dropped and filled again when that
// does not fit. Times are whole seconds since 1970 (0: not yet). One object belongs to one thread.
#pragma once

#include <string>
#include <vector>

#include "store/database.h"

namespace sotto::store {

struct SiteRow {
  std::string name;
  std::string fingerprint;
  std::int64_t declared_size = 0;
  bool operator==(const SiteRow&) const = default;
};

struct RunRow {
  std::string run;
  std::string state;             // waiting, running, finished, refused, stopped
  std::string detail;            // a sentence for people: whom it waits for, why it was refused
  std::int64_t rounds = 0;       // of the plan
  std::int64_t rounds_done = 0;  // with a result or void
  std::int64_t rounds_void = 0;
  std::string phase;  // of the round in progress; empty when there is none
  std::int64_t attempt = 0;
  std::string adapter;  // SHA-256 of the newest adapter
  std::int64_t submitted = 0;
  std::int64_t started = 0;
  std::int64_t finished = 0;
  std::int64_t bytes_up = 0;    // from the sites, of this run
  std::int64_t bytes_down = 0;  // to the sites
  bool operator==(const RunRow&) const = default;
};

struct RoundRow {
  std::string run;
  std::int64_t round = 0;
  std::int64_t attempts = 0;
  std::string state;      // open, done, void
  std::string survivors;  // names, separated by spaces
  std::string detail;     // why void
  std::string adapter;    // SHA-256 of the adapter that it made
  std::int64_t opened = 0;
  std::int64_t closed = 0;
  bool operator==(const RoundRow&) const = default;
};

class RunIndex {
 public:
  // Makes the tables when the file has none. An index of another version, or one that is damaged, begins anew: it is filled again from
  // the log.
  static Result<RunIndex> open(const std::string& path);
  static Result<RunIndex> open_read_only(const std::string& path);

  // How far the log was taken in: its id (in hexadecimal) and number of entries.
  struct Position {
    std::string log;
    std::int64_t entries = 0;
    bool operator==(const Position&) const = default;
  };
  Result<Position> position() const;
  Result<void> set_position(const Position& position);
  Result<void> clear();
  // Groups puts, so that a rebuild is one write.
  Result<Database::Transaction> begin() { return database_.begin(); }

  Result<void> put(const SiteRow& row);  // adds or replaces, by key
  Result<void> put(const RunRow& row);
  Result<void> put(const RoundRow& row);

  Result<std::vector<SiteRow>> sites() const;                          // by name
  Result<std::vector<RunRow>> runs() const;                            // in order of submission
  Result<RunRow> run(const std::string& name) const;                   // kNotFound
  Result<std::vector<RoundRow>> rounds(const std::string& run) const;  // in order

 private:
  static Result<Database> open_tables(const std::string& path);
  explicit RunIndex(Database database) : database_(std::move(database)) {}
  Database database_;
};

}  // namespace sotto::store
