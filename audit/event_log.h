// The append-only event log: one file, one writer, fsync before append returns. Every record carries the hash of the one
// before it (a chain) and its own; the same hashes are the leaves of a Merkle tree whose root the log's owner signs
// (signed_head.h). docs/ledger-format.md has the grammar of the file. Opening cuts a torn tail that a crash left and says
// so; anything else that does not fit is an Error that names the first bad entry. EventLog is used by one thread; a second
// writer is refused by a lock on the file. Times are given by the caller, in whole seconds.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "audit/log_format.h"
#include "audit/merkle.h"
#include "base/files.h"

namespace sotto::audit {

using Time = std::chrono::sys_seconds;
std::string iso_time(Time time);  // "2026-11-23T18:40:00Z"

struct Record {
  std::uint64_t index = 0;
  EventType type{};
  Time time{};
  Bytes payload;      // encode(Event)
  Digest previous{};  // hash of record index - 1; zero for record 0
  Digest hash{};      // leaf_hash(body_of(record)): covers every field above
  bool operator==(const Record&) const = default;
};

// index, type, time, payload, previous: the bytes that `hash` covers.
Bytes body_of(const Record& record);
// {"index", "time", "type", "hash", "event": {..}}
Result<Json> to_json(const Record& record);

// What a file holds, read-only and strict: a torn tail is damage too. For auditing copies.
struct LogImage {
  std::vector<Record> records;
  MerkleTree tree;

  Digest id() const;  // hash of record 0, which names the log; a broken invariant when empty
  TreeHead head() const { return {tree.size(), tree.root()}; }
};

// The first entry that does not fit, and why. `entry` is the number of entries before it.
struct LogDamage {
  std::uint64_t entry = 0;
  std::string why;
  bool torn = false;  // the file ends inside this entry (or in zeros), and everything before fits
};

struct ParsedLog {
  LogImage image;                   // the entries before the damage
  std::uint64_t valid_bytes = 0;    // where they end
  std::optional<LogDamage> damage;  // none: the whole file fits
};

// Never fails: what does not fit is described. Input of any kind is safe to give.
ParsedLog parse_log(ByteSpan file);
// Fails with file and entry number on any damage.
Result<LogImage> read_log(const std::string& path);

class EventLog {
 public:
  // Opens or makes the file. Refused while another process (or object) has it open.
  static Result<EventLog> open(const std::string& path);
  EventLog(EventLog&&) noexcept;
  EventLog& operator=(EventLog&&) noexcept;
  ~EventLog();

  // The event is on disk when this returns its record's index. After a failed write the object refuses every further append:
  // reopen the log.
  Result<std::uint64_t> append(const Event& event, Time now);

  const LogImage& image() const { return image_; }
  std::uint64_t size() const { return image_.records.size(); }
  Digest root() const { return image_.tree.root(); }
  const std::string& path() const { return path_; }
  // Decodes record `index`; the log holds only what decodes, so this cannot fail.
  Event event(std::uint64_t index) const;
  // What opening cut from the end, as a sentence; empty when nothing was.
  const std::string& recovered() const { return recovered_; }

 private:
  EventLog(std::string path, FileLock lock, int fd);
  std::string path_;
  FileLock lock_;
  int fd_;
  LogImage image_;
  std::string recovered_;
  bool failed_ = false;
};

}  // namespace sotto::audit
