#include "lineage/card.h"

#include "audit/log/log_reader.h"

namespace sotto::lineage {
namespace {

// Nobody's text may become Markdown or HTML of its own.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\`*_{}[]<>#|!").find(c) != std::string_view::npos) out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

std::string shown(const Json& value) {
  if (value.is_string()) return plain(value.as_string());
  if (value.is_null()) return "-";
  return plain(value.dump());
}

std::string rows_of(const Json& object) {
  std::string out;
  for (const auto& [name, value] : object.members()) {
    if (value.is_object()) {
      for (const auto& [inner, v] : value.members())
        out += "| " + plain(name) + ": " + plain(inner) + " | " + shown(v) + " |\n";
    } else {
      out += "| " + plain(name) + " | " + shown(value) + " |\n";
    }
  }
  return out;
}

std::string privacy_text(const Passport& passport) {
  const Json& privacy = passport.json.at("privacy");
  const std::string unit = privacy.at("unit").as_string();
  if (!privacy.at("guarantee").as_bool())
    return "**None.** The model was trained without clipping and noise: it may give away what stood in its training data. "
           "Treat it as the data itself.\n";
  const Json* with_earlier = privacy.find("neighbours_with_earlier_runs");
  const bool same = with_earlier == nullptr || with_earlier->dump() == privacy.at("neighbours").dump();
  return "Differential privacy for each " + unit + ": epsilon **" + shown(privacy.at("epsilon")) + "** at delta " +
         shown(privacy.at("delta")) + " (" + shown(privacy.at("neighbours")) + ") for this training run, and **" +
         shown(privacy.at("epsilon_with_earlier_runs")) +
         "** together with everything else that the same data had spent when it ended" +
         (same ? "" : " (" + shown(*with_earlier) + ")") +
         ". Whoever holds the model learns at most that much about whether somebody's records were in it. "
         "Numbers that were measured on private items, below, are not covered by it.\n";
}

std::string findings_text(const Json& gate) {
  std::string out = "| check | result | |\n|---|---|---|\n";
  for (const auto& finding : gate.items())
    out += "| " + shown(finding.at("check")) + " | " +
           (finding.at("state").as_string() == "waived" ? "**waived**" : shown(finding.at("state"))) + " | " +
           shown(finding.at("says")) + " |\n";
  return out;
}

std::string lineage_of(const ModelRegistry& registry, const Model& model) {
  std::string out = "- this model: `" + model.passport.id() + "`\n";
  for (const Model* m = &model; m && m->passport.parent; m = registry.find(*m->passport.parent))
    out += "- trained on from: `" + to_hex(*m->passport.parent) + "`\n";
  return out + "- base model: `" + to_hex(model.passport.base) + "`\n";
}

std::string history_text(const ModelRegistry& registry, const Model& model) {
  std::string out;
  const auto changes = registry.changes().find(model.domain);
  if (changes == registry.changes().end()) return out;
  for (const auto& change : changes->second)
    out += "- " + audit::iso_time(change.at) + ": " + (change.rolled_back ? "back to `" : "promoted `") +
           to_hex(change.model).substr(0, 12) + "` by " + plain(change.by) +
           (change.reason.empty() ? "" : ": " + plain(change.reason)) + "\n";
  return out;
}

}  // namespace

const Change* promotion_of(const ModelRegistry& registry, const Model& model) {
  const auto changes = registry.changes().find(model.domain);
  if (changes == registry.changes().end()) return nullptr;
  for (auto at = changes->second.rbegin(); at != changes->second.rend(); ++at)
    if (at->model == model.passport.model && !at->rolled_back) return &*at;
  return nullptr;
}

Json passport_after(const Model& model, const Change& promotion) {
  Json out = model.passport.json;
  Json evaluations = Json::array();
  for (const auto& finding : promotion.gate.items())
    if (!finding.at("facts").is_null())
      evaluations.push(Json::object({{"check", finding.at("check")}, {"facts", finding.at("facts")}}));
  out.set("domain", model.domain);
  out.set("evaluations", std::move(evaluations));
  out.set(
      "approvals",
      Json::array({Json::object({{"by", promotion.by}, {"at", audit::iso_time(promotion.at)}, {"domain", model.domain}})}));
  return out;
}

std::string model_card(const ModelRegistry& registry, const Model& model) {
  const Passport& passport = model.passport;
  const Change* promotion = promotion_of(registry, model);
  const bool in_use = registry.in_use(model.domain) == passport.model;
  std::string out = "# Model " + passport.short_id() + ", " + plain(model.domain) + "\n\n";
  out += promotion ? "Promoted " + audit::iso_time(promotion->at) + " by " + plain(promotion->by) +
                         (in_use ? "; in use.\n" : "; no longer in use.\n")
                   : "Not promoted.\n";
  out += "\n## What it is for\n\nA LoRA adapter for the domain " + plain(model.domain) +
         ". What it says is for a person of that domain to check before anybody acts on it; "
         "it was judged on the tasks below and on nothing else.\n";
  out += "\n## Privacy\n\n" + privacy_text(passport);
  if (promotion) out += "\n## What it had to show\n\n" + findings_text(promotion->gate);
  out += "\n## Where it comes from\n\n" + lineage_of(registry, model) + "\n| training | |\n|---|---|\n";
  for (const char* name : {"run", "trained", "precision", "rounds", "steps"})
    out += std::string("| ") + name + " | " + shown(passport.json.at(name)) + " |\n";
  out += "\n| data | |\n|---|---|\n" + rows_of(passport.json.at("data"));
  out +=
      "\nA fingerprint is a keyed hash (HMAC-SHA-256): the site can tell by it which records these were, nobody else can.\n";
  out += "\n## Hyper-parameters\n\n| | |\n|---|---|\n" + rows_of(passport.json.at("hyper_parameters"));
  out += "\n## Record\n\nThe run's log: id `" + shown(passport.json.at("log").at("id")) + "`, " +
         shown(passport.json.at("log").at("entries")) + " entries, root `" + shown(passport.json.at("log").at("root")) +
         "`.\n\n" + history_text(registry, model);
  return out;
}

}  // namespace sotto::lineage
