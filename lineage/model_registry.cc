#include "lineage/model_registry.h"

#include <algorithm>

#include "audit/log/signed_head.h"
#include "base/clock.h"
#include "base/files.h"

namespace sotto::lineage {
namespace {

constexpr std::size_t kMaxPassport = 1U << 20;  // bytes

Result<Json> gate_json(const std::string& text) {
  SOTTO_TRY(Json json, Json::parse(text, "the gate's findings"));
  if (!json.is_array()) return invalid("the gate's findings are no list");
  return json;
}

}  // namespace

Result<ModelRegistry> ModelRegistry::open(const std::string& folder, const crypto::SigningKey& key, RandomSource& random) {
  SOTTO_TRY_VOID(make_own_folder(folder));
  SOTTO_TRY(auto log, audit::EventLog::open(folder + "/log"));
  ModelRegistry registry(folder, std::move(log), key);
  if (registry.log_.size() == 0) {
    audit::RegistryCreated created{crypto::verify_key(key).value(), {}};
    random.fill(created.salt);
    SOTTO_TRY_VOID(registry.write(created, wall_clock()));
    return registry;
  }
  const auto first = registry.log_.event(0);
  const auto* created = std::get_if<audit::RegistryCreated>(&first);
  if (!created || created->identity != crypto::verify_key(key).value())
    return refused("'" + folder +
                   "/log' is not of the registry that this key signs; name another folder, or restore its key");
  for (std::uint64_t i = 1; i < registry.log_.size(); ++i) {
    const auto applied = registry.apply(registry.log_.event(i), registry.log_.image().records[i].time);
    if (!applied.ok()) return invalid(folder + "/log, entry " + std::to_string(i) + ": " + applied.error().message);
  }
  return registry;
}

Result<void> ModelRegistry::apply(const audit::Event& event, audit::Time at) {
  if (const auto* e = std::get_if<audit::ModelRegistered>(&event)) {
    SOTTO_TRY(auto passport, parse_passport(e->passport, "model " + to_hex(e->model).substr(0, 12)));
    if (passport.model != e->model || find(e->model))
      return invalid("the model is registered twice, or with another's passport");
    models_.push_back({std::move(passport), e->domain, at});
    return {};
  }
  if (const auto* e = std::get_if<audit::ModelPromoted>(&event)) {
    const Model* model = find(e->model);
    if (!model || model->domain != e->domain) return invalid("a model is promoted that the domain does not have");
    SOTTO_TRY(Json gate, gate_json(e->gate));
    changes_[e->domain].push_back({e->model, e->by, at, std::move(gate), "", false});
    return {};
  }
  if (const auto* e = std::get_if<audit::ModelRolledBack>(&event)) {
    if (in_use(e->domain) != e->from || !was_in_use(e->domain, e->to))
      return invalid("a way back that does not begin or end at a model that was in use");
    changes_[e->domain].push_back({e->to, e->by, at, nullptr, e->reason, true});
    return {};
  }
  return invalid("an event of another kind of log");
}

Result<void> ModelRegistry::write(const audit::Event& event, audit::Time now) {
  // Two commands may come within one clock step backwards; a log's times never fall.
  if (log_.size() > 0) now = std::max(now, log_.image().records.back().time);
  SOTTO_TRY([[maybe_unused]] const auto index, log_.append(event, now));
  if (log_.size() > 1) SOTTO_TRY_VOID(apply(event, now));
  return write_head();
}

Result<void> ModelRegistry::write_head() const {
  return write_file_atomically(folder_ + "/head.json",
                               audit::to_json(audit::sign_head(log_.image(), "registry", *key_)).dump(2) + "\n");
}

Result<const Model*> ModelRegistry::find(const std::string& id) const {
  if (id.size() < 6)
    return invalid("'" + id + "' is too short for a model; give at least 6 digits of its id (see 'models')");
  const Model* found = nullptr;
  for (const auto& model : models_) {
    if (!model.passport.id().starts_with(id)) continue;
    if (found) return invalid("'" + id + "' fits several models; give more digits");
    found = &model;
  }
  if (!found)
    return not_found("'" + folder_ + "' has no model '" + id + "'; 'models' lists them, 'register ADAPTER' adds one");
  return found;
}

const Model* ModelRegistry::find(const Digest& model) const {
  const auto at = std::ranges::find(models_, model, [](const Model& m) { return m.passport.model; });
  return at == models_.end() ? nullptr : &*at;
}

std::optional<Digest> ModelRegistry::in_use(const std::string& domain) const {
  const auto at = changes_.find(domain);
  return at == changes_.end() ? std::nullopt : std::optional(at->second.back().model);
}

bool ModelRegistry::was_in_use(const std::string& domain, const Digest& model) const {
  const auto at = changes_.find(domain);
  return at != changes_.end() && std::ranges::find(at->second, model, &Change::model) != at->second.end();
}

std::optional<audit::Time> ModelRegistry::promoted_at(const Digest& model) const {
  for (const auto& [domain, changes] : changes_)
    for (const auto& change : changes)
      if (change.model == model && !change.rolled_back) return change.at;
  return std::nullopt;
}

Result<const Model*> ModelRegistry::add(const Passport& passport, const std::string& domain, audit::Time now) {
  if (find(passport.model)) return refused("model " + passport.short_id() + " is registered already");
  const std::string own = domain.empty() ? passport.domain : domain;
  if (own.empty()) return invalid("the passport names no domain; give one with --domain NAME");
  if (!is_valid_name(own)) return invalid("the domain is '" + own.substr(0, 80) + "', must be 1 to 64 of a-z, 0-9 and '-'");
  if (!passport.domain.empty() && passport.domain != own)
    return invalid("the model was trained for domain '" + passport.domain + "', not '" + own + "'");
  if (passport.parent && !find(*passport.parent))
    return refused("its parent " + to_hex(*passport.parent).substr(0, 12) + " is not registered; register that one first");
  const std::string text = passport.json.dump();
  if (text.size() > kMaxPassport)
    return invalid("the passport has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxPassport) +
                   " are taken");
  SOTTO_TRY_VOID(write(audit::ModelRegistered{passport.model, own, text}, now));
  return &models_.back();
}

Result<void> ModelRegistry::promote(const Model& model, const std::string& by, const std::vector<Finding>& findings,
                                    audit::Time now) {
  if (by.empty() || by.size() > 200) return invalid("--by must name the person who answers for it");
  if (in_use(model.domain) == model.passport.model)
    return refused("model " + model.passport.short_id() + " is in use for '" + model.domain + "' already");
  Json gate = Json::array();
  std::string reasons;
  for (const auto& finding : findings) {
    gate.push(to_json(finding));
    if (finding.state == Finding::State::kFailed || finding.state == Finding::State::kMissing)
      reasons += "\n  " + finding.check + ": " + to_string(finding.state) + ": " + finding.sentence;
  }
  if (!lets_through(findings))
    return refused("the gate does not let model " + model.passport.short_id() + " through:" + reasons);
  return write(audit::ModelPromoted{model.passport.model, model.domain, by, gate.dump()}, now);
}

Result<Digest> ModelRegistry::roll_back(const std::string& domain, const std::optional<Digest>& to, const std::string& by,
                                        const std::string& reason, audit::Time now) {
  const auto current = in_use(domain);
  if (!current) return not_found("no model of domain '" + domain + "' was promoted yet");
  if (by.empty() || reason.empty()) return invalid("--by and --reason say who goes back, and why");
  std::optional<Digest> target = to;
  if (!target) {
    // What was in use when the current one was first promoted.
    const auto& changes = changes_.at(domain);
    const auto first = std::ranges::find(changes, *current, &Change::model);
    if (first == changes.begin())
      return refused("there is no model before " + to_hex(*current).substr(0, 12) + " to go back to");
    target = std::prev(first)->model;
  }
  if (*target == *current) return refused("model " + to_hex(*target).substr(0, 12) + " is in use already");
  if (!was_in_use(domain, *target))
    return refused("model " + to_hex(*target).substr(0, 12) + " was never promoted for '" + domain +
                   "'; 'promote' it through the gate");
  SOTTO_TRY_VOID(write(audit::ModelRolledBack{domain, *current, *target, by, reason}, now));
  return *target;
}

}  // namespace sotto::lineage
