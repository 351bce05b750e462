#include "coordinator/doctor.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "coordinator/folder/coordinator_folder.h"
#include "coordinator/folder/site_list.h"
#include "coordinator/runs/run_history.h"
#include "coordinator/server/machine_limits.h"
#include "crypto/system_random.h"

namespace sotto::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLeastSpace = 1ULL << 30;  // bytes: a run of a hundred sites with its logs and updates

struct Check {
  std::string name;
  bool ok = false;
  std::string says;
};

Check of(const std::string& name, const Result<std::string>& found) {
  return {name, found.ok(), found.ok() ? *found : found.error().message};
}

Result<std::string> check_modes(const CoordinatorFolder& folder) {
  for (const char* file : {"identity.key", "transport.key"}) {
    const std::string path = folder.path() + "/" + file;
    const auto open = fs::status(path).permissions() & (fs::perms::group_all | fs::perms::others_all);
    if (open != fs::perms::none)
      return refused("'" + path + "' can be read by others; chmod 600 it, and think about who may have");
  }
  return std::string("only their owner can read them; fingerprint " + folder.fingerprint());
}

Result<std::string> check_log(const CoordinatorFolder& folder) {
  SOTTO_TRY(const auto log, audit::read_log(folder.log_path()));
  SOTTO_TRY(const auto history, History::replay(log));
  const auto running = std::ranges::count(history.runs(), false, &RunHistory::finished);
  return std::to_string(log.records.size()) + " entries, " + std::to_string(history.runs().size()) + " runs, " +
         std::to_string(running) + " of them not over";
}

Result<std::string> check_records(const CoordinatorFolder& folder) {
  SOTTO_TRY(const auto log, audit::read_log(folder.log_path()));
  SOTTO_TRY(const auto history, History::replay(log));
  for (const auto& run : history.runs()) {
    if (run.finished && run.adapter && !file_exists(folder.run_path(run.run) + "/adapter/adapter.bin"))
      return invalid("the model of run '" + run.run.value() +
                     "' is missing under runs/; restore it from a backup, a site has it too");
  }
  return std::string("the model of every finished run is there");
}

Result<std::string> check_sites(const CoordinatorFolder& folder) {
  SOTTO_TRY(const auto registry, SiteList::open(folder.registry_path()));
  const auto approved = registry.approved().size();
  if (approved < 2)
    return refused(std::to_string(approved) +
                   " approved sites; a run needs three, or two that accept to see each other's noisy update");
  return std::to_string(approved) + " approved sites of " + std::to_string(registry.sites().size());
}

// A running `serve` holds the address; without one it must be free.
Result<std::string> check_address(const CoordinatorFolder& folder) {
  const std::string& address = folder.addresses().listen;
  if (!folder.lock().ok()) return "'serve' runs and listens on " + address;
  crypto::SystemRandom random;
  const auto link = wire::RouterLink::bind(address, wire::TransportKey::random(random));
  if (!link.ok()) return link.error();
  return address + " is free";
}

// What `serve` would have: it raises the limit itself as far as it may.
Result<std::string> check_limits(const CoordinatorFolder& folder) {
  const auto& asked = folder.addresses().limits;
  const std::size_t files = raise_open_files(asked.connections * kDescriptorsPerConnection + kOwnDescriptors);
  const auto limits = fitting(asked, files);
  const std::string found = std::to_string(files) + " open files are room for " + std::to_string(limits.connections) +
                            " connections of the " + std::to_string(asked.connections) + " in coordinator.json";
  if (limits.connections < asked.connections)
    return unavailable(found + "; raise the limit (ulimit -n, or LimitNOFILE of the service) or ask for fewer connections");
  return found;
}

Result<std::string> check_space(const CoordinatorFolder& folder) {
  std::error_code error;
  const auto space = fs::space(folder.path(), error);
  if (error) return unavailable("the free space of '" + folder.path() + "' cannot be read: " + error.message());
  const std::string found = std::to_string(space.available >> 20) + " MiB free";
  if (space.available < kLeastSpace) return unavailable(found + "; make room: a log that cannot be written stops every run");
  return found;
}

}  // namespace

Result<void> doctor(const std::string& path, bool json) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  const std::vector<Check> checks{of("keys", check_modes(folder)),      of("log", check_log(folder)),
                                  of("models", check_records(folder)),  of("sites", check_sites(folder)),
                                  of("address", check_address(folder)), of("disk", check_space(folder)),
                                  of("limits", check_limits(folder))};
  Json all = Json::array();
  std::string failed;
  for (const auto& check : checks) {
    if (!check.ok && failed.empty()) failed = check.name + ": " + check.says;
    all.push(Json::object({{"check", check.name}, {"ok", check.ok}, {"says", check.says}}));
    if (!json) std::cout << (check.ok ? "ok      " : "FAILED  ") << check.name << ": " << check.says << '\n';
  }
  if (json) std::cout << Json::object({{"ok", failed.empty()}, {"checks", std::move(all)}}).dump() << '\n';
  if (!failed.empty()) return refused(failed);
  return {};
}

}  // namespace sotto::coordinator
