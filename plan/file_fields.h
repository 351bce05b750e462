// The fields that only the operator's file has: what a plan is made of, and what `sotto-client train` needs besides. Rows and
// visits are as in plan/plan_fields.h. Internal to plan/.
#pragma once

#include <array>

#include "base/enum_names.h"
#include "plan/field.h"
#include "plan/plan_file.h"

namespace sotto::plan {

// training.trained and lora.train together name a TrainedPart.
enum class TrainedTable : std::uint8_t { kLora = 1, kPrompt = 2, kFull = 3 };
constexpr std::array<NamedValue<TrainedTable>, 3> names_of(TrainedTable) {
  return {{{TrainedTable::kLora, "lora"}, {TrainedTable::kPrompt, "prompt"}, {TrainedTable::kFull, "full"}}};
}
enum class LoraPart : std::uint8_t { kB = 1, kAB = 2, kAlternating = 3 };
constexpr std::array<NamedValue<LoraPart>, 3> names_of(LoraPart) {
  return {{{LoraPart::kB, "B"}, {LoraPart::kAB, "AB"}, {LoraPart::kAlternating, "alternating"}}};
}
enum class Weights : std::uint8_t { kSize = 1, kEqual = 2 };
constexpr std::array<NamedValue<Weights>, 2> names_of(Weights) {
  return {{{Weights::kSize, "size"}, {Weights::kEqual, "equal"}}};
}

// Words of the file that something else is made of.
struct FileWords {
  TrainedTable trained = TrainedTable::kLora;
  LoraPart lora_part = LoraPart::kB;
  Weights weights = Weights::kSize;
  std::optional<std::string> seed;
};

template <class Visit>
void for_each_field(FileWords& f, Visit&& visit) {
  visit(Row{"training.trained", "",
            "What the run trains: factors of LoRA ([lora]), a soft prompt ([prompt]) or the whole model (`train` alone)."},
        f.trained);
  visit(Row{"lora.train", "",
            "B: A stays as it is and averaging is exact. AB trains both, alternating takes turns by rounds."},
        f.lora_part);
  visit(Row{"training.weights", "", "Weights of the sites in the mean: their declared sizes, or equal."}, f.weights);
  visit(Row{.key = "training.seed",
            .json = "",
            .meaning = "Public text that the first adapter's A is drawn from.",
            .otherwise = "the run's name"},
        f.seed);
}

template <class Visit>
void for_each_field(PlanFile& f, Visit&& visit) {
  visit(Row{.key = "sites",
            .json = "",
            .meaning = "Sites of the run, in the roster's order.",
            .otherwise = "every approved site"},
        f.sites);
  visit(Row{"training.parent", "",
            "An ended run of this coordinator: go on from its adapter, with its [lora] settings, under the same budgets."},
        f.parent_run);
  visit(Row{.key = "privacy.epsilon",
            .json = "",
            .meaning = "Of the whole run: each site's noise is calibrated to it.",
            .limits = {.low = 0, .high = 1000, .above = true},
            .otherwise = "this or noise_multiplier is required in a private run"},
        f.epsilon);
  visit(Row{.key = "privacy.noise_multiplier",
            .json = "",
            .meaning = "Standard deviation of a step's noise over its sensitivity, instead of epsilon.",
            .limits = {1e-3, 1e6},
            .otherwise = "calibrated to epsilon"},
        f.noise_multiplier);
}

// Read where [model.shape] stands; all are required there.
template <class Visit>
void for_each_field(ModelShape& s, Visit&& visit) {
  constexpr double kMost = 1 << 20;
  constexpr auto kRequired = Source::kRequired;
  visit(Row{"model.shape.layers", "", "Layers.", {1, 1000}, kRequired}, s.layers);
  visit(Row{"model.shape.hidden", "", "Hidden size.", {1, kMost}, kRequired}, s.hidden);
  visit(Row{"model.shape.intermediate", "", "Intermediate size.", {1, kMost}, kRequired}, s.intermediate);
  visit(Row{"model.shape.query_width", "", "Heads times head size.", {1, kMost}, kRequired}, s.query_width);
  visit(Row{"model.shape.key_width", "", "Key-value heads times head size.", {1, kMost}, kRequired}, s.key_width);
}

template <class Visit>
void for_each_field(AlonePlan& a, Visit&& visit) {
  const auto path = [](std::string_view key, std::string_view meaning, std::string_view otherwise = "none") {
    return Row{.key = key, .json = "", .meaning = meaning, .otherwise = otherwise, .text = Text::kPath};
  };
  visit(path("train.config", "The site's configuration: model, data, device, policy.", "--config"), a.config);
  visit(Row{.key = "train.declared_size",
            .json = "",
            .meaning = "Units that the site declares, rounded by its operator.",
            .limits = {0, 1e9},
            .unit = "units",
            .otherwise = "--declared-size"},
        a.declared_size);
  visit(path("train.out", "Folder of the results.", "train-RUN"), a.out);
  visit(path("train.validation", "Records outside the guarantee that the model is evaluated on.",
             "the patients that holdout_fraction of site.toml holds out"),
        a.validation);
  visit(Row{"train.evaluate_every", "", "Rounds between two evaluations.", {1, 100000}, Source::kFile, "rounds"},
        a.evaluate_every);
  visit(Row{.key = "train.patience",
            .json = "",
            .meaning = "Evaluations without a better loss after which training stops; 0: never.",
            .limits = {0, 100000}},
        a.patience);
  visit(Row{"train.checkpoint_s", "", "Between two checkpoints within a round.", {0, 86400}, Source::kFile, "s"},
        a.checkpoint_s);
  visit(Row{"lora.dora", "", "Train DoRA, without privacy only (docs/adapters.md)."}, a.dora);
  visit(Row{.key = "train.domain",
            .json = "",
            .meaning = "The line of models that the adapter is for.",
            .otherwise = "said when it is registered",
            .text = Text::kName},
        a.domain);
  visit(path("train.parent", "Folder of an adapter to go on from, with its [lora] settings, under the same budget."),
        a.parent);
  visit(path("train.general", "Records outside the guarantee that the model should not forget: their loss is watched."),
        a.general);
  visit(Row{.key = "train.forgetting_limit",
            .json = "",
            .meaning = "How far that loss may rise above its start; beyond, there is an alarm.",
            .unit = "nats a token"},
        a.forgetting_limit);
  visit(Row{"train.forgetting_stops", "", "The alarm also ends the training, at the last adapter within the limit."},
        a.forgetting_stops);
  visit(Row{.key = "train.public_share",
            .json = "",
            .meaning = "Share of each step that is public text, where there is [[train.mixture]].",
            .limits = {.low = 0, .high = 0.99, .above = true}},
        a.public_share);
}

// An element of [[train.mixture]] or [[train.stage.source]].
template <class Visit>
void for_each_field(PublicSource& s, Visit&& visit) {
  visit(Row{.key = "file", .json = "", .meaning = "JSON lines.", .source = Source::kRequired, .text = Text::kPath}, s.file);
  visit(Row{"weight", "", "How often it is drawn beside the other files.", {.low = 0, .above = true}}, s.weight);
}

// An element of [[train.stage]].
template <class Visit>
void for_each_field(Stage& s, Visit&& visit) {
  constexpr auto kRequired = Source::kRequired;
  visit(Row{.key = "name", .json = "", .meaning = "Name of the stage.", .source = kRequired, .text = Text::kName}, s.name);
  visit(Row{"steps", "", "Steps of the stage.", {1, 1000000}, kRequired, "steps"}, s.steps);
  visit(Row{"batch", "", "Records of a step.", {1, 1000000}, kRequired, "records"}, s.batch);
  visit(Row{"learning_rate", "", "Its learning rate.", {.low = 0, .above = true}, kRequired}, s.learning_rate);
}

}  // namespace sotto::plan
