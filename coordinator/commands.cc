#include "coordinator/commands.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "audit/report/report.h"
#include "audit/run/run_folder.h"
#include "base/log.h"
#include "base/program/process.h"
#include "coordinator/folder/command_queue.h"
#include "coordinator/runs/parent.h"
#include "coordinator/runs/plan_report.h"
#include "coordinator/server/server.h"
#include "crypto/system_random.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

volatile std::sig_atomic_t stop_asked = 0;
void ask_to_stop(int) { stop_asked = 1; }

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }
void print(const Json& json) { print(json.dump() + "\n"); }

// Asks the running server, or does it here when the folder is free.
Result<Json> ask(const CoordinatorFolder& folder, const Json& request) {
  crypto::SystemRandom random;
  if (!folder.lock().ok()) return ask_server(folder.spool_path(), request, random, 30s);
  SOTTO_TRY(auto writer, FolderWriter::open(folder, random));
  SOTTO_TRY(const auto answer, writer->execute(request));
  return answer.json;
}

Result<PlanReport> planned(const PlanRequest& request, const CoordinatorFolder& folder) {
  SOTTO_TRY(auto file, plan::read_plan_file(request.file));
  if (request.allow_two_sites) file.plan.allow_two_sites = true;
  if (!file.parent_run.empty()) {
    if (const auto set = set_parent(folder, file.parent_run, file.plan); !set.ok()) return plan::in_file(file, set.error());
  }
  SOTTO_TRY(const auto registry, SiteList::open(folder.registry_path()));
  SOTTO_TRY(auto proposal, propose(file, registry.approved(), folder.identity()));
  return report_on(file, std::move(proposal));
}

Result<void> copy_file(const std::string& from, const std::string& to) {
  SOTTO_TRY(const Bytes bytes, read_binary_file(from));
  SOTTO_TRY_VOID(make_folder(fs::path(to).parent_path().string()));
  return write_file_atomically(to, bytes);
}

}  // namespace

Result<void> init(const InitRequest& request) {
  Addresses addresses;
  if (!request.config.empty()) {
    SOTTO_TRY(addresses, read_addresses(request.config));
  }
  if (!request.listen.empty()) addresses.listen = request.listen;
  if (!request.reachable.empty()) addresses.reachable = request.reachable;
  for (const auto& endpoint : {addresses.listen, addresses.reachable})
    if (!endpoint.empty()) SOTTO_TRY_VOID(wire::check_endpoint(endpoint));
  crypto::SystemRandom random;
  if (addresses.listen.ends_with(":0")) {
    // Chosen once: sites go on looking for the coordinator where their invite says.
    SOTTO_TRY(const auto link, wire::RouterLink::bind(addresses.listen, wire::TransportKey::random(random)));
    addresses.listen = link.endpoint();
  }
  SOTTO_TRY(const auto folder, CoordinatorFolder::create(request.folder, addresses, random));
  print("coordinator made in '" + folder.path() + "'\n  fingerprint  " + folder.fingerprint() + "\n  listens on   " +
        addresses.listen + "\nnext: sotto-coordinator serve --dir " + folder.path() + ", and invite sites\n");
  return {};
}

Result<void> invite(const std::string& path, const std::string& site, bool json) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  SOTTO_TRY(const auto answer, ask(folder, Json::object({{"command", "invite"}, {"site", site}})));
  if (json) {
    print(answer);
    return {};
  }
  SOTTO_TRY(const auto code, answer.get_string("code"));
  print("send this code to the engineer of '" + site + "' by a private way; it works once:\n\n" + code +
        "\n\nand tell by telephone this coordinator's fingerprint:\n\n  " + folder.fingerprint() + "\n");
  return {};
}

Result<void> list_sites(const std::string& path, bool json) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  SOTTO_TRY(const auto registry, SiteList::open(folder.registry_path()));
  Json::Array all;
  std::string text;
  for (const auto& site : registry.sites()) {
    all.push_back(Json::object({{"name", site.name.value()},
                                {"state", to_string(site.state)},
                                {"declared_size", site.declared_size},
                                {"fingerprint", site.fingerprint()}}));
    char line[256];
    std::snprintf(line, sizeof line, "%-24s %-9s %10llu  %s\n", site.name.value().c_str(), to_string(site.state),
                  static_cast<unsigned long long>(site.declared_size), site.fingerprint().c_str());
    text += line;
  }
  if (json)
    print(Json(std::move(all)));
  else
    print(text.empty() ? "no sites yet; invite one: sotto-coordinator invite NAME\n" : text);
  return {};
}

