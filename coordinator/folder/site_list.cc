#include "coordinator/folder/site_list.h"

#include <algorithm>

#include "base/files.h"
#include "crypto/hash.h"
#include "crypto/statement.h"

namespace sotto::coordinator {
namespace {

constexpr SiteState kStates[] = {SiteState::kInvited, SiteState::kJoined, SiteState::kApproved, SiteState::kRevoked};

bool has_keys(const Site& site) { return site.identity != PublicKeyBytes{}; }

Result<Digest> digest_field(const Json& json, const char* name) {
  SOTTO_TRY(const auto text, json.get_string(name));
  return digest_from_hex(text);
}

Result<Site> site_from_json(const Json& json) {
  Site site;
  SOTTO_TRY(const auto name, json.get_string("name"));
  if (!is_valid_name(name)) return invalid("'" + name + "' is no site name");
  site.name = SiteName(name);
  SOTTO_TRY(const auto state, json.get_string("state"));
  const auto known = std::ranges::find_if(kStates, [&](SiteState s) { return state == to_string(s); });
  if (known == std::end(kStates)) return invalid("site '" + name + "' has the unknown state '" + state + "'");
  site.state = *known;
  SOTTO_TRY(site.token_hash, digest_field(json, "token_hash"));
  SOTTO_TRY(site.identity, digest_field(json, "identity"));
  SOTTO_TRY(site.transport, digest_field(json, "transport"));
  SOTTO_TRY(const auto size, json.get_int("declared_size"));
  site.declared_size = static_cast<std::uint64_t>(size);
  return site;
}

crypto::Statement join_statement(const wire::Join& m, const PublicKeyBytes& transport) {
  return {wire::label_of(m), m.name, {}, RoundId(0), AttemptId(0), {}, crypto::sha256(wire::body(m, transport))};
}

}  // namespace

const char* to_string(SiteState state) {
  switch (state) {
    case SiteState::kInvited: return "invited";
    case SiteState::kJoined: return "joined";
    case SiteState::kApproved: return "approved";
    case SiteState::kRevoked: return "revoked";
  }
  return "?";
}

std::string Site::fingerprint() const {
  return has_keys(*this) ? crypto::fingerprint(crypto::VerifyKey(identity)) : std::string();
}

Json to_json(const Site& site) {
  return Json::object({{"name", site.name.value()},
                       {"state", to_string(site.state)},
                       {"token_hash", to_hex(site.token_hash)},
                       {"identity", to_hex(site.identity)},
                       {"transport", to_hex(site.transport)},
                       {"declared_size", site.declared_size}});
}

Result<SiteList> SiteList::open(const std::string& path) {
  SiteList registry(path);
  if (!file_exists(path)) return registry;
  SOTTO_TRY(const Json json, Json::read_file(path));
  SOTTO_TRY(const auto* sites, json.get_array("sites"));
  for (const auto& item : *sites) {
    auto site = site_from_json(item);
    if (!site.ok()) return invalid(path + ": " + site.error().message + "; restore the file from a backup");
    registry.sites_.push_back(std::move(site).value());
  }
  return registry;
}

Result<void> SiteList::save() const {
  Json::Array sites;
  for (const auto& site : sites_) sites.push_back(to_json(site));
  return write_file_atomically(path_, Json::object({{"sites", Json(std::move(sites))}}).dump(2) + "\n", FileMode::kPrivate);
}

const Site* SiteList::find(const SiteName& name) const {
  const auto site = std::ranges::find(sites_, name, &Site::name);
  return site == sites_.end() ? nullptr : &*site;
}

Site* SiteList::find_mutable(const SiteName& name) {
  const auto site = std::ranges::find(sites_, name, &Site::name);
  return site == sites_.end() ? nullptr : &*site;
}

std::vector<Site> SiteList::approved() const {
  std::vector<Site> out;
  std::ranges::copy_if(sites_, std::back_inserter(out), [](const Site& s) { return s.state == SiteState::kApproved; });
  return out;
}

Result<std::array<std::uint8_t, 16>> SiteList::invite(const SiteName& name, RandomSource& random) {
  if (!is_valid_name(name.value()) || name.value() == wire::kCoordinatorName)
    return invalid("'" + name.value() + "' is no site name: 1 to 64 of a-z, 0-9 and '-', and not '" +
                   wire::kCoordinatorName + "'");
  Site* site = find_mutable(name);
  if (site && site->state == SiteState::kApproved)
    return refused("site '" + name.value() + "' is approved already; revoke it first to enrol it anew");
  std::array<std::uint8_t, 16> token{};
  random.fill(token);
  Site fresh;
  fresh.name = name;
  fresh.token_hash = crypto::sha256(token);
  if (site)
    *site = fresh;
  else
    sites_.insert(std::ranges::lower_bound(sites_, name, {}, &Site::name), fresh);
  SOTTO_TRY_VOID(save());
  return token;
}

Result<void> SiteList::join(const wire::Join& m, const PublicKeyBytes& transport) {
  Site* site = find_mutable(SiteName(m.name));
  const Error no_invite =
      refused("there is no open invite for '" + m.name + "' with this code; ask the operator for a new one");
  if (!site || site->state == SiteState::kRevoked) return no_invite;
  if (!crypto::verify_statement(crypto::VerifyKey(m.identity), join_statement(m, transport), m.signature).ok())
    return protocol_error("the signature of the join message of '" + m.name + "' does not hold");
  if (m.declared_size == 0) return invalid("'" + m.name + "' declares no units; a site has at least one");
  if (site->state != SiteState::kInvited) {
    const bool same = site->identity == m.identity && site->transport == transport && site->declared_size == m.declared_size;
    if (same) return {};
    return refused("'" + m.name + "' has joined with other keys or another size; the operator can invite it anew");
  }
  const Digest hash = crypto::sha256(m.token);
  if (!crypto::equal_in_constant_time(hash, site->token_hash)) return no_invite;
  for (const auto& other : sites_)
    if (other.name != site->name && (other.identity == m.identity || other.transport == transport))
      return refused("another site has these keys; every site needs a folder of its own");
  site->state = SiteState::kJoined;
  site->token_hash = {};
  site->identity = m.identity;
  site->transport = transport;
  site->declared_size = m.declared_size;
  return save();
}

Result<Site> SiteList::approvable(const SiteName& name) const {
  const Site* site = find(name);
  if (!site) return not_found("there is no site '" + name.value() + "'; 'sotto-coordinator sites' lists them");
  switch (site->state) {
    case SiteState::kInvited:
      return refused("site '" + name.value() + "' has not joined yet; its engineer runs 'sotto-client join CODE'");
    case SiteState::kRevoked: return refused("site '" + name.value() + "' was revoked; invite it anew");
    case SiteState::kJoined:
    case SiteState::kApproved: break;
  }
  return *site;
}

Result<void> SiteList::approve(const SiteName& name) {
  SOTTO_TRY([[maybe_unused]] const Site site, approvable(name));
  find_mutable(name)->state = SiteState::kApproved;
  return save();
}

Result<void> SiteList::revoke(const SiteName& name) {
  Site* site = find_mutable(name);
  if (!site) return not_found("there is no site '" + name.value() + "'; 'sotto-coordinator sites' lists them");
  site->state = SiteState::kRevoked;
  site->token_hash = {};
  return save();
}

wire::Admission SiteList::admission() const {
  wire::Admission admission;
  for (const auto& site : sites_) {
    if (site.state == SiteState::kInvited) admission.unknown_may_join = true;
    if (site.state == SiteState::kJoined || site.state == SiteState::kApproved)
      admission.sites.emplace(site.transport, site.name);
  }
  return admission;
}

}  // namespace sotto::coordinator
