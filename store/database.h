// A thin wrapper of SQLite: a database file that one process writes while others read (write-ahead log), and statements that
// are prepared, bound and read by column. One object belongs to one thread. A file that is damaged, locked or of another
// kind is an Error; wrong SQL is a Failure, because all SQL is ours.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"

namespace sotto::store {

using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string>;

class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
  // By column, from 0; another type than the column's is a broken invariant. NULL reads as 0 and "".
  std::int64_t integer(std::size_t column) const;
  double real(std::size_t column) const;
  std::string text(std::size_t column) const;

 private:
  std::vector<Value> values_;
};

class Database {
 public:
  // Opens for writing and makes the file if there is none.
  static Result<Database> open(const std::string& path);
  // Opens for reading while another process writes.
  static Result<Database> open_read_only(const std::string& path);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // One statement; `values` fill its question marks in order.
  Result<void> execute(std::string_view sql, const std::vector<Value>& values = {});
  Result<std::vector<Row>> query(std::string_view sql, const std::vector<Value>& values = {}) const;

  // All statements until commit() take effect together, or none. The destructor rolls back what was not committed.
  class Transaction {
   public:
    explicit Transaction(Database& database) : database_(&database) {}
    Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();
    Result<void> commit();

   private:
    Database* database_;
  };
  Result<Transaction> begin();

 private:
  struct State;
  explicit Database(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::store
