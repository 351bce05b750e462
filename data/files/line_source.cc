#include "data/files/line_source.h"

#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "crypto/key_file.h"
#include "data/files/sealed_file.h"

namespace sotto::data {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;
constexpr std::size_t kChunkBytes = 1 << 16;

// Bytes of a file, decompressed. read() gives 0 at the end.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual Result<std::size_t> read(char* out, std::size_t size) = 0;
};

// zlib reads files that are not compressed as they are.
class GzipSource : public ByteSource {
 public:
  explicit GzipSource(const std::string& path) : path_(path), file_(::gzopen(path.c_str(), "rb")) {}
  ~GzipSource() override {
    if (file_ != nullptr) ::gzclose(file_);
  }
  bool ok() const { return file_ != nullptr; }

  Result<std::size_t> read(char* out, std::size_t size) override {
    const int got = ::gzread(file_, out, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* words = ::gzerror(file_, &code);
    // An end that comes too early shows as Z_BUF_ERROR, after the last bytes were given.
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END))
      return invalid("'" + path_ + "' is damaged or ends too early (gzip: " + std::string(words) + ")");
    return static_cast<std::size_t>(got);
  }

 private:
  std::string path_;
  gzFile file_;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(const std::string& path)
      : path_(path), file_(std::fopen(path.c_str(), "rb")), stream_(::ZSTD_createDStream()) {}
  ~ZstdSource() override {
    if (file_ != nullptr) std::fclose(file_);
    ::ZSTD_freeDStream(stream_);
  }
  bool ok() const { return file_ != nullptr && stream_ != nullptr; }

  Result<std::size_t> read(char* out, std::size_t size) override {
    ::ZSTD_outBuffer output{out, size, 0};
    while (true) {
      const std::size_t before = input_.pos;
      const std::size_t left = ::ZSTD_decompressStream(stream_, &output, &input_);
      if (::ZSTD_isError(left) != 0)
        return invalid("'" + path_ + "' is damaged (zstd: " + std::string(::ZSTD_getErrorName(left)) + ")");
      if (input_.pos > before || output.pos > 0) inside_frame_ = left != 0;
      if (output.pos > 0) return output.pos;
      if (input_.pos < input_.size) continue;
      input_ = {buffer_.data(), std::fread(buffer_.data(), 1, buffer_.size(), file_), 0};
      if (std::ferror(file_) != 0) return unavailable("cannot read '" + path_ + "'");
      if (input_.size > 0) continue;
      if (inside_frame_) return invalid("'" + path_ + "' ends too early (zstd)");
      return std::size_t{0};
    }
  }

 private:
  std::string path_;
  std::FILE* file_;
  ::ZSTD_DStream* stream_;
  std::vector<char> buffer_ = std::vector<char>(kChunkBytes);
  ::ZSTD_inBuffer input_{nullptr, 0, 0};
  bool inside_frame_ = false;
};

class SealedSource : public ByteSource {
 public:
  explicit SealedSource(SealedReader reader) : reader_(std::move(reader)) {}
  Result<std::size_t> read(char* out, std::size_t size) override { return reader_.read(out, size); }

 private:
  SealedReader reader_;
};

bool is_zstd(const std::string& path) {
  unsigned char magic[4] = {};
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  const bool read = std::fread(magic, 1, 4, file) == 4;
  std::fclose(file);
  return read && magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f && magic[3] == 0xfd;
}

Error cannot_open(const std::string& path) {
  const int code = errno;
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
          "cannot open '" + path + "': " + std::strerror(code)};
}

}  // namespace

struct LineSource::State {
  std::string path;
  std::unique_ptr<ByteSource> bytes;
  std::vector<char> chunk = std::vector<char>(kChunkBytes);
  std::size_t at = 0;
  std::size_t end = 0;
  std::uint64_t number = 0;
  bool done = false;

  // What comes before the next line break goes to `line`; false when nothing came before the end.
  Result<bool> read_line(std::string& line) {
    line.clear();
    bool some = false;
    while (true) {
      if (at == end) {
        SOTTO_TRY(end, bytes->read(chunk.data(), chunk.size()));
        at = 0;
        if (end == 0) {
          done = true;
          return some;
        }
      }
      some = true;
      const auto* found = static_cast<const char*>(std::memchr(chunk.data() + at, '\n', end - at));
      const std::size_t stop = found == nullptr ? end : static_cast<std::size_t>(found - chunk.data());
      line.append(chunk.data() + at, stop - at);
      if (line.size() > kMaxLineBytes)
        return invalid(path + ":" + std::to_string(number + 1) + ": a line of more than 64 MiB");
      at = found == nullptr ? end : stop + 1;
      if (found != nullptr) return true;
    }
  }
};

LineSource::LineSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineSource::LineSource(LineSource&&) noexcept = default;
LineSource& LineSource::operator=(LineSource&&) noexcept = default;
LineSource::~LineSource() = default;

Result<LineSource> LineSource::open(const std::string& path, const std::string& key_file) {
  auto state = std::make_unique<State>();
  state->path = path;
  if (is_sealed(path)) {
    if (key_file.empty())
      return invalid("'" + path + "' is sealed; name the file of its key (data_key in site.toml, --data-key)");
    SOTTO_TRY(const auto key, crypto::read_key<DataKey>(key_file));
    SOTTO_TRY(auto reader, SealedReader::open(path, key));
    state->bytes = std::make_unique<SealedSource>(std::move(reader));
  } else if (is_zstd(path)) {
    auto source = std::make_unique<ZstdSource>(path);
    if (!source->ok()) return cannot_open(path);
    state->bytes = std::move(source);
  } else {
    auto source = std::make_unique<GzipSource>(path);
    if (!source->ok()) return cannot_open(path);
    state->bytes = std::move(source);
  }
  return LineSource(std::move(state));
}

Result<bool> LineSource::next(std::string& line) {
  if (state_->done) return false;
  SOTTO_TRY(const bool some, state_->read_line(line));
  if (!some) return false;
  if (line.ends_with('\r')) line.pop_back();
  if (state_->number++ == 0 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  return true;
}

std::uint64_t LineSource::number() const { return state_->number; }
std::string LineSource::where() const { return state_->path + ":" + std::to_string(state_->number); }

}  // namespace sotto::data
