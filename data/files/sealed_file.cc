#include "data/files/sealed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "crypto/aead.h"
#include "crypto/kdf.h"

namespace sotto::data {
namespace {

constexpr std::string_view kMagic = "SOTTOSD1";
constexpr std::string_view kInfo = "sotto/sealed-data/v1";
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kChunkBytes = std::size_t{64} << 10;

crypto::AeadKey file_key(const DataKey& key, ByteSpan salt) {
  return crypto::AeadKey(crypto::hkdf_sha256<32>(salt, key.reveal(), as_bytes(kInfo)));
}

Bytes associated(std::uint64_t number, bool last) {
  ByteWriter out;
  out.text(kInfo).u64(number).u8(last ? 1 : 0);
  return out.take();
}

Error failed(const std::string& what, const std::string& path) {
  const int code = errno;
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable, what + " '" + path + "': " + std::strerror(code)};
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace

bool is_sealed(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  char magic[8] = {};
  return file != nullptr && std::fread(magic, 1, sizeof magic, file.get()) == sizeof magic &&
         std::string_view(magic, sizeof magic) == kMagic;
}

struct SealedWriter::State {
  std::string path;
  File file;
  crypto::AeadKey key;
  RandomSource& random;
  std::string pending;  // less than a chunk, or exactly one
  std::uint64_t number = 0;
  bool finished = false;

  std::string part() const { return path + ".part"; }
  ~State() {
    crypto::wipe({reinterpret_cast<std::uint8_t*>(pending.data()), pending.size()});
    if (!finished) ::unlink(part().c_str());
  }

  Result<void> put(ByteSpan bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) return failed("cannot write", part());
    return {};
  }

  Result<void> seal_pending(bool last) {
    const Bytes ad = associated(number++, last);
    const Bytes sealed = crypto::seal(key, as_bytes(pending), crypto::AssociatedData(ad), random);
    ByteWriter length;
    length.u32(static_cast<std::uint32_t>(sealed.size()));
    SOTTO_TRY_VOID(put(length.view()));
    SOTTO_TRY_VOID(put(sealed));
    pending.clear();
    return {};
  }
};

SealedWriter::SealedWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SealedWriter::SealedWriter(SealedWriter&&) noexcept = default;
SealedWriter::~SealedWriter() = default;

Result<SealedWriter> SealedWriter::create(const std::string& path, const DataKey& key, RandomSource& random) {
  std::array<std::uint8_t, kSaltBytes> salt{};
  random.fill(salt);
  const int fd = ::open((path + ".part").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  File file(fd < 0 ? nullptr : ::fdopen(fd, "wb"));
  if (file == nullptr) return failed("cannot write", path + ".part");
  std::unique_ptr<State> state(new State{path, std::move(file), file_key(key, salt), random, {}, 0, false});
  SOTTO_TRY_VOID(state->put(as_bytes(kMagic)));
  SOTTO_TRY_VOID(state->put(salt));
  return SealedWriter(std::move(state));
}

Result<void> SealedWriter::write(std::string_view text) {
  while (!text.empty()) {
    if (state_->pending.size() == kChunkBytes) SOTTO_TRY_VOID(state_->seal_pending(false));
    const auto some = text.substr(0, kChunkBytes - state_->pending.size());
    state_->pending += some;
    text.remove_prefix(some.size());
  }
  return {};
}

Result<void> SealedWriter::finish() {
  SOTTO_TRY_VOID(state_->seal_pending(true));
  if (std::fflush(state_->file.get()) != 0 || ::fsync(::fileno(state_->file.get())) != 0)
    return failed("cannot write", state_->part());
  state_->file.reset();
  if (::rename(state_->part().c_str(), state_->path.c_str()) != 0) return failed("cannot write", state_->path);
  state_->finished = true;
  return {};
}

struct SealedReader::State {
  std::string path;
  File file;
  crypto::AeadKey key;
  std::optional<crypto::SecretBuffer> chunk;
  std::size_t at = 0;
  std::uint64_t number = 0;
  bool last = false;

  Error broken() const {
    return invalid("'" + path + "' cannot be opened at chunk " + std::to_string(number) +
                   ": it was sealed under another key, was changed, or ends too early");
  }

  Result<void> next_chunk() {
    std::uint8_t head[4] = {};
    if (std::fread(head, 1, 4, file.get()) != 4) return broken();
    const std::size_t size = ByteReader(head).u32();
    if (size < crypto::kAeadOverhead || size > kChunkBytes + crypto::kAeadOverhead) return broken();
    Bytes sealed(size);
    if (std::fread(sealed.data(), 1, size, file.get()) != size) return broken();
    const int more = std::fgetc(file.get());  // the last chunk is the one that nothing follows
    if (more != EOF) std::ungetc(more, file.get());
    const Bytes ad = associated(number, more == EOF);
    auto opened = crypto::open(key, sealed, crypto::AssociatedData(ad));
    if (!opened.ok()) return broken();
    chunk.emplace(std::move(*opened));
    at = 0;
    last = more == EOF;
    ++number;
    return {};
  }
};

SealedReader::SealedReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
SealedReader::SealedReader(SealedReader&&) noexcept = default;
SealedReader::~SealedReader() = default;

Result<SealedReader> SealedReader::open(const std::string& path, const DataKey& key) {
  File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return failed("cannot open", path);
  std::array<std::uint8_t, kMagic.size() + kSaltBytes> head{};
  if (std::fread(head.data(), 1, head.size(), file.get()) != head.size() ||
      as_text(ByteSpan(head).first(kMagic.size())) != kMagic)
    return invalid("'" + path + "' is no sealed data set");
  auto derived = file_key(key, ByteSpan(head).subspan(kMagic.size()));
  return SealedReader(
      std::unique_ptr<State>(new State{path, std::move(file), std::move(derived), std::nullopt, 0, 0, false}));
}

Result<std::size_t> SealedReader::read(char* out, std::size_t size) {
  while (!state_->chunk || state_->at == state_->chunk->reveal().size()) {
    if (state_->last) return std::size_t{0};
    SOTTO_TRY_VOID(state_->next_chunk());
  }
  const ByteSpan rest = state_->chunk->reveal().subspan(state_->at);
  const std::size_t count = std::min(size, rest.size());
  std::memcpy(out, rest.data(), count);
  state_->at += count;
  return count;
}

}  // namespace sotto::data
