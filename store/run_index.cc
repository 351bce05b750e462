#include "store/run_index.h"

#include <unistd.h>

#include "base/log.h"

namespace sotto::store {
namespace {

constexpr std::int64_t kVersion = 1;

constexpr std::string_view kTables[] = {
    "CREATE TABLE position (id INTEGER PRIMARY KEY CHECK (id = 1), log TEXT, entries INTEGER)",
    "CREATE TABLE site (name TEXT PRIMARY KEY, fingerprint TEXT, declared_size INTEGER)",
    "CREATE TABLE run (position INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT UNIQUE, state TEXT, detail TEXT, rounds "
    "INTEGER, "
    "rounds_done INTEGER, rounds_void INTEGER, phase TEXT, attempt INTEGER, adapter TEXT, submitted INTEGER, started "
    "INTEGER, "
    "finished INTEGER, bytes_up INTEGER, bytes_down INTEGER)",
    "CREATE TABLE round (run TEXT, round INTEGER, attempts INTEGER, state TEXT, survivors TEXT, detail TEXT, adapter TEXT, "
    "opened INTEGER, closed INTEGER, PRIMARY KEY (run, round))",
};

constexpr const char* kRunColumns =
    "run, state, detail, rounds, rounds_done, rounds_void, phase, attempt, adapter, submitted, started, finished, bytes_up, "
    "bytes_down";

RunRow run_row(const Row& r) {
  return {r.text(0),    r.text(1), r.text(2),    r.integer(3),  r.integer(4),  r.integer(5),  r.text(6),
          r.integer(7), r.text(8), r.integer(9), r.integer(10), r.integer(11), r.integer(12), r.integer(13)};
}

Result<std::int64_t> version_of(const Database& database) {
  SOTTO_TRY(const auto rows, database.query("PRAGMA user_version"));
  return rows.at(0).integer(0);
}

}  // namespace

Result<Database> RunIndex::open_tables(const std::string& path) {
  SOTTO_TRY(auto database, Database::open(path));
  SOTTO_TRY(const auto sound, database.query("PRAGMA quick_check(1)"));
  if (sound.empty() || sound[0].text(0) != "ok") return invalid("index '" + path + "' is damaged");
  SOTTO_TRY(const auto version, version_of(database));
  if (version == kVersion) return database;
  SOTTO_TRY(auto transaction, database.begin());
  for (const char* table : {"position", "site", "run", "round"})
    SOTTO_TRY_VOID(database.execute("DROP TABLE IF EXISTS " + std::string(table)));
  for (const auto table : kTables) SOTTO_TRY_VOID(database.execute(table));
  SOTTO_TRY_VOID(database.execute("PRAGMA user_version = " + std::to_string(kVersion)));
  SOTTO_TRY_VOID(transaction.commit());
  return database;
}

Result<RunIndex> RunIndex::open(const std::string& path) {
  auto database = open_tables(path);
  if (!database.ok() && database.error().code == ErrorCode::kInvalid) {
    // Nothing in it is not in the log: it begins anew, at position 0, and is filled again from there.
    log(Level::kWarning, "index_rebuilt", {{"why", database.error().message}});
    for (const char* file : {"", "-wal", "-shm"}) ::unlink((path + file).c_str());
    database = open_tables(path);
  }
  if (!database.ok()) return database.error();
  return RunIndex(std::move(database).value());
}

Result<RunIndex> RunIndex::open_read_only(const std::string& path) {
  SOTTO_TRY(auto database, Database::open_read_only(path));
  SOTTO_TRY(const auto version, version_of(database));
  if (version != kVersion)
    return invalid("index '" + path + "' is of version " + std::to_string(version) + ", this program reads " +
                   std::to_string(kVersion) + "; start 'sotto-coordinator serve' once, which rebuilds it");
  return RunIndex(std::move(database));
}

Result<RunIndex::Position> RunIndex::position() const {
  SOTTO_TRY(const auto rows, database_.query("SELECT log, entries FROM position"));
  if (rows.empty()) return Position{};
  return Position{rows[0].text(0), rows[0].integer(1)};
}

Result<void> RunIndex::set_position(const Position& position) {
  return database_.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?)", {position.log, position.entries});
}

Result<void> RunIndex::clear() {
  for (const char* table : {"position", "site", "run", "round"})
    SOTTO_TRY_VOID(database_.execute("DELETE FROM " + std::string(table)));
  return {};
}

Result<void> RunIndex::put(const SiteRow& row) {
  return database_.execute("INSERT OR REPLACE INTO site VALUES (?, ?, ?)", {row.name, row.fingerprint, row.declared_size});
}

// An update keeps the row's place in the order of submission.
Result<void> RunIndex::put(const RunRow& row) {
  return database_.execute(
      "INSERT INTO run (" + std::string(kRunColumns) +
          ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET state = excluded.state, "
          "detail = excluded.detail, rounds = excluded.rounds, rounds_done = excluded.rounds_done, "
          "rounds_void = excluded.rounds_void, phase = excluded.phase, attempt = excluded.attempt, adapter = "
          "excluded.adapter, "
          "submitted = excluded.submitted, started = excluded.started, finished = excluded.finished, "
          "bytes_up = excluded.bytes_up, bytes_down = excluded.bytes_down",
      {row.run, row.state, row.detail, row.rounds, row.rounds_done, row.rounds_void, row.phase, row.attempt, row.adapter,
       row.submitted, row.started, row.finished, row.bytes_up, row.bytes_down});
}

Result<void> RunIndex::put(const RoundRow& row) {
  return database_.execute(
      "INSERT OR REPLACE INTO round VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {row.run, row.round, row.attempts, row.state, row.survivors, row.detail, row.adapter, row.opened, row.closed});
}

Result<std::vector<SiteRow>> RunIndex::sites() const {
  SOTTO_TRY(const auto rows, database_.query("SELECT name, fingerprint, declared_size FROM site ORDER BY name"));
  std::vector<SiteRow> out;
  for (const auto& r : rows) out.push_back({r.text(0), r.text(1), r.integer(2)});
  return out;
}

Result<std::vector<RunRow>> RunIndex::runs() const {
  SOTTO_TRY(const auto rows, database_.query("SELECT " + std::string(kRunColumns) + " FROM run ORDER BY position"));
  std::vector<RunRow> out;
  for (const auto& r : rows) out.push_back(run_row(r));
  return out;
}

Result<RunRow> RunIndex::run(const std::string& name) const {
  SOTTO_TRY(const auto rows, database_.query("SELECT " + std::string(kRunColumns) + " FROM run WHERE run = ?", {name}));
  if (rows.empty()) return not_found("there is no run '" + name + "' here; 'sotto-coordinator runs' lists them");
  return run_row(rows[0]);
}

Result<std::vector<RoundRow>> RunIndex::rounds(const std::string& run) const {
  SOTTO_TRY(
      const auto rows,
      database_.query("SELECT run, round, attempts, state, survivors, detail, adapter, opened, closed FROM round WHERE run "
                      "= ? ORDER BY round",
                      {run}));
  std::vector<RoundRow> out;
  for (const auto& r : rows)
    out.push_back(
        {r.text(0), r.integer(1), r.integer(2), r.text(3), r.text(4), r.text(5), r.text(6), r.integer(7), r.integer(8)});
  return out;
}

}  // namespace sotto::store
