#include "lineage/commands.h"

#include <iostream>

#include "base/clock.h"
#include "base/files.h"
#include "base/number.h"
#include "lineage/card.h"
#include "lineage/tree.h"

namespace sotto::lineage {
namespace {

std::string epsilon_of(const Passport& passport) {
  const Json& epsilon = passport.json.at("privacy").at("epsilon");
  return epsilon.is_number() ? shown(epsilon.as_double()) : "none";
}

}  // namespace

Json to_json(const ModelRegistry& registry, const Model& model) {
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
                       {"folder", registry.model_folder(p.model)}});
}

std::string line_of(const ModelRegistry& registry, const Model& model) {
  const bool in_use = registry.in_use(model.domain) == model.passport.model,
             promoted = registry.promoted_at(model.passport.model).has_value();
  return model.passport.short_id() + "  " + model.domain + "  run " + model.passport.run + "  epsilon " +
         epsilon_of(model.passport) + "  " + audit::iso_time(model.registered) +
         (in_use     ? "  in use"
          : promoted ? "  promoted before"
                     : "") +
         "\n";
}

Result<void> list_models(const ModelRegistry& registry, const RegistryQuery& query) {
  Json::Array all;
  std::string text;
  for (const auto& model : registry.models()) {
    if (!query.domain.empty() && model.domain != query.domain) continue;
    all.push_back(to_json(registry, model));
    text += line_of(registry, model);
  }
  std::cout << (query.json     ? Json(std::move(all)).dump() + "\n"
                : text.empty() ? "no models yet; 'register' takes one in\n"
                               : text);
  return {};
}

Result<void> show_lineage(const ModelRegistry& registry, const RegistryQuery& query) {
  if (!query.out.empty()) {
    SOTTO_TRY_VOID(write_file_atomically(query.out, lineage_svg(registry), FileMode::kPublic));
    std::cerr << "picture: " << query.out << '\n';
  }
  std::cout << (query.json ? lineage_json(registry).dump() + "\n" : lineage_text(registry));
  return {};
}

Result<const Model*> promote(ModelRegistry& registry, const RegistryQuery& query) {
  SOTTO_TRY(const auto gate, read_gate(query.gate));
  SOTTO_TRY(const Model* model, registry.find(query.model));
  if (model->domain != gate.domain)
    return invalid(query.gate + ": is the gate of domain '" + gate.domain + "', and model " + model->passport.short_id() +
                   " is of '" + model->domain + "'");
  const auto findings = judge(gate, model->passport, registry.in_use(model->domain), query.evidence);
  Json told = Json::array();
  for (const auto& f : findings) {
    told.push(to_json(f));
    if (!query.json) std::cout << f.check << ": " << to_string(f.state) << ": " << f.sentence << '\n';
  }
  if (query.json)
    std::cout << Json::object(
                     {{"model", model->passport.id()}, {"let_through", lets_through(findings)}, {"checks", std::move(told)}})
                     .dump()
              << '\n';
  SOTTO_TRY_VOID(registry.promote(*model, query.by, findings, wall_clock()));
  if (!query.json)
    std::cout << "promoted " << model->passport.short_id() << " for " << model->domain << "; "
              << registry.model_folder(model->passport.model) << "/card.md\n";
  return model;
}

Result<void> roll_back(ModelRegistry& registry, const RegistryQuery& query) {
  std::optional<Digest> to;
  if (!query.to.empty()) {
    SOTTO_TRY(const Model* model, registry.find(query.to));
    to = model->passport.model;
  }
  SOTTO_TRY(const Digest in_use, registry.roll_back(query.domain, to, query.by, query.reason, wall_clock()));
  if (query.json)
    std::cout << Json::object({{"domain", query.domain}, {"in_use", to_hex(in_use)}}).dump() << '\n';
  else
    std::cout << "in use for " << query.domain << ": " << to_hex(in_use).substr(0, 12) << ", in "
              << registry.model_folder(in_use) << '\n';
  return write_cards(registry, query.domain);
}

Result<void> show_card(const ModelRegistry& registry, const RegistryQuery& query) {
  SOTTO_TRY(const Model* model, registry.find(query.model));
  const std::string card = model_card(registry, *model);
  if (!query.out.empty()) return write_file_atomically(query.out, card, FileMode::kPublic);
  std::cout << card;
  return {};
}

Result<void> write_cards(const ModelRegistry& registry, const std::string& domain) {
  for (const auto& model : registry.models()) {
    if (model.domain != domain || !promotion_of(registry, model)) continue;
    SOTTO_TRY_VOID(make_folder(registry.model_folder(model.passport.model), FileMode::kPrivate));
    SOTTO_TRY_VOID(
        write_file_atomically(registry.model_folder(model.passport.model) + "/card.md", model_card(registry, model)));
  }
  return {};
}

void add_registry_commands(Command& root, RegistryQuery& q, const std::function<Command&(Command&)>& with_folder,
                           RegistryActions actions) {
  with_folder(root.subcommand("models", "the models of the registry"))
      .option("--domain", q.domain, "only those of this line")
      .example("--domain icd10")
      .on_run(std::move(actions.models));
  with_folder(root.subcommand("lineage", "which model was trained on from which, as a tree"))
      .option("--svg", q.out, "write it as a picture, too")
      .example("--svg lineage.svg")
      .on_run(std::move(actions.lineage));
  with_folder(root.subcommand("promote", "make a model the one that its domain uses, if the gate lets it through"))
      .option("model", q.model, "the beginning of its id", true)
      .option("--gate", q.gate, "what it must have shown (GATE.toml)", true)
      .option("--by", q.by, "who answers for it", true)
      .option("--quality", q.evidence.quality, "a file: 'sotto-client compare --json' on the domain's task")
      .option("--general", q.evidence.general, "a file: 'sotto-client compare --json' on general text")
      .option("--safety", q.evidence.safety,
              "a file: 'sotto-client eval --json' or 'compare --json' on a task with safety rules")
      .option("--audit", q.evidence.audit, "the folder of 'sotto-client train', or of 'sotto-coordinator report'")
      .option("--review", q.evidence.review, "a file: 'sotto-client review report --json'")
      .example("3fa2 --gate gate.toml --by \"A. Khan\" --quality compare.json")
      .on_run(std::move(actions.promote));
  with_folder(root.subcommand("rollback", "go back to the model that a domain used before"))
      .option("domain", q.domain, "the line of models", true)
      .option("--to", q.to, "a model that was in use once; default: the one before")
      .option("--by", q.by, "who answers for it", true)
      .option("--reason", q.reason, "why", true)
      .example("icd10 --by \"A. Khan\" --reason \"worse on new codes\"")
      .on_run(std::move(actions.rollback));
  with_folder(root.subcommand("card", "a model's card, in Markdown"))
      .option("model", q.model, "the beginning of its id", true)
      .option("--out", q.out, "write it to a file instead of stdout")
      .example("3fa2 --out card.md")
      .on_run(std::move(actions.card));
}

}  // namespace sotto::lineage
