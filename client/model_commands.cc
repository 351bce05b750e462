#include "client/model_commands.h"

#include <iostream>
#include <memory>
#include <optional>

#include "base/files.h"
#include "client/adapter_file.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"
#include "lineage/card.h"
#include "lineage/tree.h"

namespace sotto::client {
namespace {

using lineage::ModelRegistry;

audit::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// The key outlives the registry that it signs for.
struct Opened {
  crypto::SigningKey key;
  std::optional<ModelRegistry> registry;
};

enum class Missing { kMake, kRefuse };

Result<std::unique_ptr<Opened>> open(const std::string& folder, Missing missing) {
  crypto::SystemRandom random;
  const std::string key_file = folder + "/registry.key";
  if (!file_exists(key_file)) {
    if (missing == Missing::kRefuse) return not_found("'" + folder + "' is no registry of models; 'register ADAPTER --registry " + folder + "' makes one");
    if (file_exists(folder + "/log")) return refused("'" + folder + "' has a log and no registry.key; restore the key from a backup, or name another folder");
    SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
    SOTTO_TRY_VOID(crypto::write_new_key<crypto::SigningKey>(key_file, random));
  }
  SOTTO_TRY(auto key, crypto::read_key<crypto::SigningKey>(key_file));
  auto opened = std::make_unique<Opened>(Opened{std::move(key), std::nullopt});
  SOTTO_TRY(auto registry, ModelRegistry::open(folder, opened->key, random));
  opened->registry.emplace(std::move(registry));
  return opened;
}

// The registry's own copy of a model: its adapter with the passport as it stands now, and its card once it was promoted.
Result<void> write_model(const ModelRegistry& registry, const lineage::Model& model, const std::string& adapter) {
  const std::string folder = registry.model_folder(model.passport.model);
  const auto* promotion = lineage::promotion_of(registry, model);
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  SOTTO_TRY_VOID(copy_adapter(adapter, folder + "/adapter", promotion ? lineage::passport_after(model, *promotion) : model.passport.json));
  if (!promotion) return {};
  return write_file_atomically(folder + "/card.md", lineage::model_card(registry, model));
}

// Cards tell what is in use: whenever that changes, those of the domain are written anew.
Result<void> write_cards(const ModelRegistry& registry, const std::string& domain) {
  for (const auto& model : registry.models()) {
    if (model.domain != domain || !lineage::promotion_of(registry, model)) continue;
    SOTTO_TRY_VOID(write_file_atomically(registry.model_folder(model.passport.model) + "/card.md", lineage::model_card(registry, model)));
  }
  return {};
}

Json model_json(const ModelRegistry& registry, const lineage::Model& model) {
  const auto& p = model.passport;
  const auto promoted = registry.promoted_at(p.model);
  return Json::object({{"model", p.id()},
                       {"domain", model.domain},
                       {"run", p.run},
                       {"base", to_hex(p.base)},
                       {"parent", p.parent ? Json(to_hex(*p.parent)) : Json()},
                       {"epsilon", p.json.at("privacy").at("epsilon")},
                       {"registered", audit::iso_time(model.registered)},
                       {"promoted", promoted ? Json(audit::iso_time(*promoted)) : Json()},
                       {"in_use", registry.in_use(model.domain) == p.model},
                       {"adapter", registry.model_folder(p.model) + "/adapter"}});
}

std::string line_of(const Json& m) {
  const std::string state = m.at("in_use").as_bool() ? "in use" : m.at("promoted").is_null() ? "" : "promoted before";
  return m.at("model").as_string().substr(0, 12) + "  " + m.at("domain").as_string() + "  run " + m.at("run").as_string() + "  epsilon " + m.at("epsilon").dump() + "  " +
         m.at("registered").as_string() + (state.empty() ? "" : "  " + state) + "\n";
}

}  // namespace

Result<void> register_model(const ModelCommand& command) {
  SOTTO_TRY(const auto passport, read_passport(command.adapter));
  if (!passport)
    return refused("'" + command.adapter + "' has no passport: it was not made by 'sotto-client train' or a run of this version, so nobody can say what it was trained on");
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kMake));
  auto& registry = *opened->registry;
  SOTTO_TRY(const auto* model, registry.add(*passport, command.domain, now()));
  SOTTO_TRY_VOID(write_model(registry, *model, command.adapter));
  const Json told = model_json(registry, *model);
  std::cout << (command.json ? told.dump() + "\n" : line_of(told));
  return {};
}

Result<void> list_models(const ModelCommand& command) {
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kRefuse));
  Json::Array all;
  std::string text;
  for (const auto& model : opened->registry->models()) {
    if (!command.domain.empty() && model.domain != command.domain) continue;
    all.push_back(model_json(*opened->registry, model));
    text += line_of(all.back());
  }
  std::cout << (command.json ? Json(std::move(all)).dump() + "\n" : text.empty() ? "no models\n" : text);
  return {};
}

Result<void> show_lineage(const ModelCommand& command) {
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kRefuse));
  if (!command.out.empty()) {
    SOTTO_TRY_VOID(write_file_atomically(command.out, lineage::lineage_svg(*opened->registry)));
    std::cerr << "picture: " << command.out << '\n';
  }
  std::cout << (command.json ? lineage::lineage_json(*opened->registry).dump() + "\n" : lineage::lineage_text(*opened->registry));
  return {};
}

