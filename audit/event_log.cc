#include "audit/event_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sotto::audit {
namespace {

constexpr std::string_view kMagic = "sotto/log/1\n";
constexpr std::uint32_t kMaxBody = 1U << 24;
constexpr std::size_t kFrameHeader = 8;  // length, and its complement: a damaged length is not taken for a torn tail
constexpr std::size_t kHashSize = 32;
constexpr Time kFirstTime{};
constexpr Time kLastTime{std::chrono::seconds(253402300799)};  // the end of year 9999

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

Bytes frame_of(const Record& record) {
  const Bytes body = body_of(record);
  SOTTO_CHECK(body.size() <= kMaxBody);
  const auto length = static_cast<std::uint32_t>(body.size());
  return ByteWriter().u32(length).u32(~length).raw(body).raw(record.hash).take();
}

Result<Record> decode_body(ByteSpan body) {
  ByteReader in(body);
  Record record;
  record.index = in.u64();
  record.type = static_cast<EventType>(in.u16());
  record.time = Time(std::chrono::seconds(static_cast<std::int64_t>(in.u64())));
  record.payload = in.bytes();
  record.previous = in.digest();
  SOTTO_TRY_VOID(in.finish("record"));
  record.hash = leaf_hash(body);
  return record;
}

bool all_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

LogDamage torn(std::uint64_t entry) { return {entry, "the file ends inside this entry", true}; }
LogDamage bad(std::uint64_t entry, std::string why) { return {entry, std::move(why), false}; }

// One record from the front of `rest`, which is not empty: its size in the file, or what is wrong with it.
struct Step {
  std::size_t bytes = 0;
  std::optional<LogDamage> damage;
};
Step read_record(ByteSpan rest, LogImage& image) {
  const std::uint64_t index = image.records.size();
  // A crash can leave a file longer than what was written to it; the rest then reads as zeros.
  if (all_zero(rest)) return {0, torn(index)};
  if (rest.size() < kFrameHeader) return {0, torn(index)};
  ByteReader header(rest.first(kFrameHeader));
  const std::uint32_t length = header.u32();
  if (header.u32() != ~length) return {0, bad(index, "its length field is damaged")};
  if (length > kMaxBody) return {0, bad(index, "its length " + std::to_string(length) + " is beyond the limit")};
  const std::size_t whole = kFrameHeader + length + kHashSize;
  if (rest.size() < whole) return {0, torn(index)};
  auto record = decode_body(rest.subspan(kFrameHeader, length));
  const ByteSpan stored = rest.subspan(kFrameHeader + length, kHashSize);
  if (!record.ok()) return {0, bad(index, record.error().message)};
  if (!std::equal(stored.begin(), stored.end(), record->hash.begin())) {
    return {0, bad(index, "its content does not have the hash that stands with it")};
  }
  if (record->index != index) return {0, bad(index, "it is numbered " + std::to_string(record->index))};
  const Digest previous = index == 0 ? Digest{} : image.records.back().hash;
  if (record->previous != previous) return {0, bad(index, "it does not carry the hash of the entry before it")};
  if (record->time < kFirstTime || record->time > kLastTime) return {0, bad(index, "its time is not a date")};
  if (index > 0 && record->time < image.records.back().time) return {0, bad(index, "it is older than the entry before it")};
  image.tree.append(record->hash);
  image.records.push_back(std::move(record).value());
  return {whole, std::nullopt};
}

Error damage_error(const std::string& path, const LogDamage& damage) {
  return invalid("log '" + path + "': entry " + std::to_string(damage.entry) + " is bad: " + damage.why);
}

}  // namespace

