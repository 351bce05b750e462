#include "coordinator/server/folder_writer.h"

#include <algorithm>
#include <map>

#include "base/log.h"

namespace sotto::coordinator {
namespace {

Result<SiteName> site_of(const Json& request) {
  SOTTO_TRY(const auto name, request.get_string("site"));
  if (!is_valid_name(name)) return invalid("'" + name + "' is no site name: 1 to 64 of a-z, 0-9 and '-'");
  return SiteName(name);
}

Result<Bytes> bytes_of(const Json& request, const char* member) {
  SOTTO_TRY(const auto text, request.get_string(member));
  return from_hex(text);
}

// registry.json decides who is let in, and only the log is signed: every site that it calls approved must stand in the log as it is.
Result<void> check_against_log(const CoordinatorFolder& folder, const SiteList& sites, const audit::LogImage& log) {
  std::map<std::string, audit::SiteEnrolled> enrolled;
  for (const auto& record : log.records) {
    if (record.index == 0) {
      SOTTO_TRY(const auto event, audit::decode_event(record.type, record.payload));
      const auto* created = std::get_if<audit::CoordinatorCreated>(&event);
      if (!created || created->identity != folder.identity())
        return refused("'" + folder.path() + "/identity.key' is not the key that '" + folder.log_path() +
                       "' was begun with; restore the key that belongs to this log from a backup");
    }
    if (record.type != audit::EventType::kSiteEnrolled) continue;
    SOTTO_TRY(auto event, audit::decode_event(record.type, record.payload));
    auto& site = std::get<audit::SiteEnrolled>(event);
    enrolled[site.site] = std::move(site);
  }
  for (const Site& site : sites.approved()) {
    const auto at = enrolled.find(site.name.value());
    if (at != enrolled.end() && at->second.identity == site.identity && at->second.transport == site.transport &&
        at->second.declared_size == site.declared_size)
      continue;
    return refused("'" + folder.registry_path() + "' calls site '" + site.name.value() + "' approved with " +
                   (at == enrolled.end() ? "keys of which the log knows nothing"
                                         : "other keys, or another declared size, than the log") +
                   ": the file was changed by hand. Restore it from a backup, or set the site's state to \"revoked\" there "
                   "and invite it "
                   "anew");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<FolderWriter>> FolderWriter::open(const CoordinatorFolder& folder, RandomSource& random) {
  SOTTO_TRY(auto lock, folder.lock());
  SOTTO_TRY(auto event_log, audit::EventLog::open(folder.log_path()));
  if (!event_log.recovered().empty()) log(Level::kWarning, "log_recovered", {{"what", event_log.recovered()}});
  if (event_log.size() == 0) return invalid("'" + folder.log_path() + "' is empty; restore it from a backup");
  std::unique_ptr<FolderWriter> writer(new FolderWriter(folder, random, std::move(lock), std::move(event_log)));
  SOTTO_TRY(writer->history_, History::replay(writer->log_.image()));
  SOTTO_TRY(auto registry, SiteList::open(folder.registry_path()));
  SOTTO_TRY_VOID(check_against_log(folder, registry, writer->log_.image()));
  writer->registry_.emplace(std::move(registry));
  SOTTO_TRY(auto index, store::RunIndex::open(folder.index_path()));
  writer->index_.emplace(std::move(index));
  SOTTO_TRY(auto scheduler, RunScheduler::open(writer->run_log(), *writer->registry_, *writer->index_));
  writer->scheduler_.emplace(std::move(scheduler));
  return writer;
}

Result<FolderWriter::Answer> FolderWriter::execute(const Json& request) {
  SOTTO_TRY(const auto command, request.get_string("command"));
  if (command == "submit") return submit(request);
  if (command == "stop") {
    SOTTO_TRY(const auto run, request.get_string("run"));
    SOTTO_TRY(auto out, scheduler_->stop(RunId(run)));
    return Answer{Json::object({{"run", run}, {"state", "stopped"}}), std::move(out), std::nullopt};
  }
  SOTTO_TRY(const auto site, site_of(request));
  if (command == "invite") return invite(site);
  if (command == "approve") return approve(site);
  if (command == "revoke") return revoke(site);
  return invalid("unknown command '" + command + "'");
}

Result<FolderWriter::Answer> FolderWriter::invite(const SiteName& site) {
  const auto& addresses = folder_->addresses();
  const std::string& endpoint = addresses.reachable.empty() ? addresses.listen : addresses.reachable;
  if (endpoint.find("//0.0.0.0:") != std::string::npos || endpoint.find("//*:") != std::string::npos)
    return refused("sites cannot reach " + endpoint + ": set \"reachable\" in '" + folder_->path() +
                   "/coordinator.json' to tcp://HOST:PORT as sites see this coordinator");
  const bool replaces = registry_->find(site) != nullptr;
  SOTTO_TRY(const auto token, registry_->invite(site, *random_));
  const wire::Invite invite{site, endpoint, wire::transport_public_key(folder_->transport_key()), folder_->identity(),
                            token};
  log(Level::kInfo, "site_invited", {{"site", site.value()}});
  return Answer{
      Json::object({{"site", site.value()}, {"code", wire::to_code(invite)}, {"fingerprint", folder_->fingerprint()}}),
      {},
      replaces ? std::optional(site) : std::nullopt};
}

Result<FolderWriter::Answer> FolderWriter::approve(const SiteName& name) {
  SOTTO_TRY(const Site site, registry_->approvable(name));
  if (site.state != SiteState::kApproved) {
    // The log first: a site that is approved and does not stand there would be taken for a forgery after a crash.
    SOTTO_TRY_VOID(
        run_log().append(audit::SiteEnrolled{site.name.value(), site.identity, site.transport, site.declared_size}));
    SOTTO_TRY_VOID(registry_->approve(name));
    SOTTO_TRY_VOID(scheduler_->refresh_sites());
    log(Level::kInfo, "site_approved", {{"site", name.value()}, {"fingerprint", site.fingerprint()}});
  }
  return Answer{Json::object({{"site", name.value()},
                              {"state", "approved"},
                              {"fingerprint", site.fingerprint()},
                              {"declared_size", site.declared_size}}),
                {},
                {}};
}

Result<FolderWriter::Answer> FolderWriter::revoke(const SiteName& site) {
  SOTTO_TRY_VOID(registry_->revoke(site));
  log(Level::kWarning, "site_revoked", {{"site", site.value()}});
  return Answer{Json::object({{"site", site.value()}, {"state", "revoked"}}), {}, site};
}

// The roster must be made of sites as they are enrolled here now: the command's process may have read an older registry.
Result<FolderWriter::Answer> FolderWriter::submit(const Json& request) {
  SOTTO_TRY(const Bytes plan_bytes, bytes_of(request, "plan"));
  SOTTO_TRY(const Bytes roster_bytes, bytes_of(request, "roster"));
  SOTTO_TRY(const RunPlan plan, decode_plan(plan_bytes));
  SOTTO_TRY(const Roster roster, decode_roster(roster_bytes));
  if (roster.coordinator != folder_->identity()) return refused("the roster names another coordinator");
  for (const auto& site : roster.sites) {
    const Site* known = registry_->find(SiteName(site.name));
    if (!known || known->state != SiteState::kApproved || known->identity != site.identity ||
        known->transport != site.transport || known->declared_size != site.declared_size)
      return refused("site '" + site.name + "' is not approved any more, or has changed; submit again");
  }
  SOTTO_TRY(auto out, scheduler_->submit(plan, roster));
  log(Level::kInfo, "run_submitted", {{"run", plan.run.value()}, {"sites", roster.sites.size()}});
  return Answer{Json::object({{"run", plan.run.value()}, {"state", "waiting"}}), std::move(out), std::nullopt};
}

}  // namespace sotto::coordinator
