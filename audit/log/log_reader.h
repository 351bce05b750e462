// Reading event logs, strictly: every record's frame, number, hash, link to the one before, and time (docs/ledger-format.md
// has the grammar). A log is one file, or a live file `PATH` after closed segments PATH.000000, PATH.000001, ..: their
// records in that order are one sequence, and their concatenation, without the later files' first words, is the same log as
// one file. LogChecker is the one place that judges a record; it keeps O(log n) hashes, so a log of any length is verified
// in bounded memory. Input of any kind is safe to give.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audit/log/log_format.h"
#include "audit/log/merkle.h"
#include "base/files.h"

namespace sotto::audit {

using Time = std::chrono::sys_seconds;
std::string iso_time(Time time);  // "2026-11-23T18:40:00Z"

constexpr std::string_view kLogMagic = "sotto/log/1\n";
constexpr std::uint32_t kMaxRecordBody = 1U << 24;  // bytes
constexpr Time kFirstTime{};
constexpr Time kLastTime{std::chrono::seconds(253402300799)};  // the end of year 9999

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
// Length, its complement, body, hash: the record as it stands in a file.
Bytes frame_of(const Record& record);
// {"index", "time", "type", "hash", "event": {..}}
Result<Json> to_json(const Record& record);

// What a log holds. Whoever reads a long log piece by piece leaves `records` empty: id() and head() need the tree alone.
struct LogImage {
  std::vector<Record> records;
  MerkleTree tree;

  Digest id() const;  // hash of record 0, which names the log; a broken invariant when there is none
  TreeHead head() const { return {tree.size(), tree.root()}; }
};

// The first entry that does not fit, and why. `entry` is the number of entries before it.
struct LogDamage {
  std::uint64_t entry = 0;
  std::string why;
  bool torn = false;  // the file ends inside this entry (or in zeros), and everything before fits
};

// A record in place: `payload` views the reader's buffer and is gone with the next record.
struct RecordView {
  std::uint64_t index = 0;
  EventType type{};
  Time time{};
  ByteSpan payload;
  Digest previous{};
  Digest hash{};
};

// What is known of the records so far; enough to judge the next one and to give the root.
class LogChecker {
 public:
  struct Step {
    std::size_t bytes = 0;            // of the record in the file; 0: damaged, or more bytes are needed
    bool more = false;                // `rest` ends inside the record
    std::optional<LogDamage> damage;  // never a torn tail: only the caller knows where the file ends
    RecordView record;                // when bytes > 0
  };
  // The record at the front of `rest`, which is not empty.
  Step next(ByteSpan rest);

  std::uint64_t size() const { return root_.size(); }
  TreeHead head() const { return {root_.size(), root_.root()}; }
  const Digest& id() const { return id_; }  // zeros before record 0
  Time last_time() const { return last_time_; }

 private:
  MerkleRoot root_;
  Digest id_{};
  Digest previous_{};
  Time last_time_ = kFirstTime;
};

struct ParsedLog {
  LogImage image;                   // the entries before the damage
  std::uint64_t valid_bytes = 0;    // where they end
  std::optional<LogDamage> damage;  // none: the whole file fits
};

// Never fails: what does not fit is described.
ParsedLog parse_log(ByteSpan file);
// The bytes of the whole log: closed segments and the live file as one. Fails when a file cannot be read or does not begin
// as a log.
Result<Bytes> read_log_bytes(const std::string& path);
// Fails with file and entry number on any damage.
Result<LogImage> read_log(const std::string& path);

// "PATH.000007"; and how many closed segments there are.
std::string segment_file(const std::string& path, std::size_t segment);
std::size_t count_segments(const std::string& path);

// A whole log, verified record by record in bounded memory.
struct LogSummary {
  Digest id{};
  TreeHead head;
  std::uint64_t bytes = 0;
  std::size_t files = 0;
  Time first_time{};
  Time last_time{};
  std::optional<LogDamage> damage;  // the head is then that of the entries before it
  std::string damaged_file;
};
// `on_record` is told of each good record and may find damage of its own (an event that does not decode, say). Fails only
// when a file cannot be read.
using OnRecord = std::function<std::optional<LogDamage>(const RecordView&)>;
Result<LogSummary> scan_log(const std::string& path, const OnRecord& on_record = {});
// The same for one file, whatever lies beside it.
Result<LogSummary> scan_log_file(const std::string& path, const OnRecord& on_record = {});

}  // namespace sotto::audit
