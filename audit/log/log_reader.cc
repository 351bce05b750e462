#include "audit/log/log_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace sotto::audit {
namespace {

constexpr std::size_t kFrameHeader = 8;  // length, and its complement: a damaged length is not taken for a torn tail
constexpr std::size_t kHashSize = 32;
constexpr std::size_t kBodyBeforePayload = 8 + 2 + 8 + 4;  // index, type, time, length of the payload
constexpr std::size_t kReadChunk = 1 << 20;

bool all_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

// A log of another version is named as that: its first line ends in the version's number.
std::string not_a_log(ByteSpan file) {
  constexpr std::string_view kFamily = "sotto/log/";
  const std::string begins(file.begin(),
                           file.begin() + static_cast<std::ptrdiff_t>(std::min(file.size(), kLogMagic.size())));
  if (!begins.starts_with(kFamily)) return "the file does not start with the word of a Sotto log";
  return "the file is a log of the format '" + begins.substr(0, begins.find('\n')) + "', and this program reads '" +
         std::string(kLogMagic.substr(0, kLogMagic.size() - 1)) + "'; use the version of the program that wrote it";
}

LogDamage torn(std::uint64_t entry) { return {entry, "the file ends inside this entry", true}; }
LogDamage bad(std::uint64_t entry, std::string why) { return {entry, std::move(why), false}; }

std::uint64_t little_endian(ByteSpan bytes) {
  std::uint64_t v = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) v = v << 8 | bytes[i];
  return v;
}

// Fields of a body in place; nullopt when they do not fill it exactly.
std::optional<RecordView> view_of(ByteSpan body) {
  if (body.size() < kBodyBeforePayload + kHashSize) return std::nullopt;
  RecordView out;
  out.index = little_endian(body.first(8));
  out.type = static_cast<EventType>(little_endian(body.subspan(8, 2)));
  out.time = Time(std::chrono::seconds(static_cast<std::int64_t>(little_endian(body.subspan(10, 8)))));
  if (little_endian(body.subspan(18, 4)) != body.size() - kBodyBeforePayload - kHashSize) return std::nullopt;
  out.payload = body.subspan(kBodyBeforePayload, body.size() - kBodyBeforePayload - kHashSize);
  std::copy(body.end() - kHashSize, body.end(), out.previous.begin());
  return out;
}

