#include "coordinator/folder/coordinator_folder.h"

#include "audit/log/event_log.h"
#include "base/clock.h"
#include "base/config_reader.h"
#include "base/json.h"
#include "crypto/key_file.h"

namespace sotto::coordinator {
namespace {

// The limits of connections under their names in coordinator.toml and coordinator.json.
struct LimitName {
  const char* name;
  std::size_t wire::ConnectionLimits::* member;
};
constexpr LimitName kLimits[] = {{"connections", &wire::ConnectionLimits::connections},
                                 {"unproven_connections", &wire::ConnectionLimits::unproven},
                                 {"unproven_connections_per_source", &wire::ConnectionLimits::unproven_per_source}};
constexpr std::int64_t kMostConnections = 100000;

}  // namespace

Result<Addresses> read_addresses(const std::string& path) {
  SOTTO_TRY(auto config, ConfigReader::read_file(path));
  Addresses out;
  out.listen = config.text("listen", out.listen);
  out.reachable = config.text("reachable", "");
  for (const auto& [key, value] : {std::pair{"listen", out.listen}, std::pair{"reachable", out.reachable}})
    if (!value.empty() && !value.starts_with("tcp://")) config.reject(key, "'" + value + "' is not tcp://ADDRESS:PORT");
  for (const auto& [name, member] : kLimits) {
    const auto value = config.integer(name, static_cast<std::int64_t>(out.limits.*member));
    if (value < 1 || value > kMostConnections)
      config.reject(name, std::to_string(value) + " is not from 1 to " + std::to_string(kMostConnections));
    out.limits.*member = static_cast<std::size_t>(value);
  }
  SOTTO_TRY_VOID(config.finish());
  return out;
}

Result<CoordinatorFolder> CoordinatorFolder::create(const std::string& path, const Addresses& addresses,
                                                    RandomSource& random) {
  if (file_exists(path + "/coordinator.json"))
    return refused("'" + path +
                   "' already holds a coordinator; use another folder with --dir, or go on with 'sotto-coordinator serve'");
  SOTTO_TRY_VOID(make_own_folder(path));
  for (const char* inside : {"/spool", "/runs"}) SOTTO_TRY_VOID(make_own_folder(path + inside));
  SOTTO_TRY_VOID(crypto::write_new_key<crypto::SigningKey>(path + "/identity.key", random));
  SOTTO_TRY_VOID(crypto::write_new_key<wire::TransportKey>(path + "/transport.key", random));
  Json json = Json::object({{"listen", addresses.listen}, {"reachable", addresses.reachable}});
  for (const auto& [name, member] : kLimits) json.set(name, static_cast<std::int64_t>(addresses.limits.*member));
  SOTTO_TRY(auto identity, crypto::read_key<crypto::SigningKey>(path + "/identity.key"));
  SOTTO_TRY(auto transport, crypto::read_key<wire::TransportKey>(path + "/transport.key"));
  CoordinatorFolder folder(path, addresses, std::move(identity), std::move(transport));
  {
    SOTTO_TRY(auto log, audit::EventLog::open(folder.log_path()));
    audit::CoordinatorCreated created{folder.identity(), {}};
    random.fill(created.salt);
    const auto now = wall_clock();
    SOTTO_TRY([[maybe_unused]] const auto index, log.append(created, now));
  }
  // Last, so that a folder with this file is whole.
  SOTTO_TRY_VOID(write_file_atomically(path + "/coordinator.json", json.dump(2) + "\n", FileMode::kPrivate));
  return folder;
}

Result<CoordinatorFolder> CoordinatorFolder::open(const std::string& path) {
  if (!file_exists(path + "/coordinator.json"))
    return not_found("'" + path + "' is not a coordinator's folder; make one: sotto-coordinator init --dir " + path);
  SOTTO_TRY(const Json json, Json::read_file(path + "/coordinator.json"));
  Addresses addresses;
  SOTTO_TRY(addresses.listen, json.get_string("listen"));
  SOTTO_TRY(addresses.reachable, json.get_string("reachable"));
  for (const auto& [name, member] : kLimits) {
    if (!json.find(name)) continue;  // a folder that an earlier version made
    SOTTO_TRY(const auto value, json.get_int(name));
    if (value < 1 || value > kMostConnections)
      return invalid("'" + path + "/coordinator.json': " + name + " is " + std::to_string(value) + ", must be from 1 to " +
                     std::to_string(kMostConnections));
    addresses.limits.*member = static_cast<std::size_t>(value);
  }
  SOTTO_TRY(auto identity, crypto::read_key<crypto::SigningKey>(path + "/identity.key"));
  SOTTO_TRY(auto transport, crypto::read_key<wire::TransportKey>(path + "/transport.key"));
  return CoordinatorFolder(path, std::move(addresses), std::move(identity), std::move(transport));
}

PublicKeyBytes CoordinatorFolder::identity() const { return crypto::verify_key(identity_).value(); }
std::string CoordinatorFolder::fingerprint() const { return crypto::fingerprint(crypto::verify_key(identity_)); }

}  // namespace sotto::coordinator
