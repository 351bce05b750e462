// The command lines that measure: eval, compare, review, attack, benefit.
#pragma once

#include "base/program/cli.h"
#include "client/measure/attack.h"
#include "client/measure/benefit.h"
#include "client/measure/evaluate.h"
#include "client/measure/evaluate_task.h"
#include "client/measure/review.h"
#include "client/measure/site_evaluation.h"

namespace sotto::client {

struct MeasureOptions {
  EvalCommand eval;
  TaskCommand task;
  PoolCommand pool;
  ReviewCommand review;
  AttackCommand attack;
  BenefitCommand benefit;
};

// `options` outlives the program's run.
void add_measure_commands(Command& root, MeasureOptions& options);

}  // namespace sotto::client
