// What `sotto-client train` and `replay` begin with: the complete plan of one site, and the recipe, which is everything
// beside the plan that decides the result of a training. Errors name file and key.
#pragma once

#include <optional>
#include <string>

#include "client/site/patient_book.h"
#include "client/site/site_config.h"
#include "client/site/site_folder.h"
#include "client/training/public_mix.h"
#include "client/training/train_command.h"
#include "model/files/model_config.h"
#include "plan/plan_file.h"

namespace sotto::client {

struct LocalSetup {
  audit::PlanFile file;  // its plan has one site, its noise, the model that the site holds
  SiteConfig config;
  std::string out;
  Json recipe;  // stages, mixture, watched text, early stopping: files by name and SHA-256
  std::optional<Digest> parent;
  std::optional<AdapterState> start;  // the parent's adapter
  std::optional<Covered> covered;     // by a search: nothing is charged
  std::string public_text;            // trained on in place of the site's records; empty: those
};

Result<LocalSetup> set_up(const TrainRequest& request);
// Reads [train] parent, if there is one: the adapter to go on from, which must be of this base and of the plan's modules.
Result<void> take_parent(LocalSetup& setup, const model::ModelConfig& config);

// SHA-256 of plan, recipe and parent: what a checkpoint belongs to, and what a run without privacy draws everything from.
Digest digest_of(const LocalSetup& setup);

// The data of one training. `validation` and `general` are outside the guarantee and may be empty.
struct TrainData {
  data::DataSet training;  // without those held out, with the canaries that the coins planted
  data::DataSet validation;
  data::DataSet general;
  std::string validation_name;
  Digest fingerprint{};  // of the site's records
};
Result<TrainData> read_train_data(const LocalSetup& setup, const PatientBook& book, const RunKey& key,
                                  const data::ChatTemplate& chat);

}  // namespace sotto::client
