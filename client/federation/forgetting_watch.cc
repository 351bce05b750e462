#include "client/federation/forgetting_watch.h"

#include "base/files.h"
#include "base/log.h"
#include "base/page/svg_plot.h"
#include "client/training/evaluation.h"

namespace sotto::client {

Result<ForgettingWatch> ForgettingWatch::open(const WatchConfig& config, const RunPlan& plan, const data::ChatTemplate& chat,
                                              const std::string& folder) {
  SOTTO_TRY(auto records, data::read_records(config.general, {plan.system_prompt, {}}));
  auto data = data::encode(std::move(records), chat, {privacy::Unit::kRecord, plan.max_tokens});
  if (data.examples.empty())
    return invalid("'" + config.general + "' ([watch] general) holds no record whose response fits into " +
                   std::to_string(plan.max_tokens) + " tokens");
  ForgettingWatch out(config, plan, folder, std::move(data));
  const std::string kept = folder + "/forgetting.json";
  if (!file_exists(kept)) return out;
  SOTTO_TRY(const Json json, Json::read_file(kept));
  SOTTO_TRY(const auto* points, json.get_array("points"));
  for (const auto& point : *points) {
    SOTTO_TRY(const auto rounds, point.get_int("rounds"));
    SOTTO_TRY(const double loss, point.get_double("loss"));
    out.curve_.add({static_cast<std::uint64_t>(rounds), loss});
  }
  return out;
}

Result<void> ForgettingWatch::look(const model::LanguageModel& model, std::uint32_t rounds) {
  if (rounds % config_.every != 0 && rounds != rounds_) return {};
  if (!curve_.points().empty() && curve_.points().back().at >= rounds) return {};  // seen before a restart
  SOTTO_TRY(const auto found, evaluation_of(model, data_));
  curve_.add({rounds, found.loss});
  log(Level::kInfo, "general_text",
      {{"run", run_.value()}, {"rounds", rounds}, {"loss", found.loss}, {"risen_by", curve_.risen_by()}});
  if (curve_.forgets())
    log(Level::kWarning, "forgetting",
        {{"run", run_.value()},
         {"rounds", rounds},
         {"risen_by", curve_.risen_by()},
         {"limit", config_.limit},
         {"next_step", config_.stops ? "this site trains no further round of the run"
                                     : "tell the coordinator's operator, who can stop the run"}});
  return save();
}

Result<void> ForgettingWatch::save() const {
  Json points = Json::array();
  PlotSeries series{"general text", {}};
  for (const auto& p : curve_.points()) {
    points.push(Json::object({{"rounds", p.at}, {"loss", p.loss}}));
    series.points.emplace_back(static_cast<double>(p.at), p.loss);
  }
  SOTTO_TRY_VOID(make_folder(folder_, FileMode::kPrivate));
  const Json json = Json::object({{"general", config_.general},
                                  {"limit", config_.limit},
                                  {"forgetting", curve_.forgets()},
                                  {"points", std::move(points)}});
  SOTTO_TRY_VOID(write_file_atomically(folder_ + "/forgetting.json", json.dump(2) + "\n", FileMode::kPrivate));
  if (curve_.points().size() < 2) return {};
  return write_file_atomically(
      folder_ + "/forgetting.svg",
      svg_file_of({"Loss on general text", "rounds", "nats a token", false, {std::move(series)}, false}),
      FileMode::kPrivate);
}

}  // namespace sotto::client
