#include "client/federation/migrate.h"

#include <cstdio>
#include <iostream>
#include <optional>

#include "audit/ledger/ledger.h"
#include "client/site/book_version_1.h"
#include "client/site/site_config.h"
#include "client/site/site_folder.h"
#include "client/site/site_spending.h"

namespace sotto::client {
namespace {

constexpr double kShownDelta = 1e-5;

std::string shown(const audit::Spent& spent) {
  char text[80];
  std::snprintf(text, sizeof text, "epsilon %.4f at delta %g", audit::composed_epsilon(spent, kShownDelta), kShownDelta);
  return text;
}

void tell(const std::string& folder, const BookOfVersion1& book, bool dry_run) {
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
  SOTTO_TRY(const BookOfVersion1 old, read_version_1(folder));
  tell(folder, old, dry_run);
  if (dry_run) return {};
  return take_over_version_1(folder, old);
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
