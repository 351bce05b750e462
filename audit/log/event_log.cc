#include "audit/log/event_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sotto::audit {
namespace {

Error log_error(const std::string& what, const std::string& path) {
  return unavailable(what + " '" + path + "': " + std::strerror(errno));
}

Result<void> write_all(int fd, ByteSpan bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return log_error("cannot write log", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return log_error("cannot sync folder", folder);
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  if (!synced) return log_error("cannot sync folder", folder);
  return {};
}

Result<int> open_live(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return log_error("cannot open log", path);
  return fd;
}

Error damage_error(const std::string& path, std::uint64_t entry, const std::string& why) {
  return invalid("log '" + path + "': entry " + std::to_string(entry) + " is bad: " + why);
}

// The closed segments as one log, without the live file; empty when there are none.
Result<Bytes> closed_bytes(const std::string& path) {
  Bytes out;
  for (std::size_t i = 0; i < count_segments(path); ++i) {
    SOTTO_TRY(const Bytes file, read_binary_file(segment_file(path, i)));
    const std::size_t skip = i == 0 ? 0 : std::min(file.size(), kLogMagic.size());
    out.insert(out.end(), file.begin() + static_cast<std::ptrdiff_t>(skip), file.end());
  }
  return out;
}

}  // namespace

EventLog::EventLog(std::string path, FileLock lock, int fd, const LogOptions& options)
    : path_(std::move(path)), lock_(std::move(lock)), fd_(fd), options_(options) {}

EventLog::EventLog(EventLog&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::move(other.lock_)),
      fd_(std::exchange(other.fd_, -1)),
      options_(other.options_),
      image_(std::move(other.image_)),
      live_bytes_(other.live_bytes_),
      recovered_(std::move(other.recovered_)),
      failed_(other.failed_) {}

EventLog& EventLog::operator=(EventLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  std::swap(fd_, other.fd_);
  std::swap(options_, other.options_);
  std::swap(image_, other.image_);
  std::swap(live_bytes_, other.live_bytes_);
  std::swap(recovered_, other.recovered_);
  std::swap(failed_, other.failed_);
  return *this;
}

EventLog::~EventLog() {
  if (fd_ >= 0) ::close(fd_);
}

Result<EventLog> EventLog::open(const std::string& path, const LogOptions& options) {
  const bool existed = file_exists(path);
  SOTTO_TRY(FileLock lock, FileLock::acquire(path + ".lock"));
  SOTTO_TRY(const int fd, open_live(path));
  EventLog log(path, std::move(lock), fd, options);
  SOTTO_TRY(const Bytes closed, closed_bytes(path));
  SOTTO_TRY(const Bytes live, read_binary_file(path));
  SOTTO_TRY_VOID(log.take(closed, live));
  if (!existed) SOTTO_TRY_VOID(sync_folder_of(path));
  return log;
}

// What the files hold becomes the log's state; the live file's torn tail is cut.
Result<void> EventLog::take(const Bytes& closed, const Bytes& live) {
  const std::size_t magic = std::min(live.size(), kLogMagic.size());
  if (!closed.empty()) {
    const ParsedLog before = parse_log(closed);  // a closed segment is whole: whatever does not fit in one is damage
    if (before.damage) return damage_error(path_, before.damage->entry, before.damage->why);
  }
  const ParsedLog head = parse_log(ByteSpan(live).first(magic));
  if (head.damage && !head.damage->torn) return damage_error(path_, head.damage->entry, head.damage->why);
  Bytes whole = closed;
  whole.insert(whole.end(), live.begin() + static_cast<std::ptrdiff_t>(closed.empty() ? 0 : magic), live.end());
  ParsedLog parsed = parse_log(whole);
  if (parsed.damage && !parsed.damage->torn) return damage_error(path_, parsed.damage->entry, parsed.damage->why);
  for (const Record& record : parsed.image.records) {
    const auto event = decode_event(record.type, record.payload);
    if (!event.ok()) return damage_error(path_, record.index, event.error().message);
  }
  const std::size_t cut = magic < kLogMagic.size() ? live.size() : whole.size() - parsed.valid_bytes;
  live_bytes_ = live.size() - cut;
  if (cut > 0) {
    if (::ftruncate(fd_, static_cast<off_t>(live_bytes_)) != 0 || ::fsync(fd_) != 0)
      return log_error("cannot cut log", path_);
    recovered_ = "log '" + path_ + "': cut " + std::to_string(cut) + " bytes of an unfinished entry " +
                 std::to_string(parsed.image.records.size()) + " that a crash left";
  }
  image_ = std::move(parsed.image);
  if (live_bytes_ > 0) return {};
  SOTTO_TRY_VOID(write_all(fd_, as_bytes(kLogMagic), path_));
  if (::fsync(fd_) != 0) return log_error("cannot sync log", path_);
  live_bytes_ = kLogMagic.size();
  return {};
}

// The live file gets a number and a new one begins. A crash between the two leaves no live file, which open() makes.
Result<void> EventLog::rotate() {
  const std::string closed = segment_file(path_, count_segments(path_));
  if (std::rename(path_.c_str(), closed.c_str()) != 0) return log_error("cannot close log", path_);
  ::close(std::exchange(fd_, -1));
  SOTTO_TRY(fd_, open_live(path_));
  SOTTO_TRY_VOID(write_all(fd_, as_bytes(kLogMagic), path_));
  if (::fsync(fd_) != 0) return log_error("cannot sync log", path_);
  live_bytes_ = kLogMagic.size();
  return sync_folder_of(path_);
}

Result<std::uint64_t> EventLog::append(const Event& event, Time now) {
  SOTTO_CHECK(!may_be_sealed(type_of(event)));  // what is a function of patients' data never stands bare in a log
  if (failed_)
    return refused("log '" + path_ +
                   "': an earlier write failed, and nobody knows how much of it reached the disk; open it anew");
  Record record;
  record.index = size();
  record.type = type_of(event);
  record.payload = encode(event);
  record.previous = record.index == 0 ? Digest{} : image_.records.back().hash;
  // A clock that was set back must not make the log unreadable.
  record.time = std::clamp(now, record.index == 0 ? kFirstTime : image_.records.back().time, kLastTime);
  record.hash = leaf_hash(body_of(record));
  failed_ = true;  // until the write is known to have reached the disk
  if (live_bytes_ >= options_.segment_bytes) SOTTO_TRY_VOID(rotate());
  const Bytes frame = frame_of(record);
  if (const auto written = write_all(fd_, frame, path_); !written.ok()) {
    // A full disk: what was written of the entry is cut, and the same entry may be tried again.
    failed_ = ::ftruncate(fd_, static_cast<off_t>(live_bytes_)) != 0;
    return written.error();
  }
  if (::fsync(fd_) != 0) return log_error("cannot sync log", path_);
  failed_ = false;
  live_bytes_ += frame.size();
  image_.tree.append(record.hash);
  image_.records.push_back(std::move(record));
  return image_.records.back().index;
}

Result<std::uint64_t> EventLog::append_sealed(const Event& event, const LogKey& key, RandomSource& random, Time now) {
  SOTTO_CHECK(size() > 0);
  if (!may_be_sealed(type_of(event))) {
    return refused(std::string("an entry '") + name_of(type_of(event)) + "' is not sealed: an auditor has to read it");
  }
  return append(seal_event(event, key, {image_.id(), size()}, random), now);
}

Event EventLog::event(std::uint64_t index) const {
  SOTTO_CHECK(index < size());
  const Record& record = image_.records[static_cast<std::size_t>(index)];
  auto event = decode_event(record.type, record.payload);
  SOTTO_CHECK(event.ok());
  return std::move(event).value();
}

}  // namespace sotto::audit
