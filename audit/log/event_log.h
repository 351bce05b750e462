// The append-only event log: one writer, fsync before append returns. Every record carries the hash of the one before it (a
// chain) and its own; the same hashes are the leaves of a Merkle tree whose root the log's owner signs (signed_head.h). When
// the live file has grown beyond a limit it is closed under a number and a new one begins (log_reader.h). Opening cuts a
// torn tail that a crash left and says so; anything else that does not fit is an Error that names the first bad entry.
// EventLog is used by one thread; a second writer is refused by a lock beside the file. Times are given by the caller, in
// whole seconds.
#pragma once

#include <string>

#include "audit/log/log_reader.h"
#include "audit/log/sealed_event.h"

namespace sotto::audit {

struct LogOptions {
  std::uint64_t segment_bytes = 64U << 20;  // the live file is closed when it has reached this
};

class EventLog {
 public:
  // Opens or makes the file. Refused while another process (or object) has it open.
  static Result<EventLog> open(const std::string& path, const LogOptions& options = {});
  EventLog(EventLog&&) noexcept;
  EventLog& operator=(EventLog&&) noexcept;
  ~EventLog();

  // The event is on disk when this returns its record's index. After a failed write the object refuses every further append:
  // reopen the log.
  Result<std::uint64_t> append(const Event& event, Time now);
  // The same for an event that only the key's holder may read: a Sealed in its place. Not for record 0, nor for what the
  // ledger or verify has to read (may_be_sealed).
  Result<std::uint64_t> append_sealed(const Event& event, const LogKey& key, RandomSource& random, Time now);

  const LogImage& image() const { return image_; }
  std::uint64_t size() const { return image_.records.size(); }
  Digest root() const { return image_.tree.root(); }
  const std::string& path() const { return path_; }
  // Decodes record `index`; the log holds only what decodes, so this cannot fail.
  Event event(std::uint64_t index) const;
  // What opening cut from the end, as a sentence; empty when nothing was.
  const std::string& recovered() const { return recovered_; }

 private:
  EventLog(std::string path, FileLock lock, int fd, const LogOptions& options);
  Result<void> take(const Bytes& closed, const Bytes& live);
  Result<void> rotate();
  std::string path_;
  FileLock lock_;
  int fd_;
  LogOptions options_;
  LogImage image_;
  std::uint64_t live_bytes_ = 0;
  std::string recovered_;
  bool failed_ = false;
};

}  // namespace sotto::audit
