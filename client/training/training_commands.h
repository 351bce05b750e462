// The command lines of training at one site alone: train, replay.
#pragma once

#include "base/program/cli.h"
#include "client/training/train_command.h"

namespace sotto::client {

struct TrainingOptions {
  TrainRequest train;
  ReplayRequest replay;
};

// `options` outlives the program's run.
void add_training_commands(Command& root, TrainingOptions& options);

}  // namespace sotto::client
