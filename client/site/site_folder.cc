#include "client/site/site_folder.h"

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"

namespace sotto::client {
namespace {

Result<PublicKeyBytes> key_field(const Json& json, const char* name) {
  SOTTO_TRY(const std::string text, json.get_string(name));
  return digest_from_hex(text);
}

Json to_json(const SiteIdentity& site) {
  return Json::object({{"name", site.name},
                       {"declared_size", site.declared_size},
                       {"config", site.config},
                       {"endpoint", site.invite.endpoint},
                       {"coordinator_identity", to_hex(site.invite.identity)},
                       {"coordinator_transport", to_hex(site.invite.transport)}});
}

Result<SiteIdentity> site_from_json(const Json& json) {
  SiteIdentity site;
  SOTTO_TRY(site.name, json.get_string("name"));
  SOTTO_TRY(const auto size, json.get_int("declared_size"));
  site.declared_size = static_cast<std::uint64_t>(size);
  SOTTO_TRY(site.config, json.get_string("config"));
  SOTTO_TRY(site.invite.endpoint, json.get_string("endpoint"));
  SOTTO_TRY(site.invite.identity, key_field(json, "coordinator_identity"));
  SOTTO_TRY(site.invite.transport, key_field(json, "coordinator_transport"));
  site.invite.site = SiteName(site.name);
  return site;
}

}  // namespace

SiteFolder::SiteFolder(std::string path, SiteIdentity site, crypto::SigningKey identity, wire::TransportKey transport,
                       RunKey run_key)
    : path_(std::move(path)),
      site_(std::move(site)),
      identity_(std::move(identity)),
      transport_(std::move(transport)),
      run_key_(std::move(run_key)) {}

Result<SiteFolder> SiteFolder::create(const std::string& path, const SiteIdentity& site) {
  if (file_exists(path + "/site.json"))
    return refused("'" + path + "' already holds a site; use another folder with --dir, or go on with 'sotto-client run'");
  crypto::SystemRandom random;
  SOTTO_TRY_VOID(make_own_folder(path));
  for (const char* inside : {"/offers", "/decisions", "/state", "/runs"}) SOTTO_TRY_VOID(make_own_folder(path + inside));
  SOTTO_TRY_VOID(crypto::write_new_key<crypto::SigningKey>(path + "/identity.key", random));
  SOTTO_TRY_VOID(crypto::write_new_key<wire::TransportKey>(path + "/transport.key", random));
  SOTTO_TRY_VOID(crypto::write_new_key<RunKey>(path + "/run.key", random));
  SOTTO_TRY_VOID(write_file_atomically(path + "/site.json", to_json(site).dump(2) + "\n", FileMode::kPrivate));
  return open(path);
}

Result<SiteFolder> SiteFolder::open(const std::string& path) {
  if (!file_exists(path + "/site.json"))
    return not_found("'" + path + "' is not a site's folder; join a coordinator first: sotto-client join CODE --dir " +
                     path);
  SOTTO_TRY(const Json json, Json::read_file(path + "/site.json"));
  auto site = site_from_json(json);
  if (!site.ok()) return invalid(path + "/site.json: " + site.error().message);
  SOTTO_TRY(auto identity, crypto::read_key<crypto::SigningKey>(path + "/identity.key"));
  SOTTO_TRY(auto transport, crypto::read_key<wire::TransportKey>(path + "/transport.key"));
  SOTTO_TRY(auto run_key, crypto::read_key<RunKey>(path + "/run.key"));
  return SiteFolder(path, std::move(site).value(), std::move(identity), std::move(transport), std::move(run_key));
}

PublicKeyBytes SiteFolder::identity() const { return crypto::verify_key(identity_).value(); }

Result<FileLock> SiteFolder::lock() const { return FileLock::acquire(path_ + "/lock"); }

Result<void> SiteFolder::save_offer(ByteSpan plan, ByteSpan roster) const {
  SOTTO_TRY(const RunPlan decoded, decode_plan(plan));
  SOTTO_TRY(const Roster checked, decode_roster(roster));
  const std::string base = path_ + "/offers/" + decoded.run.value();
  SOTTO_TRY_VOID(write_file_atomically(base + ".plan", plan, FileMode::kPrivate));
  return write_file_atomically(base + ".roster", roster, FileMode::kPrivate);
}

Result<Offer> SiteFolder::offer(const RunId& run) const {
  const std::string base = path_ + "/offers/" + run.value();
  if (!file_exists(base + ".roster"))
    return not_found("no offer of a run '" + run.value() +
                     "' has arrived; is 'sotto-client run' connected, or the name right?");
  SOTTO_TRY(const Bytes plan, read_binary_file(base + ".plan"));
  SOTTO_TRY(const Bytes roster, read_binary_file(base + ".roster"));
  Offer out;
  SOTTO_TRY(out.plan, decode_plan(plan));
  SOTTO_TRY(out.roster, decode_roster(roster));
  out.plan_hash = crypto::sha256(plan);
  out.roster_hash = crypto::sha256(roster);
  return out;
}

std::vector<RunId> SiteFolder::offers() const {
  std::vector<RunId> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_ + "/offers", error))
    if (entry.path().extension() == ".roster") out.push_back(RunId(entry.path().stem().string()));
  std::ranges::sort(out);
  return out;
}

Result<void> SiteFolder::save_decision(const RunId& run, const Decision& decision) const {
  const Json json = Json::object({{"approve", decision.approve},
                                  {"plan", to_hex(decision.plan)},
                                  {"roster", to_hex(decision.roster)},
                                  {"reason", decision.reason}});
  return write_file_atomically(path_ + "/decisions/" + run.value(), json.dump(2) + "\n", FileMode::kPrivate);
}

std::optional<Decision> SiteFolder::decision(const RunId& run) const {
  const auto json = Json::read_file(path_ + "/decisions/" + run.value());
  if (!json.ok()) return std::nullopt;
  const auto approve = json->get_bool("approve");
  const auto plan = key_field(*json, "plan");
  const auto roster = key_field(*json, "roster");
  const auto reason = json->get_string("reason");
  if (!approve.ok() || !plan.ok() || !roster.ok() || !reason.ok()) return std::nullopt;
  return Decision{*approve, *plan, *roster, *reason};
}

Result<void> SiteFolder::save_state(const RunId& run, ByteSpan snapshot) const {
  return write_file_atomically(path_ + "/state/" + run.value(), snapshot, FileMode::kPrivate);
}

Result<std::optional<Bytes>> SiteFolder::state(const RunId& run) const {
  const std::string path = path_ + "/state/" + run.value();
  if (!file_exists(path)) return std::optional<Bytes>();
  SOTTO_TRY(Bytes bytes, read_binary_file(path));
  return std::optional<Bytes>(std::move(bytes));
}

}  // namespace sotto::client
