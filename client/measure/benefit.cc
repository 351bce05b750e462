#include "client/measure/benefit.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "client/site/site_data.h"
#include "client/text/adapter_file.h"
#include "client/text/text_model.h"
#include "data/records/data_set.h"
#include "evaluation/statistics.h"
#include "model/adapter/peft_folder.h"
#include "model/inference/language_model.h"

namespace sotto::client {
namespace {

using evaluation::Ratio;

// One model on the held-out patients: loss and hits, a ratio for each patient.
struct Side {
  std::string name;
  Json epsilon;  // of its passport; null for the base
  std::vector<Ratio> loss, accuracy;
};

Result<data::DataSet> held_out(const SiteConfig& config, const BenefitCommand& command, const data::ChatTemplate& chat) {
  if (config.holdout_fraction == 0)
    return refused(command.config +
                   ": holdout_fraction is 0, so every patient trains and none is left to measure on; set it before the "
                   "site's first run");
  SOTTO_TRY(auto records, read_site_records(config, command.system_prompt));
  SOTTO_TRY(const auto book, PatientBook::open(config.budget_folder));
  auto parts = data::split(std::move(records), hold_out_of(book, config));
  SOTTO_TRY_VOID(check_held_out(book, parts.held_out));
  auto out =
      data::encode(std::move(parts.held_out), chat, {PrivacyUnit::kPatient, static_cast<std::size_t>(command.max_tokens)});
  if (out.units.size() < 2)
    return refused(std::to_string(out.units.size()) + " held-out patients have a record that fits; at least two are needed");
  return out;
}

Result<Side> measure(const std::string& name, const std::string& folder, const model::LanguageModel& model,
                     const data::DataSet& data) {
  Side side{name, nullptr, {}, {}};
  if (!folder.empty()) {
    SOTTO_TRY(const auto passport, read_passport(folder));
    if (!passport) return refused("'" + folder + "' has no passport, so what it cost is not known");
    side.epsilon = passport->json.at("privacy").at("epsilon");
  }
  SOTTO_TRY(const auto losses, model.evaluate(data.examples));
  for (const auto& unit : data.units) {
    Ratio loss, accuracy;
    for (const auto i : unit.examples) {
      loss.numerator += losses[i].loss_sum;
      accuracy.numerator += losses[i].correct;
      loss.denominator += losses[i].tokens;
      accuracy.denominator += losses[i].tokens;
    }
    side.loss.push_back(loss);
    side.accuracy.push_back(accuracy);
  }
  return side;
}

Json gain_json(const Side& from, const Side& to) {
  const evaluation::Resampling how;
  const auto loss = evaluation::compare(from.loss, to.loss, how);
  const auto accuracy = evaluation::compare(from.accuracy, to.accuracy, how);
  const auto one = [](const evaluation::Paired& p, double sign) {
    const double a = sign * p.interval.low, b = sign * p.interval.high;
    return Json::object({{"gain", sign * p.difference}, {"low", std::min(a, b)}, {"high", std::max(a, b)}, {"p", p.p}});
  };
  return Json::object({{"from", from.name}, {"to", to.name}, {"loss", one(loss, -1)}, {"token_accuracy", one(accuracy, 1)}});
}

Json side_json(const Side& side) {
  return Json::object({{"model", side.name},
                       {"loss", evaluation::sum(side.loss).value()},
                       {"token_accuracy", evaluation::sum(side.accuracy).value()},
                       {"epsilon", side.epsilon}});
}

std::string text_of(const Json& report) {
  char line[240];
  std::snprintf(line, sizeof line, "%lld held-out patients of this site, who never trained\n",
                static_cast<long long>(report.at("patients").as_int()));
  std::string out = line;
  for (const auto& m : report.at("models").items()) {
    std::snprintf(line, sizeof line, "  %-10s loss %.4f   token accuracy %.4f   epsilon %s\n",
                  m.at("model").as_string().c_str(), m.at("loss").as_double(), m.at("token_accuracy").as_double(),
                  m.at("epsilon").is_null() ? "-" : m.at("epsilon").dump().c_str());
    out += line;
  }
  for (const auto& g : report.at("gains").items()) {
    const Json& loss = g.at("loss");
    std::snprintf(line, sizeof line, "  %s over %s: %+.4f nats a token [%+.4f, %+.4f], p %.4f\n",
                  g.at("to").as_string().c_str(), g.at("from").as_string().c_str(), loss.at("gain").as_double(),
                  loss.at("low").as_double(), loss.at("high").as_double(), loss.at("p").as_double());
    out += line;
  }
  return out + "this is a function of your patients' data and covered by no epsilon: keep it here\n";
}

}  // namespace

Result<void> benefit(const BenefitCommand& command) {
  if (command.max_tokens < 8 || command.max_tokens > 8192)
    return invalid("--max-tokens is " + std::to_string(command.max_tokens) + "; it must be from 8 to 8192");
  SOTTO_TRY(const auto config, read_site_config(command.config));
  SOTTO_TRY(const TextModel text, TextModel::load(config.model));
  SOTTO_TRY(const auto chat, text.chat(command.chat_template));
  SOTTO_TRY(const auto data, held_out(config, command, chat));
  SOTTO_TRY(auto model, model::LanguageModel::load(
                            config.model, {config.device, Precision::kAuto, config.threads, config.quantized_base}));
  std::vector<Side> sides;
  SOTTO_TRY(sides.emplace_back(), measure("base", "", model, data));
  for (const auto& [name, folder] : {std::pair{"alone", command.local}, std::pair{"together", command.federated}}) {
    SOTTO_TRY(const auto adapter, model::load_peft_folder(folder, model.config()));
    SOTTO_TRY_VOID(model.set_adapter(adapter));
    SOTTO_TRY(sides.emplace_back(), measure(name, folder, model, data));
  }
  Json models = Json::array();
  for (const auto& side : sides) models.push(side_json(side));
  const Json report = Json::object({{"patients", data.units.size()},
                                    {"models", std::move(models)},
                                    {"gains", Json::array({gain_json(sides[0], sides[1]), gain_json(sides[0], sides[2]),
                                                           gain_json(sides[1], sides[2])})}});
  std::cout << (command.json ? report.dump() + "\n" : text_of(report));
  return {};
}

}  // namespace sotto::client
