#include "client/federation/migrate.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

#include "audit/ledger/ledger.h"
#include "client/site/site_config.h"
#include "client/site/site_folder.h"
#include "client/site/site_spending.h"
#include "client/site/spent_sets.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

constexpr double kShownDelta = 1e-5;

struct Version1 {
  std::map<std::string, std::set<Mark>> patients;                // by budget
  std::map<std::pair<std::string, Digest>, audit::Spent> spent;  // by budget and log
};

Result<std::set<Mark>> read_marks(const std::string& path) {
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  std::vector<Mark> out(bytes.size() / sizeof(Mark));
  for (std::size_t i = 0; i < out.size(); ++i)
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * sizeof(Mark)), sizeof(Mark), out[i].begin());
  if (bytes.size() % sizeof(Mark) != 0 || !std::ranges::is_sorted(out))
    return invalid("'" + path + "' is damaged; restore it from a backup: it says which patients' budget was spent");
  return std::set<Mark>(out.begin(), out.end());
}

Result<Version1> read_version_1(const std::string& folder) {
  Version1 out;
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

std::string shown(const audit::Spent& spent) {
  char text[80];
  std::snprintf(text, sizeof text, "epsilon %.4f at delta %g", audit::composed_epsilon(spent, kShownDelta), kShownDelta);
  return text;
}

void tell(const std::string& folder, const Version1& book, bool dry_run) {
  std::cout << "'" << folder << "' is a book of patients of version 1:\n";
  std::map<std::string, audit::Spent> spent;
  std::map<std::string, std::size_t> logs;
  for (const auto& [key, part] : book.spent) {
    spent[key.first].add(part);
    ++logs[key.first];
  }
  std::set<std::string> budgets;
  for (const auto& [budget, patients] : book.patients) budgets.insert(budget);
  for (const auto& [budget, part] : spent) budgets.insert(budget);
  for (const auto& budget : budgets) {
    const auto patients = book.patients.find(budget);
    std::cout << "  budget '" << budget << "': " << (patients == book.patients.end() ? 0 : patients->second.size())
              << " patients, " << logs[budget] << " logs have spent " << shown(spent[budget]) << "\n";
  }
  std::cout
      << (dry_run ? "it would be written" : "it was written") << " to '" << folder << "/log', and the files of version 1 "
      << (dry_run ? "moved" : "were moved") << " to '" << folder
      << "/version-1'; all that was spent counts as before.\n"
         "Version 1 did not note who trained and who was held out: the next run notes it, as holdout_fraction says then.\n"
         "Leave it as it was.\n";
}

Result<void> migrate_book(const std::string& folder, bool dry_run) {
  if (!is_book_of_version_1(folder)) {
    SOTTO_TRY([[maybe_unused]] const auto book, PatientBook::open(folder));
    std::cout << "'" << folder << "' is a book of patients of this version; nothing is to be done\n";
    return {};
  }
  SOTTO_TRY(const auto lock, FileLock::acquire(folder + "/lock"));
  SOTTO_TRY(const Version1 old, read_version_1(folder));
  SOTTO_TRY(const auto key, PatientBook::of_version_1(folder));
  tell(folder, old, dry_run);
  if (dry_run) return {};
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

// The log of a folder that spends: the book sees it from now on.
Result<void> migrate_folder(const MigrateRequest& request, const std::string& config) {
  SOTTO_TRY(const SiteConfig site, read_site_config(config));
  const bool old_book = is_book_of_version_1(site.budget_folder);
  SOTTO_TRY_VOID(migrate_book(site.budget_folder, request.dry_run));
  const std::string path = request.folder + "/log";
  if (request.dry_run) {
    SOTTO_TRY(const auto image, audit::read_log(path));
    std::cout << "'" << path << "' has " << image.tree.size() << " entries; the book would note that it has come this far"
              << (old_book ? ", if it has every reservation that the book has of it" : "") << "\n";
    return {};
  }
  SOTTO_TRY(auto log, audit::EventLog::open(path));
  if (log.size() == 0) return {};
  SOTTO_TRY(auto ledger, audit::Ledger::open(log));
  SOTTO_TRY(const auto book, PatientBook::open(site.budget_folder));
  SOTTO_TRY([[maybe_unused]] const auto mine, take_up({&book, &log, &ledger}));
  std::cout << "'" << path << "' has " << log.size() << " entries, and the book has noted that it has come this far\n";
  return {};
}

}  // namespace

Result<void> migrate(const MigrateRequest& request) {
  const std::string& folder = request.folder;
  if (file_exists(folder + "/patients.key")) return migrate_book(folder, request.dry_run);
  if (file_exists(folder + "/site.json")) {
    SOTTO_TRY(const SiteFolder site, SiteFolder::open(folder));
    SOTTO_TRY(const auto lock, site.lock());
    return migrate_folder(request, request.config.empty() ? site.site().config : request.config);
  }
  if (!file_exists(folder + "/log"))
    return not_found("'" + folder + "' is no book of patients, no site's folder and no folder of 'train'");
  if (request.config.empty())
    return invalid("'" + folder +
                   "' is a folder of 'train', which does not say where its book of patients lies; give --config " +
                   "site.toml");
  SOTTO_TRY(const auto lock, FileLock::acquire(folder + "/lock"));
  return migrate_folder(request, request.config);
}

}  // namespace sotto::client
