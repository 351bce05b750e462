#include "base/new_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace sotto {
namespace {

constexpr int kTries = 100;
constexpr std::size_t kRandomDigits = 16;

Error system_error(const std::string& what, const std::string& path) {
  const int code = errno;
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable, what + " '" + path + "': " + std::strerror(code)};
}

// Only has to be unforeseen, so that nobody can occupy the name before; keys and noise come from RandomSource.
Result<std::string> random_digits() {
  std::array<std::uint8_t, kRandomDigits / 2> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return system_error("cannot draw a name from", "/dev/urandom");
  return to_hex(bytes);
}

// NAME.<digits>.new
bool is_beside(std::string_view candidate, const std::string& name) {
  const std::string_view end = ".new";
  if (candidate.size() != name.size() + 1 + kRandomDigits + end.size()) return false;
  return candidate.starts_with(name + ".") && candidate.ends_with(end);
}

Result<Descriptor> open_folder(const std::string& path) {
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return system_error("cannot open the folder", path);
  return folder;
}

// Opens, or makes, a folder within another one. Links are refused: whoever filled the folder could lead elsewhere by them.
Result<Descriptor> folder_within(const Descriptor& parent, const std::string& name, const std::string& shown,
                                 FileMode mode) {
  ::mkdirat(parent.get(), name.c_str(),
            mode == FileMode::kPrivate ? 0700 : 0755);  // where it is there already, open judges it
  Descriptor folder(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (folder.get() >= 0) return folder;
  struct stat info{};
  if (::fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode))
    return refused("'" + shown +
                   "' is a link, and what is written here must stay in this folder; remove the link, or copy the folder "
                   "without links");
  return system_error("cannot open the folder", shown);
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<NewFile> NewFile::create(const std::string& path, FileMode mode) {
  const std::filesystem::path whole(path);
  const std::string parent = whole.parent_path().empty() ? "." : whole.parent_path().string();
  auto folder = open_folder(parent);
  if (!folder.ok()) return Error{folder.error().code, "cannot write '" + path + "': " + folder.error().message};
  return create_in(std::move(folder).value(), parent, whole.filename().string(), mode);
}

Result<NewFile> NewFile::create_in(Descriptor folder, const std::string& shown, const std::string& name, FileMode mode) {
  if (name.empty() || name == "." || name == "..") return invalid("'" + shown + "/" + name + "' names no file");
  NewFile out(std::move(folder), shown, name);
  out.remove_left_over();
  SOTTO_TRY_VOID(out.open_beside(mode));
  return out;
}

Result<void> NewFile::open_beside(FileMode mode) {
  const mode_t bits = mode == FileMode::kPrivate ? 0600 : 0644;
  for (int i = 0; i < kTries; ++i) {
    SOTTO_TRY(const std::string digits, random_digits());
    const std::string beside = name_ + "." + digits + ".new";
    Descriptor file(::openat(folder_.get(), beside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, bits));
    if (file.get() < 0 && errno == EEXIST) continue;
    if (file.get() < 0) return system_error("cannot write", shown_ + "/" + name_);
    struct stat info{};
    // Another process may take it for a left-over until it is locked.
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.get(), &info) != 0 || info.st_nlink == 0) continue;
    beside_ = beside;
    file_ = std::move(file);
    return {};
  }
  return unavailable("cannot write '" + shown_ + "/" + name_ + "': found no free name beside it");
}