Result<void> show_passport(const ModelCommand& command) {
  SOTTO_TRY(const auto passport, read_passport(command.adapter));
  if (!passport) return not_found("'" + command.adapter + "' has no passport: it was not made by this program");
  std::cout << passport->json.dump(2) << '\n';
  return {};
}

Result<void> promote_model(const ModelCommand& command) {
  SOTTO_TRY(const auto gate, lineage::read_gate(command.gate));
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kRefuse));
  auto& registry = *opened->registry;
  SOTTO_TRY(const auto* model, registry.find(command.model));
  if (model->domain != gate.domain) return invalid(command.gate + ": is the gate of domain '" + gate.domain + "', and model " + model->passport.short_id() + " is of '" + model->domain + "'");
  const auto findings = lineage::judge(gate, model->passport, registry.in_use(model->domain), command.evidence);
  Json told = Json::array();
  for (const auto& f : findings) {
    told.push(lineage::to_json(f));
    if (!command.json) std::cout << f.check << ": " << lineage::to_string(f.state) << ": " << f.sentence << '\n';
  }
  if (command.json) std::cout << Json::object({{"model", model->passport.id()}, {"promoted", lineage::lets_through(findings)}, {"checks", told}}).dump() << '\n';
  SOTTO_TRY_VOID(registry.promote(*model, command.by, findings, now()));
  const std::string folder = registry.model_folder(model->passport.model);
  SOTTO_TRY_VOID(write_model(registry, *model, folder + "/adapter"));
  SOTTO_TRY_VOID(write_cards(registry, model->domain));
  if (!command.json) std::cout << "promoted " << model->passport.short_id() << " for " << model->domain << "\nadapter: " << folder << "/adapter\ncard: " << folder << "/card.md\n";
  return {};
}

Result<void> roll_back_model(const ModelCommand& command) {
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kRefuse));
  auto& registry = *opened->registry;
  std::optional<Digest> to;
  if (!command.to.empty()) {
    SOTTO_TRY(const auto* model, registry.find(command.to));
    to = model->passport.model;
  }
  SOTTO_TRY(const Digest now_in_use, registry.roll_back(command.domain, to, command.by, command.reason, now()));
  SOTTO_TRY_VOID(write_cards(registry, command.domain));
  if (command.json) std::cout << Json::object({{"domain", command.domain}, {"in_use", to_hex(now_in_use)}}).dump() << '\n';
  else std::cout << "in use for " << command.domain << ": " << to_hex(now_in_use).substr(0, 12) << "\nadapter: " << registry.model_folder(now_in_use) << "/adapter\n";
  return {};
}

Result<void> write_card(const ModelCommand& command) {
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kRefuse));
  SOTTO_TRY(const auto* model, opened->registry->find(command.model));
  const std::string card = lineage::model_card(*opened->registry, *model);
  if (command.out.empty()) {
    std::cout << card;
    return {};
  }
  return write_file_atomically(command.out, card);
}

void add_registry_commands(Command& root, ModelCommand& c) {
  const auto with_registry = [&c](Command& command) -> Command& {
    return command.option("--registry", c.registry, "the registry's folder").flag("--json", c.json, "machine-readable");
  };
  with_registry(root.subcommand("register", "take an adapter with its passport into the registry of models"))
      .option("adapter", c.adapter, "a PEFT folder that 'train' or a run has made", true)
      .option("--domain", c.domain, "the line of models it belongs to; default: as its passport says")
      .on_run([&c] { return register_model(c); });
  with_registry(root.subcommand("models", "the models of a registry"))
      .option("--domain", c.domain, "only those of this line")
      .on_run([&c] { return list_models(c); });
  with_registry(root.subcommand("lineage", "which model was trained on from which, as a tree"))
      .option("--svg", c.out, "write it as a picture, too")
      .on_run([&c] { return show_lineage(c); });
  root.subcommand("passport", "what an adapter says of itself: base, parent, plan, privacy, evaluations")
      .option("adapter", c.adapter, "a PEFT folder", true)
      .on_run([&c] { return show_passport(c); });
  with_registry(root.subcommand("promote", "make a model the one that its domain uses, if the gate lets it through"))
      .option("model", c.model, "the beginning of its id", true)
      .option("--gate", c.gate, "what it must have shown (GATE.toml)", true)
      .option("--by", c.by, "who answers for it", true)
      .option("--quality", c.evidence.quality, "a file: 'compare --json' on the domain's task")
      .option("--general", c.evidence.general, "a file: 'compare --json' on general text")
      .option("--safety", c.evidence.safety, "a file: 'eval --json' or 'compare --json' on a task with safety rules")
      .option("--audit", c.evidence.audit, "the folder of 'train', or of 'sotto-coordinator report'")
      .option("--review", c.evidence.review, "a file: 'review report --json'")
      .on_run([&c] { return promote_model(c); });
  with_registry(root.subcommand("rollback", "go back to the model that a domain used before"))
      .option("domain", c.domain, "the line of models", true)
      .option("--to", c.to, "a model that was in use once; default: the one before")
      .option("--by", c.by, "who answers for it", true)
      .option("--reason", c.reason, "why", true)
      .on_run([&c] { return roll_back_model(c); });
  with_registry(root.subcommand("card", "a model's card, in Markdown"))
      .option("model", c.model, "the beginning of its id", true)
      .option("--out", c.out, "write it to a file instead of stdout")
      .on_run([&c] { return write_card(c); });
}

}  // namespace sotto::client