Record copy_of(const RecordView& view) {
  return {view.index, view.type, view.time, Bytes(view.payload.begin(), view.payload.end()), view.previous, view.hash};
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// The bytes of a file, a window at a time.
class Window {
 public:
  static Result<Window> open(const std::string& path) {
    Window out;
    out.path_ = path;
    out.file_.reset(std::fopen(path.c_str(), "rb"));
    if (!out.file_) {
      const int code = errno;
      return Error{code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                   "cannot open log '" + path + "': " + std::strerror(code)};
    }
    return out;
  }
  ByteSpan left() const { return ByteSpan(buffer_).subspan(begin_); }
  void skip(std::size_t n) { begin_ += n; }
  bool at_end() const { return at_end_; }
  Result<void> grow() {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
    const std::size_t old = buffer_.size();
    buffer_.resize(old + kReadChunk);
    const std::size_t n = std::fread(buffer_.data() + old, 1, kReadChunk, file_.get());
    buffer_.resize(old + n);
    if (std::ferror(file_.get())) return unavailable("cannot read log '" + path_ + "': " + std::strerror(errno));
    at_end_ = n == 0;
    return {};
  }

 private:
  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  Bytes buffer_;
  std::size_t begin_ = 0;
  bool at_end_ = false;
};

// One file of a log, its records judged after those before it.
class FileScan {
 public:
  FileScan(LogChecker& checker, LogSummary& summary,
           const std::function<std::optional<LogDamage>(const RecordView&)>& on_record)
      : checker_(checker), summary_(summary), on_record_(on_record) {}

  Result<std::optional<LogDamage>> run(const std::string& path) {
    SOTTO_TRY(Window in, Window::open(path));
    while (in.left().size() < kLogMagic.size() && !in.at_end()) SOTTO_TRY_VOID(in.grow());
    const ByteSpan magic = as_bytes(kLogMagic);
    if (in.left().size() < magic.size() || !std::equal(magic.begin(), magic.end(), in.left().begin())) {
      return std::optional(bad(checker_.size(), not_a_log(in.left())));
    }
    take(in, magic.size());
    for (;;) {
      const bool wait = in.left().size() < kFrameHeader && !in.at_end();
      if (!wait && in.left().empty()) return std::optional<LogDamage>();
      LogChecker::Step step;
      if (!wait) step = checker_.next(in.left());
      if (wait || step.more) {
        // More than a whole record is there, so it is zeros all along: a tail, however long.
        const bool hopeless = in.left().size() > kFrameHeader + kMaxRecordBody + kHashSize;
        if (in.at_end() || hopeless) return std::optional(torn(checker_.size()));
        SOTTO_TRY_VOID(in.grow());
        continue;
      }
      if (!step.damage && on_record_) step.damage = on_record_(step.record);
      if (step.damage) return std::move(step.damage);
      take(in, step.bytes);
    }
  }

 private:
  void take(Window& in, std::size_t n) {
    in.skip(n);
    summary_.bytes += n;
  }
  LogChecker& checker_;
  LogSummary& summary_;
  const std::function<std::optional<LogDamage>(const RecordView&)>& on_record_;
};

std::vector<std::string> files_of(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count_segments(path); ++i) out.push_back(segment_file(path, i));
  out.push_back(path);
  return out;
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

Bytes frame_of(const Record& record) {
  const Bytes body = body_of(record);
  SOTTO_CHECK(body.size() <= kMaxRecordBody);
  const auto length = static_cast<std::uint32_t>(body.size());
  return ByteWriter().u32(length).u32(~length).raw(body).raw(record.hash).take();
}

Digest LogImage::id() const {
  SOTTO_CHECK(!records.empty());
  return records.front().hash;
}

LogChecker::Step LogChecker::next(ByteSpan rest) {
  const std::uint64_t index = size();
  const auto need_more = [] { return Step{0, true, std::nullopt, {}}; };
  const auto damaged = [&](std::string why) { return Step{0, false, bad(index, std::move(why)), {}}; };
  if (rest.size() < kFrameHeader) return need_more();
  const auto length = static_cast<std::uint32_t>(little_endian(rest.first(4)));
  const auto complement = static_cast<std::uint32_t>(little_endian(rest.subspan(4, 4)));
  // A crash can leave a file longer than what was written to it; the rest then reads as zeros.
  if (length == 0 && complement == 0 && all_zero(rest)) return need_more();
  if (complement != ~length) return damaged("its length field is damaged");
  if (length > kMaxRecordBody) return damaged("its length " + std::to_string(length) + " is beyond the limit");
  const std::size_t whole = kFrameHeader + length + kHashSize;
  if (rest.size() < whole) return need_more();
  const ByteSpan body = rest.subspan(kFrameHeader, length);
  const ByteSpan stored = rest.subspan(kFrameHeader + length, kHashSize);
  auto record = view_of(body);
  if (!record) return damaged("its fields do not fill it");
  record->hash = leaf_hash(body);
  if (!std::equal(stored.begin(), stored.end(), record->hash.begin())) {
    return damaged("its content does not have the hash that stands with it");
  }
  if (record->index != index) return damaged("it is numbered " + std::to_string(record->index));
  if (record->previous != previous_) return damaged("it does not carry the hash of the entry before it");
  if (record->time < kFirstTime || record->time > kLastTime) return damaged("its time is not a date");
  if (record->time < last_time_) return damaged("it is older than the entry before it");
  if (index == 0) id_ = record->hash;
  previous_ = record->hash;
  last_time_ = record->time;
  root_.append(record->hash);
  return {whole, false, std::nullopt, *record};
}

ParsedLog parse_log(ByteSpan file) {
  ParsedLog out;
  const ByteSpan magic = as_bytes(kLogMagic);
  const std::size_t shown = std::min(file.size(), magic.size());
  if (!std::equal(magic.begin(), magic.begin() + static_cast<std::ptrdiff_t>(shown), file.begin())) {
    out.damage = all_zero(file) ? torn(0) : bad(0, not_a_log(file));
    return out;
  }
  if (shown < magic.size()) {
    if (!file.empty()) out.damage = torn(0);
    return out;
  }
  out.valid_bytes = magic.size();
  LogChecker checker;
  for (ByteSpan rest = file.subspan(magic.size()); !rest.empty();) {
    LogChecker::Step step = checker.next(rest);
    if (step.more) step.damage = torn(checker.size());
    if (step.damage) {
      out.damage = std::move(step.damage);
      return out;
    }
    out.image.tree.append(step.record.hash);
    out.image.records.push_back(copy_of(step.record));
    out.valid_bytes += step.bytes;
    rest = rest.subspan(step.bytes);
  }
  return out;
}

std::string segment_file(const std::string& path, std::size_t segment) {
  std::string number = std::to_string(segment);
  if (number.size() < 6) number.insert(0, 6 - number.size(), '0');
  return path + "." + number;
}

std::size_t count_segments(const std::string& path) {
  std::size_t n = 0;
  while (file_exists(segment_file(path, n))) ++n;
  return n;
}

namespace {

Result<Bytes> read_files(const std::vector<std::string>& files) {
  Bytes out;
  for (const auto& file : files) {
    SOTTO_TRY(const Bytes bytes, read_binary_file(file));
    const ByteSpan magic = as_bytes(kLogMagic);
    if (out.empty()) {
      out = bytes;
      continue;
    }
    if (bytes.size() < magic.size() || !std::equal(magic.begin(), magic.end(), bytes.begin())) {
      return invalid("'" + file + "' does not start with the word of a Sotto log");
    }
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(magic.size()), bytes.end());
  }
  return out;
}

}  // namespace

Result<Bytes> read_log_bytes(const std::string& path) {
  for (;;) {
    const std::size_t segments = count_segments(path);
    auto bytes = read_files(files_of(path));
    if (count_segments(path) == segments) return bytes;  // otherwise its writer closed a segment meanwhile: once more
  }
}

Result<LogImage> read_log(const std::string& path) {
  SOTTO_TRY(const Bytes file, read_log_bytes(path));
  ParsedLog parsed = parse_log(file);
  if (!parsed.damage) return std::move(parsed.image);
  return invalid("log '" + path + "': entry " + std::to_string(parsed.damage->entry) + " is bad: " + parsed.damage->why);
}

Result<LogSummary> scan_log(const std::string& path,
                            const std::function<std::optional<LogDamage>(const RecordView&)>& on_record) {
  LogSummary out;
  LogChecker checker;
  std::function<std::optional<LogDamage>(const RecordView&)> see = [&](const RecordView& record) {
    if (record.index == 0) out.first_time = record.time;
    return on_record ? on_record(record) : std::nullopt;
  };
  FileScan scan(checker, out, see);
  for (const auto& file : files_of(path)) {
    SOTTO_TRY(out.damage, scan.run(file));
    ++out.files;
    out.damaged_file = out.damage ? file : "";
    if (out.damage) break;
  }
  out.id = checker.id();
  out.head = checker.head();
  out.last_time = checker.last_time();
  return out;
}

}  // namespace sotto::audit