// A process that writes holds the lock of its file; what is not locked belongs to one that was killed.
void NewFile::remove_left_over() const {
  const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto close = [](DIR* d) { ::closedir(d); };
  const std::unique_ptr<DIR, decltype(close)> listing(copy < 0 ? nullptr : ::fdopendir(copy), close);
  if (!listing) return;  // a folder that may be written and not listed
  while (const dirent* entry = ::readdir(listing.get())) {
    if (!is_beside(entry->d_name, name_)) continue;
    const Descriptor file(::openat(folder_.get(), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(folder_.get(), entry->d_name, 0);
  }
}

NewFile& NewFile::operator=(NewFile&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(shown_, other.shown_);
  std::swap(name_, other.name_);
  std::swap(beside_, other.beside_);
  std::swap(file_, other.file_);
  std::swap(size_, other.size_);
  return *this;
}

NewFile::~NewFile() { discard(); }

void NewFile::discard() {
  if (file_.get() < 0) return;
  ::unlinkat(folder_.get(), beside_.c_str(), 0);
  file_ = Descriptor();
}

Result<void> NewFile::append(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write", shown_ + "/" + name_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    size_ += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> NewFile::commit() {
  const std::string path = shown_ + "/" + name_;
  if (::fsync(file_.get()) != 0) return system_error("cannot sync", path);
  if (::renameat(folder_.get(), beside_.c_str(), folder_.get(), name_.c_str()) != 0)
    return system_error("cannot rename to", path);
  file_ = Descriptor();
  // After a rename only the folder's own sync makes the new name last.
  if (::fsync(folder_.get()) != 0) return system_error("cannot sync the folder", shown_);
  return {};
}

Result<void> write_file_atomically(const std::string& path, ByteSpan bytes, FileMode mode) {
  SOTTO_TRY(auto file, NewFile::create(path, mode));
  SOTTO_TRY_VOID(file.append(bytes));
  return file.commit();
}

Result<void> write_file_atomically(const std::string& path, std::string_view text, FileMode mode) {
  return write_file_atomically(path, as_bytes(text), mode);
}

Result<void> write_file_inside(const std::string& folder, const std::string& inside, std::string_view text, FileMode mode) {
  SOTTO_TRY(auto at, open_folder(folder));
  std::string shown = folder;
  const std::filesystem::path path(inside);
  for (const auto& part : path.parent_path()) {
    if (part == ".." || part.is_absolute()) return invalid("'" + inside + "' leads out of '" + folder + "'");
    shown += "/" + part.string();
    SOTTO_TRY(at, folder_within(at, part.string(), shown, mode));
  }
  SOTTO_TRY(auto file, NewFile::create_in(std::move(at), shown, path.filename().string(), mode));
  SOTTO_TRY_VOID(file.append(as_bytes(text)));
  return file.commit();
}

Result<NewFolder> NewFolder::create(const std::string& path, FileMode mode) {
  std::error_code error;
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  if (std::filesystem::exists(clean, error) && !std::filesystem::is_empty(clean, error))
    return refused("'" + path + "' is there already and not empty; name a new folder, or remove it first");
  const auto parent = std::filesystem::path(clean).parent_path();
  if (!parent.empty()) SOTTO_TRY_VOID(make_folder(parent.string(), mode));
  NewFolder folder(clean);
  std::filesystem::remove_all(folder.beside_, error);  // of a run that was killed; of a link, the link alone
  if (::mkdir(folder.beside_.c_str(), mode == FileMode::kPrivate ? 0700 : 0755) != 0)
    return system_error("cannot make the folder", folder.beside_);
  return folder;
}

NewFolder::NewFolder(NewFolder&& other) noexcept
    : path_(std::move(other.path_)), beside_(std::exchange(other.beside_, std::string())) {}

NewFolder& NewFolder::operator=(NewFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(beside_, other.beside_);
  return *this;
}

NewFolder::~NewFolder() {
  if (beside_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(beside_, error);
}

Result<void> NewFolder::commit() {
  SOTTO_TRY(const auto made, open_folder(beside_));
  if (::fsync(made.get()) != 0) return system_error("cannot sync the folder", beside_);
  if (::rename(beside_.c_str(), path_.c_str()) != 0) return system_error("cannot rename to", path_);
  beside_.clear();
  const auto parent = std::filesystem::path(path_).parent_path();
  SOTTO_TRY(const auto holder, open_folder(parent.empty() ? "." : parent.string()));
  if (::fsync(holder.get()) != 0) return system_error("cannot sync the folder", parent.string());
  return {};
}

}  // namespace sotto