Result<void> approve(const std::string& path, const std::string& site, const std::string& fingerprint) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  if (!fingerprint.empty()) {
    SOTTO_TRY(const auto registry, SiteList::open(folder.registry_path()));
    const Site* known = registry.find(SiteName(site));
    if (known && !crypto::fingerprint_matches(fingerprint, crypto::VerifyKey(known->identity)))
      return refused("the fingerprint of site '" + site + "' is " + known->fingerprint() +
                     ", not the one given; do not approve it");
  }
  SOTTO_TRY(const auto answer, ask(folder, Json::object({{"command", "approve"}, {"site", site}})));
  SOTTO_TRY(const auto approved, answer.get_string("fingerprint"));
  print("approved '" + site + "', fingerprint " + approved + "\n");
  return {};
}

Result<void> revoke(const std::string& path, const std::string& site) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  SOTTO_TRY([[maybe_unused]] const auto answer, ask(folder, Json::object({{"command", "revoke"}, {"site", site}})));
  print("revoked '" + site + "': it is not let in any more; runs that have it in their roster go on without it\n");
  return {};
}

Result<void> plan(const PlanRequest& request) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(request.folder));
  SOTTO_TRY(const auto report, planned(request, folder));
  print(request.json ? to_json(report).dump() + "\n" : to_text(report));
  return {};
}

Result<void> submit(const PlanRequest& request) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(request.folder));
  SOTTO_TRY(const auto report, planned(request, folder));
  const auto& [plan, roster] = report.proposal;
  if (!request.json) print(to_text(report));
  SOTTO_TRY([[maybe_unused]] const auto answer,
            ask(folder,
                Json::object({{"command", "submit"}, {"plan", to_hex(encode(plan))}, {"roster", to_hex(encode(roster))}})));
  if (request.json)
    print(to_json(report));
  else
    print("\nsubmitted; it starts when every site has approved it. Watch it: sotto-coordinator watch " + plan.run.value() +
          "\n");
  return {};
}

Result<void> stop(const std::string& path, const std::string& run) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  SOTTO_TRY([[maybe_unused]] const auto answer, ask(folder, Json::object({{"command", "stop"}, {"run", run}})));
  print("stopped '" + run + "'\n");
  return {};
}

namespace {

// Sites deliver their logs in the moments after a run's end: a report that is asked for right then waits for them.
void wait_for_records(const std::string& run_path, const Roster& roster) {
  for (int tries = 0; tries < 50; ++tries) {
    if (std::ranges::all_of(roster.sites,
                            [&](const auto& site) { return file_exists(run_path + "/" + audit::head_file(site.name)); }))
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

// A party's log and head as they belong together: the coordinator may be at writing one after the other.
Result<void> copy_record(const std::string& from, const std::string& to, const std::string& party) {
  for (int tries = 0;; ++tries) {
    SOTTO_TRY_VOID(copy_file(from + "/" + audit::log_file(party), to + "/" + audit::log_file(party)));
    SOTTO_TRY_VOID(copy_file(from + "/" + audit::head_file(party), to + "/" + audit::head_file(party)));
    SOTTO_TRY(const Bytes log, read_binary_file(to + "/" + audit::log_file(party)));
    SOTTO_TRY(const Json head_json, Json::read_file(to + "/" + audit::head_file(party)));
    const auto head = audit::head_from_json(head_json);
    const bool together = head.ok() && audit::parse_log(log).image.records.size() == head->size;
    if (together || tries == 50) return {};  // what does not match is for verify to tell
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

Result<void> report(const std::string& path, const std::string& name, const std::string& out) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  if (!is_valid_name(name)) return invalid("'" + name + "' is no run name");
  const std::string from = folder.run_path(RunId(name));
  if (!file_exists(from + "/run.json"))
    return not_found("run '" + name +
                     "' has no record yet; it is written when the run is over (see 'sotto-coordinator runs')");
  SOTTO_TRY(const Bytes roster_bytes, read_binary_file(from + "/roster"));
  SOTTO_TRY(const Roster roster, decode_roster(roster_bytes));
  wait_for_records(from, roster);
  std::vector<std::string> parties{audit::kCoordinatorParty};
  for (const auto& site : roster.sites) {
    if (!file_exists(from + "/" + audit::head_file(site.name))) {
      log(Level::kWarning, "record_missing",
          {{"site", site.name}, {"next_step", "it arrives when the site connects again; then ask for the report again"}});
      continue;
    }
    parties.push_back(site.name);
  }
  for (const char* file : {"/run.json", "/roster"}) SOTTO_TRY_VOID(copy_file(from + file, out + file));
  for (const auto& party : parties) SOTTO_TRY_VOID(copy_record(from, out, party));
  SOTTO_TRY(const auto run_folder, audit::read_run_folder(out));
  SOTTO_TRY_VOID(audit::write_report(run_folder));
  print("report of '" + name + "' in '" + out + "'; check it with: sotto-audit verify " + out + "\n");
  return {};
}

Result<void> serve(const std::string& path) {
  keep_memory_private();
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  crypto::SystemRandom random;
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  SOTTO_TRY(auto server, Server::open(folder, random));
  return server.run([] { return stop_asked != 0; });
}

}  // namespace sotto::coordinator
