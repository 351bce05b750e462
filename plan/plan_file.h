// The operator's description of a run (configs/run.toml is a commented example), read once. The coordinator makes a proposal
// of it for its sites (coordinator/runs/proposal.h); `sotto-client train` runs it at one site alone. Every error names file,
// line and key. docs/configuration.md lists the keys. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/adapter.h"
#include "base/result.h"
#include "plan/run_plan.h"

namespace sotto::plan {

// Only for estimates of traffic before a site has told the layout; nothing that is signed depends on it.
struct ModelShape {
  std::uint32_t layers = 0;
  std::uint32_t hidden = 0;
  std::uint32_t intermediate = 0;
  std::uint32_t query_width = 0;  // heads * head size
  std::uint32_t key_width = 0;    // key-value heads * head size
};
// Of a Llama-shaped model: q, k, v, o, gate, up and down in every layer; of GPT-2's four where the targets are its.
AdapterLayout layout_of(const ModelShape& shape, const LoraPlan& lora);

// Text outside the guarantee, and how often it is drawn beside its fellows.
struct PublicSource {
  std::string file;  // JSON lines
  double weight = 1;
};

// Steps on public text alone, before the first round.
struct Stage {
  std::string name;
  std::vector<PublicSource> sources;
  std::uint32_t steps = 0;
  std::uint32_t batch = 0;  // records a step
  double learning_rate = 0;
};

// [train]: what `sotto-client train` needs besides the plan. A coordinator refuses what would make another training of it,
// and makes no use of the rest.
struct AlonePlan {
  std::string config;                // the site's configuration (site.toml); empty: not named
  std::uint64_t declared_size = 0;   // units, rounded by the site's operator; 0: not named
  std::string out;                   // folder of the results; empty: train-<run>
  std::string validation;            // JSON lines outside the guarantee; empty: none
  std::uint32_t evaluate_every = 1;  // rounds between two evaluations of it
  std::uint32_t patience = 0;        // evaluations without a better loss after which training stops; 0: never
  std::uint32_t checkpoint_s = 30;   // seconds between two checkpoints within a round
  bool dora = false;                 // lora.dora; only without privacy, and no part of a plan that travels
  std::string domain;                // the line of models that the adapter is for; empty: not named
  std::string parent;                // PEFT folder of the adapter to go on from; empty: a fresh one
  std::vector<Stage> stages;
  std::vector<PublicSource> mixture;  // drawn into every step of the rounds
  double public_share = 0.25;         // of each step, where there is a mixture
  std::string general;            // JSON lines outside the guarantee: what the model should not forget; empty: not watched
  double forgetting_limit = 0.1;  // nats a token that the loss on `general` may rise above its start: beyond, an alarm
  bool forgetting_stops = false;  // .. which also ends the training, at the last adapter within the limit
};

struct PlanFile {
  std::string path;
  RunPlan plan;                    // without sites, and with what follows from their number left open
  std::vector<std::string> sites;  // empty: every approved site
  std::string parent_run;          // training.parent: the run of the coordinator to go on from; empty: none
  std::optional<double> epsilon;   // one of these two in a private run
  std::optional<double> noise_multiplier;
  bool weigh_by_size = true;
  std::optional<std::uint32_t> colluders;
  std::optional<std::uint32_t> min_sites;
  std::optional<double> ring_step;
  std::optional<ModelShape> shape;
  AlonePlan alone;
};

// Where a site trains alone the model is the one that it holds, and model.sha256 may be left out (all zeros).
enum class PlanUse { kCoordinator, kAlone };
Result<PlanFile> read_plan_file(const std::string& path, PlanUse use = PlanUse::kCoordinator);

// The same error, with the file's name before it.
Error in_file(const PlanFile& file, const Error& error);

}  // namespace sotto::plan