std::string iso_time(Time t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(t - day);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

Result<Json> to_json(const Record& record) {
  SOTTO_TRY(const Event event, decode_event(record.type, record.payload));
  return Json::object({{"index", record.index},
                       {"time", iso_time(record.time)},
                       {"type", name_of(record.type)},
                       {"hash", to_hex(record.hash)},
                       {"event", to_json(event)}});
}

Bytes body_of(const Record& record) {
  return ByteWriter()
      .u64(record.index)
      .u16(static_cast<std::uint16_t>(record.type))
      .u64(static_cast<std::uint64_t>(record.time.time_since_epoch().count()))
      .bytes(record.payload)
      .raw(record.previous)
      .take();
}

Digest LogImage::id() const {
  SOTTO_CHECK(!records.empty());
  return records.front().hash;
}

ParsedLog parse_log(ByteSpan file) {
  ParsedLog out;
  const ByteSpan magic = as_bytes(kMagic);
  const std::size_t shown = std::min(file.size(), magic.size());
  if (!std::equal(magic.begin(), magic.begin() + static_cast<std::ptrdiff_t>(shown), file.begin())) {
    out.damage = all_zero(file) ? torn(0) : bad(0, "the file does not start with the word of a Sotto log");
    return out;
  }
  if (shown < magic.size()) {
    if (!file.empty()) out.damage = torn(0);
    return out;
  }
  out.valid_bytes = magic.size();
  ByteSpan rest = file.subspan(magic.size());
  while (!rest.empty()) {
    Step step = read_record(rest, out.image);
    if (step.damage) {
      out.damage = std::move(step.damage);
      return out;
    }
    out.valid_bytes += step.bytes;
    rest = rest.subspan(step.bytes);
  }
  return out;
}

Result<LogImage> read_log(const std::string& path) {
  SOTTO_TRY(const Bytes file, read_binary_file(path));
  ParsedLog parsed = parse_log(file);
  if (parsed.damage) return damage_error(path, *parsed.damage);
  return std::move(parsed.image);
}

EventLog::EventLog(std::string path, FileLock lock, int fd) : path_(std::move(path)), lock_(std::move(lock)), fd_(fd) {}

EventLog::EventLog(EventLog&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::move(other.lock_)),
      fd_(std::exchange(other.fd_, -1)),
      image_(std::move(other.image_)),
      recovered_(std::move(other.recovered_)),
      failed_(other.failed_) {}

EventLog& EventLog::operator=(EventLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  std::swap(fd_, other.fd_);
  std::swap(image_, other.image_);
  std::swap(recovered_, other.recovered_);
  std::swap(failed_, other.failed_);
  return *this;
}

EventLog::~EventLog() {
  if (fd_ >= 0) ::close(fd_);
}

Result<EventLog> EventLog::open(const std::string& path) {
  const bool existed = file_exists(path);
  SOTTO_TRY(FileLock lock, FileLock::acquire(path));
  SOTTO_TRY(const Bytes file, read_binary_file(path));
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return log_error("cannot open log", path);
  EventLog log(path, std::move(lock), fd);
  ParsedLog parsed = parse_log(file);
  if (parsed.damage && !parsed.damage->torn) return damage_error(path, *parsed.damage);
  for (const Record& record : parsed.image.records) {
    auto event = decode_event(record.type, record.payload);
    if (!event.ok()) return damage_error(path, bad(record.index, event.error().message));
  }
  if (parsed.valid_bytes < file.size()) {
    if (::ftruncate(fd, static_cast<off_t>(parsed.valid_bytes)) != 0 || ::fsync(fd) != 0)
      return log_error("cannot cut log", path);
    log.recovered_ = "log '" + path + "': cut " + std::to_string(file.size() - parsed.valid_bytes) +
                     " bytes of an unfinished entry " + std::to_string(parsed.damage->entry) + " that a crash left";
  }
  log.image_ = std::move(parsed.image);
  if (parsed.valid_bytes == 0) {
    SOTTO_TRY_VOID(write_all(fd, as_bytes(kMagic), path));
    if (::fsync(fd) != 0) return log_error("cannot sync log", path);
  }
  if (!existed) SOTTO_TRY_VOID(sync_folder_of(path));
  return log;
}

Result<std::uint64_t> EventLog::append(const Event& event, Time now) {
  if (failed_)
    return unavailable("log '" + path_ + "': an earlier write failed; restart the program, which recovers the log");
  Record record;
  record.index = size();
  record.type = type_of(event);
  record.payload = encode(event);
  record.previous = record.index == 0 ? Digest{} : image_.records.back().hash;
  // A clock that was set back must not make the log unreadable.
  record.time = std::clamp(now, record.index == 0 ? kFirstTime : image_.records.back().time, kLastTime);
  record.hash = leaf_hash(body_of(record));
  failed_ = true;  // until the write is known to have reached the disk
  SOTTO_TRY_VOID(write_all(fd_, frame_of(record), path_));
  if (::fsync(fd_) != 0) return log_error("cannot sync log", path_);
  failed_ = false;
  image_.tree.append(record.hash);
  image_.records.push_back(std::move(record));
  return image_.records.back().index;
}

Event EventLog::event(std::uint64_t index) const {
  SOTTO_CHECK(index < size());
  const Record& record = image_.records[static_cast<std::size_t>(index)];
  auto event = decode_event(record.type, record.payload);
  SOTTO_CHECK(event.ok());
  return std::move(event).value();
}

}  // namespace sotto::audit
