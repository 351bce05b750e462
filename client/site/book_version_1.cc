#include "client/site/book_version_1.h"

#include <algorithm>
#include <filesystem>

#include "client/site/locked_book.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

Result<std::set<Mark>> read_marks(const std::string& path) {
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  std::vector<Mark> out(bytes.size() / sizeof(Mark));
  for (std::size_t i = 0; i < out.size(); ++i)
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * sizeof(Mark)), sizeof(Mark), out[i].begin());
  if (bytes.size() % sizeof(Mark) != 0 || !std::ranges::is_sorted(out))
    return invalid("'" + path + "' is damaged; restore it from a backup: it says which patients' budget was spent");
  return std::set<Mark>(out.begin(), out.end());
}

}  // namespace

bool is_book_of_version_1(const std::string& folder) {
  return fs::is_directory(folder + "/spent") && !file_exists(folder + "/head.json");
}

Result<BookOfVersion1> read_version_1(const std::string& folder) {
  BookOfVersion1 out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".patients") continue;
    SOTTO_TRY(out.patients[entry.path().stem().string()], read_marks(entry.path().string()));
  }
  for (const auto& entry : fs::directory_iterator(folder + "/spent")) {
    const std::string path = entry.path().string(), extension = entry.path().extension().string();
    const auto log = digest_from_hex(extension.empty() ? extension : extension.substr(1));
    if (!log.ok()) return invalid("'" + path + "' is no part of a book of version 1 (BUDGET.LOG); move it away");
    SOTTO_TRY(const Bytes bytes, read_binary_file(path));
    const auto event = audit::decode_event(audit::EventType::kSpentElsewhere, bytes);
    if (!event.ok()) return invalid("'" + path + "': " + event.error().message + "; restore it from a backup");
    const auto& part = std::get<audit::SpentElsewhere>(*event);
    out.spent[{entry.path().stem().string(), *log}] = {part.events, part.own_share, part.without_privacy != 0};
  }
  return out;
}

Result<void> put_version_1_away(const std::string& folder) {
  const std::string away = folder + "/version-1";
  SOTTO_TRY_VOID(make_folder(away, FileMode::kPrivate));
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".patients") old.push_back(entry.path());
  }
  if (fs::is_directory(folder + "/spent")) old.push_back(folder + "/spent");
  for (const auto& path : old) {
    std::error_code error;
    fs::rename(path, fs::path(away) / path.filename(), error);
    if (error) return unavailable("cannot move '" + path.string() + "' to '" + away + "': " + error.message());
  }
  return write_file_atomically(folder + "/spent", kBookVersion, FileMode::kPrivate);
}

Result<void> take_over_version_1(const std::string& folder, const BookOfVersion1& old) {
  SOTTO_TRY(const auto key, PatientBook::of_version_1(folder));
  const std::string fresh = folder + "/version-2";
  std::error_code error;
  fs::remove_all(fresh, error);  // of a migration that was killed
  SOTTO_TRY(const auto book, key.remade_in(fresh));
  {
    SOTTO_TRY(LockedBook open, book.lock());
    for (const auto& [budget, patients] : old.patients) SOTTO_TRY_VOID(open.take_patients(budget, patients));
    for (const auto& [which, spent] : old.spent) SOTTO_TRY_VOID(open.take_spent(which.first, which.second, spent));
  }
  for (const char* file : {"/log", "/head.json"}) {  // with its head the new book counts, and not before
    fs::rename(fresh + file, folder + file, error);
    if (error) return unavailable("cannot move '" + fresh + file + "' to '" + folder + "': " + error.message());
  }
  fs::remove_all(fresh, error);
  return put_version_1_away(folder);
}

}  // namespace sotto::client
