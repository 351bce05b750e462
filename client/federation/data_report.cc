#include "client/federation/data_report.h"

#include <algorithm>
#include <cstdio>

#include "client/site/data_facts.h"
#include "client/site/site_data.h"
#include "data/files/distinct_files.h"
#include "data/records/data_set.h"

namespace sotto::client {
namespace {

// Where a run's tokens end, and the chat template of its text.
struct Reach {
  std::string of;  // the run; empty: a plan that says nothing
  std::uint32_t max_tokens;
  std::string chat_template;
};

std::vector<Reach> reaches_of(const SiteFolder* folder) {
  std::vector<Reach> out;
  if (folder != nullptr)
    for (const RunId& run : folder->offers())
      if (const auto offer = folder->offer(run); offer.ok())
        out.push_back({run.value(), offer->plan.max_tokens, offer->plan.chat_template});
  if (out.empty()) out.push_back({"", RunPlan().max_tokens, ""});
  return out;
}

// The largest number of tokens that a record needs.
std::size_t most_needed(const std::vector<data::Record>& records, const data::ChatTemplate& chat) {
  std::size_t out = 0;
  for (const auto& needed : tokens_needed(records, chat)) out = std::max(out, needed.value_or(0));
  return out;
}

}  // namespace

Result<Json> data_report(const SiteConfig& config, const SiteFolder* folder, const TextModel& text) {
  SOTTO_TRY(const auto records, read_site_records(config, {}));
  const std::uint64_t patients = patients_of(records), training = training_patients(patients, config.holdout_fraction);
  Json idle = Json::array();
  for (const auto& reach : reaches_of(folder)) {
    SOTTO_TRY(const auto chat, text.chat(reach.chat_template));
    const auto data = data::encode(records, chat, {privacy::Unit::kPatient, reach.max_tokens});
    idle.push(Json::object({{"run", reach.of},
                            {"max_tokens", reach.max_tokens},
                            {"records", data.skipped + data.refused},
                            {"refused_by_chat_template", data.refused},
                            {"refusal", data.refusal},
                            {"patients", data.idle_units},
                            {"max_tokens_needed", most_needed(records, chat)}}));
  }
  return Json::object({{"records", records.size()},
                       {"files", data::distinct_files(config.data).size()},
                       {"files_named_twice", config.data.size() - data::distinct_files(config.data).size()},
                       {"patients", patients},
                       {"training_patients", training},
                       {"declare", rounded_size(training)},
                       {"declared", folder == nullptr ? Json() : Json(folder->site().declared_size)},
                       {"trains_nothing", std::move(idle)}});
}

bool print_data_report(const Json& data) {
  bool complete = true;
  const auto mark = [&](bool bad) {
    complete = complete && !bad;
    return bad ? "! " : "  ";
  };
  std::printf("data      %lld records of %lld patients in %lld files\n", static_cast<long long>(data.at("records").as_int()),
              static_cast<long long>(data.at("patients").as_int()), static_cast<long long>(data.at("files").as_int()));
  if (data.at("files_named_twice").as_int() > 0)
    std::printf("%sa file is named more than once in the configuration; it counts once\n", mark(true));
  const auto training = data.at("training_patients").as_int();
  std::printf("  %lld patients train; declare %lld (--declared-size)\n", static_cast<long long>(training),
              static_cast<long long>(data.at("declare").as_int()));
  if (const Json& declared = data.at("declared"); !declared.is_null()) {
    const auto size = static_cast<std::uint64_t>(declared.as_int());
    const bool off = !check_declared_size(size, static_cast<std::uint64_t>(training), false).ok();
    std::printf("%sdeclared when it joined: %lld%s\n", mark(off), static_cast<long long>(declared.as_int()),
                off ? ", which is off by more than a quarter" : "");
  }
  for (const Json& idle : data.at("trains_nothing").items()) {
    const auto records = idle.at("records").as_int();
    const std::string run = idle.at("run").as_string();
    std::printf("%s%s, max_tokens = %lld: %lld of %lld records and %lld of %lld patients train nothing", mark(records > 0),
                run.empty() ? "a plan's default" : ("run " + run).c_str(),
                static_cast<long long>(idle.at("max_tokens").as_int()), static_cast<long long>(records),
                static_cast<long long>(data.at("records").as_int()), static_cast<long long>(idle.at("patients").as_int()),
                static_cast<long long>(data.at("patients").as_int()));
    if (idle.at("max_tokens_needed").as_int() > idle.at("max_tokens").as_int())
      std::printf("; from %lld on, every answer begins", static_cast<long long>(idle.at("max_tokens_needed").as_int()));
    if (idle.at("refused_by_chat_template").as_int() > 0)
      std::printf("; the chat template refuses %lld records: %s",
                  static_cast<long long>(idle.at("refused_by_chat_template").as_int()),
                  idle.at("refusal").as_string().c_str());
    std::printf("\n");
  }
  return complete;
}

}  // namespace sotto::client
