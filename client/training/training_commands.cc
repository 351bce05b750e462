#include "client/training/training_commands.h"

#include "base/program/stop_signal.h"

namespace sotto::client {

void add_training_commands(Command& root, TrainingOptions& o) {
  root.group("Alone");
  root.subcommand("train",
                  "one site alone, privately or not: the baseline; the same command goes on where a killed one stood")
      .option("plan", o.train.plan, "the run's description (RUN.toml)", true)
      .option("--config", o.train.config, "the site's configuration (site.toml); default: [train] config of the plan")
      .option("--declared-size", o.train.declared_size, "number of units, rounded; default: [train] declared_size")
      .flag("--yes", o.train.yes, "keep a declared size that is off by more than a quarter")
      .option("--out", o.train.out, "folder of the results; default: [train] out, else train-RUN")
      .flag("--no-privacy", o.train.no_privacy, "no clipping, no noise, no guarantee")
      .json(o.train.json, "print summary.json")
      .example("train.toml --config site.toml")
      .on_run([&o] { return train(o.train, stop_on_signals()); });
  root.subcommand("replay", "train a model again from its passport's plan, without noise, and compare")
      .option("adapter", o.replay.adapter, "a PEFT folder", true)
      .option("--plan", o.replay.plan, "the run's description (RUN.toml)", true)
      .option("--config", o.replay.config, "the site's configuration (site.toml); default: [train] config of the plan")
      .json(o.replay.json)
      .example("train-alone/adapter --plan train.toml")
      .on_run([&o] { return replay(o.replay, stop_on_signals()); });
}

}  // namespace sotto::client
