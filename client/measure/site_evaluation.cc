#include "client/measure/site_evaluation.h"

#include <algorithm>
#include <iostream>

#include "base/files.h"
#include "crypto/hash.h"

namespace sotto::client {
namespace {

Bytes signed_part(const std::string& site, const Json& result) {
  return ByteWriter().text("sotto/site-evaluation/v1").text(site).raw(crypto::sha256(as_bytes(result.dump()))).take();
}

template <std::size_t N>
Result<std::array<std::uint8_t, N>> fixed(const Json& json, const char* name) {
  SOTTO_TRY(const std::string text, json.get_string(name));
  SOTTO_TRY(const Bytes bytes, from_hex(text));
  if (bytes.size() != N)
    return invalid("field '" + std::string(name) + "' has " + std::to_string(bytes.size()) + " bytes, not " +
                   std::to_string(N));
  std::array<std::uint8_t, N> out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<CheckedEvaluation> checked(const Json& json) {
  CheckedEvaluation out;
  SOTTO_TRY(out.named.site, json.get_string("site"));
  if (!is_valid_name(out.named.site)) return invalid("field 'site' is no site's name ([a-z0-9-], up to 64)");
  SOTTO_TRY(out.key, fixed<32>(json, "key"));
  SOTTO_TRY(const auto signature, fixed<64>(json, "signature"));
  SOTTO_TRY([[maybe_unused]] const auto* members, json.get_object("result"));
  const Json& result = json.at("result");
  if (!crypto::verify(crypto::VerifyKey(out.key), signed_part(out.named.site, result), signature))
    return refused("the signature is not one of site '" + out.named.site +
                   "' over this result: it was changed after it was signed");
  SOTTO_TRY(out.named.sums, evaluation::site_sums_from_json(result));
  return out;
}

Result<void> check_different(const std::vector<CheckedEvaluation>& sites) {
  for (std::size_t i = 0; i < sites.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) {
      if (sites[i].named.site == sites[k].named.site) return invalid("site '" + sites[i].named.site + "' is given twice");
      if (sites[i].key == sites[k].key)
        return refused("sites '" + sites[k].named.site + "' and '" + sites[i].named.site + "' have signed with one key");
    }
  return {};
}

Result<void> check_roster(const std::string& path, const std::vector<CheckedEvaluation>& sites) {
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  const auto roster = decode_roster(bytes);
  if (!roster.ok())
    return invalid("'" + path +
                   "' is no roster (a run's record has one, 'sotto-coordinator report'): " + roster.error().message);
  for (const auto& site : sites) {
    const auto known = std::ranges::find(roster->sites, site.named.site, &RosterSite::name);
    if (known == roster->sites.end())
      return refused("site '" + site.named.site + "' does not stand in the roster '" + path + "'");
    if (known->identity != site.key)
      return refused("site '" + site.named.site + "' has another key in the roster '" + path + "' than the one that signed");
  }
  return {};
}

}  // namespace

Json signed_evaluation(const SiteFolder& site, const evaluation::SiteSums& sums) {
  const crypto::VerifyKey key(site.identity());
  Json result = evaluation::to_json(sums);
  const auto signature = crypto::sign(site.identity_key(), signed_part(site.site().name, result));
  return Json::object({{"site", site.site().name},
                       {"key", to_hex(key.value())},
                       {"fingerprint", crypto::fingerprint(key)},
                       {"result", std::move(result)},
                       {"signature", to_hex(signature)}});
}

Result<CheckedEvaluation> read_signed_evaluation(const std::string& path) {
  SOTTO_TRY(const Json json, Json::read_file(path));
  auto out = checked(json);
  if (!out.ok()) return Error{out.error().code, path + ": " + out.error().message};
  return out;
}

Result<void> pool_sites(const PoolCommand& command) {
  std::vector<CheckedEvaluation> sites;
  for (const auto& path : command.sites) {
    SOTTO_TRY(sites.emplace_back(), read_signed_evaluation(path));
  }
  SOTTO_TRY_VOID(check_different(sites));
  if (!command.roster.empty()) SOTTO_TRY_VOID(check_roster(command.roster, sites));
  std::vector<evaluation::NamedSums> sums;
  for (const auto& site : sites) sums.push_back(site.named);
  SOTTO_TRY(Json report, evaluation::pooled_json(sums));
  report.set("keys_checked", !command.roster.empty());
  if (command.json) {
    std::cout << report.dump() << "\n";
    return {};
  }
  std::cout << evaluation::pooled_text(report);
  if (!command.roster.empty()) return {};
  std::cout << "\nwhose keys these are was not checked (--roster FILE of a run's record does):\n";
  for (const auto& site : sites)
    std::cout << "  " << site.named.site << "  " << crypto::fingerprint(crypto::VerifyKey(site.key)) << "\n";
  return {};
}

}  // namespace sotto::client
