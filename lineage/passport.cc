#include "lineage/passport.h"

#include <cmath>

#include "audit/ledger/accounting.h"
#include "crypto/hash.h"
#include "lineage/weights.h"
#include "plan/plan_json.h"

namespace sotto::lineage {
namespace {

constexpr const char* kFormat = "sotto/passport/1";

Result<Digest> digest_at(const Json& json, const char* name) {
  SOTTO_TRY(const std::string hex, json.get_string(name));
  const auto digest = digest_from_hex(hex);
  if (!digest.ok())
    return invalid(std::string("'") + name + "' is '" + hex.substr(0, 70) +
                   "', which is no SHA-256 of 64 hexadecimal digits");
  return *digest;
}

Result<Passport> take(Json json) {
  Passport out;
  SOTTO_TRY(const std::string format, json.get_string("format"));
  if (format != kFormat) return unsupported("the format is '" + format.substr(0, 40) + "'; this version reads " + kFormat);
  SOTTO_TRY(out.model, digest_at(json, "model"));
  SOTTO_TRY(out.adapter, digest_at(json, "adapter"));
  SOTTO_TRY(out.base, digest_at(json, "base"));
  const Json* parent = json.find("parent");
  if (parent && !parent->is_null()) {
    SOTTO_TRY(out.parent, digest_at(json, "parent"));
  }
  SOTTO_TRY(out.domain, json.get_string("domain"));
  SOTTO_TRY(out.run, json.get_string("run"));
  SOTTO_TRY(const std::string hex, json.get_string("plan"));
  SOTTO_TRY(const Bytes bytes, from_hex(hex));
  SOTTO_TRY(out.plan, decode_plan(bytes));
  if (out.plan.run.value() != out.run || out.plan.model != out.base)
    return invalid("its plan is of another run or base model than it names");
  for (const char* member : {"privacy", "data", "hyper_parameters", "log"})
    SOTTO_TRY_VOID(json.get_object(member).ok() ? Result<void>() : json.get_object(member).error());
  for (const char* member : {"evaluations", "approvals"})
    SOTTO_TRY_VOID(json.get_array(member).ok() ? Result<void>() : json.get_array(member).error());
  out.json = std::move(json);
  return out;
}

// As reports print it: up, to four decimals.
Json epsilon_json(double epsilon) { return audit::rounded_up(epsilon); }

Json privacy_json(const RunFacts& facts) {
  const RunPlan& plan = *facts.plan;
  const std::string usual = audit::relation_text({}, to_string(plan.unit));
  return Json::object({{"guarantee", plan.privacy},
                       {"unit", to_string(plan.unit)},
                       {"epsilon", epsilon_json(facts.epsilon)},
                       {"delta", plan.delta},
                       {"epsilon_with_earlier_runs", epsilon_json(facts.epsilon_with_earlier_runs)},
                       {"neighbours", facts.neighbours.empty() ? usual : facts.neighbours},
                       {"neighbours_with_earlier_runs",
                        facts.neighbours_with_earlier_runs.empty() ? usual : facts.neighbours_with_earlier_runs}});
}

}  // namespace

Result<Passport> parse_passport(const std::string& text, const std::string& origin) {
  SOTTO_TRY(Json json, Json::parse(text, origin));
  auto out = take(std::move(json));
  if (!out.ok()) return Error{out.error().code, origin + ": the passport: " + out.error().message};
  return out;
}

Json make_passport(const RunFacts& facts) {
  const RunPlan& plan = *facts.plan;
  Json out = Json::object({{"format", kFormat},
                           {"model", to_hex(weights_of(*facts.adapter))},
                           {"adapter", to_hex(crypto::sha256(encode(*facts.adapter)))},
                           {"base", to_hex(plan.model)},
                           {"parent", facts.parent ? Json(to_hex(*facts.parent)) : Json()},
                           {"domain", facts.domain},
                           {"run", plan.run.value()},
                           {"trained", facts.federated ? "federated" : "alone"},
                           {"precision", facts.precision},
                           {"rounds", plan.rounds},
                           {"steps", facts.steps}});
  out.set("privacy", privacy_json(facts));
  out.set("data", facts.data);
  out.set("recipe", facts.recipe);
  out.set("hyper_parameters", to_json(plan));
  out.set("plan", to_hex(encode(plan)));
  out.set("log", facts.log);
  out.set("evaluations", Json::array());
  out.set("approvals", Json::array());
  return out;
}

}  // namespace sotto::lineage
