#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

namespace sotto::store {
namespace {

constexpr int kBusyTimeoutMs = 5000;

struct Closer {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using Handle = std::unique_ptr<sqlite3, Closer>;
struct Finalizer {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

// kInvalid: the file is damaged or of another kind; kUnavailable: it may be another time (locked, disk full).
Error error_of(sqlite3* db, const std::string& path) {
  const int code = sqlite3_errcode(db);
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return {damaged ? ErrorCode::kInvalid : ErrorCode::kUnavailable,
          "index '" + path + "': " + sqlite3_errmsg(db) +
              "; if it stays so, stop 'sotto-coordinator serve' and delete the file: it is rebuilt from the log"};
}

int bind(sqlite3_stmt* statement, int place, const Value& value) {
  if (const auto* v = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(statement, place, *v);
  if (const auto* v = std::get_if<double>(&value)) return sqlite3_bind_double(statement, place, *v);
  if (const auto* v = std::get_if<std::string>(&value))
    return sqlite3_bind_text(statement, place, v->data(), static_cast<int>(v->size()), SQLITE_STATIC);
  return sqlite3_bind_null(statement, place);
}

Value column(sqlite3_stmt* statement, int place) {
  switch (sqlite3_column_type(statement, place)) {
    case SQLITE_INTEGER: return std::int64_t{sqlite3_column_int64(statement, place)};
    case SQLITE_FLOAT: return sqlite3_column_double(statement, place);
    case SQLITE_NULL: return nullptr;
    default: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, place));
      return std::string(bytes == nullptr ? "" : bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement, place)));
    }
  }
}

}  // namespace

std::int64_t Row::integer(std::size_t column) const {
  const Value& value = values_.at(column);
  if (std::holds_alternative<std::nullptr_t>(value)) return 0;
  SOTTO_CHECK(std::holds_alternative<std::int64_t>(value));
  return std::get<std::int64_t>(value);
}

double Row::real(std::size_t column) const {
  const Value& value = values_.at(column);
  if (std::holds_alternative<std::nullptr_t>(value)) return 0;
  if (const auto* v = std::get_if<std::int64_t>(&value)) return static_cast<double>(*v);
  SOTTO_CHECK(std::holds_alternative<double>(value));
  return std::get<double>(value);
}

std::string Row::text(std::size_t column) const {
  const Value& value = values_.at(column);
  if (std::holds_alternative<std::nullptr_t>(value)) return {};
  SOTTO_CHECK(std::holds_alternative<std::string>(value));
  return std::get<std::string>(value);
}

struct Database::State {
  Handle db;
  std::string path;

  static Result<std::unique_ptr<State>> open(const std::string& path, int flags) {
    sqlite3* raw = nullptr;
    const int rc = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
    auto state = std::make_unique<State>(State{Handle(raw), path});
    if (raw == nullptr) throw Failure("sqlite: no memory");
    if (rc != SQLITE_OK) return error_of(raw, path);
    sqlite3_busy_timeout(raw, kBusyTimeoutMs);
    return state;
  }

  Result<std::vector<Row>> run(std::string_view sql, const std::vector<Value>& values) const {
    sqlite3_stmt* raw = nullptr;
    if (const int rc = sqlite3_prepare_v2(db.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
        rc != SQLITE_OK) {
      if (rc == SQLITE_ERROR) throw Failure("sqlite: " + std::string(sqlite3_errmsg(db.get())) + " in: " + std::string(sql));
      return error_of(db.get(), path);
    }
    const Statement statement(raw);
    SOTTO_CHECK(sqlite3_bind_parameter_count(raw) == static_cast<int>(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i)
      if (bind(raw, static_cast<int>(i) + 1, values[i]) != SQLITE_OK) throw Failure("sqlite: cannot bind a value");
    std::vector<Row> rows;
    for (;;) {
      const int rc = sqlite3_step(raw);
      if (rc == SQLITE_DONE) return rows;
      if (rc != SQLITE_ROW) return error_of(db.get(), path);
      std::vector<Value> row;
      for (int i = 0; i < sqlite3_column_count(raw); ++i) row.push_back(column(raw, i));
      rows.emplace_back(std::move(row));
    }
  }
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::string& path) {
  // SQLite would make it readable by all; its other files take the mode of this one.
  const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (made < 0) return unavailable("cannot open the index '" + path + "': " + std::strerror(errno));
  ::fchmod(made, 0600);
  ::close(made);
  SOTTO_TRY(auto state, State::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  Database database(std::move(state));
  // Readers go on while one process writes. The file is an index that can be rebuilt: it need not survive a power cut.
  SOTTO_TRY_VOID(database.execute("PRAGMA journal_mode = WAL"));
  SOTTO_TRY_VOID(database.execute("PRAGMA synchronous = NORMAL"));
  return database;
}

Result<Database> Database::open_read_only(const std::string& path) {
  // A reader of a write-ahead log needs write access to its shared memory, hence not SQLITE_OPEN_READONLY.
  SOTTO_TRY(auto state, State::open(path, SQLITE_OPEN_READWRITE));
  Database database(std::move(state));
  SOTTO_TRY_VOID(database.execute("PRAGMA query_only = ON"));
  return database;
}

Result<void> Database::execute(std::string_view sql, const std::vector<Value>& values) {
  SOTTO_TRY([[maybe_unused]] const auto rows, state_->run(sql, values));
  return {};
}

Result<std::vector<Row>> Database::query(std::string_view sql, const std::vector<Value>& values) const {
  return state_->run(sql, values);
}

Result<Database::Transaction> Database::begin() {
  SOTTO_TRY_VOID(execute("BEGIN IMMEDIATE"));
  return Transaction(*this);
}

Database::Transaction::~Transaction() {
  if (database_ != nullptr) static_cast<void>(database_->execute("ROLLBACK"));
}

Result<void> Database::Transaction::commit() {
  SOTTO_CHECK(database_ != nullptr);
  SOTTO_TRY_VOID(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace sotto::store
