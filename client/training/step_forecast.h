// Forecasts the time and memory of a step before the first one: measures a step on throw-away state, over shuffled tokens in
// records as long as the site's own. For the site's own terminal only, because the lengths are those of its data. One
// thread.
#pragma once

#include <string>

#include "data/records/data_set.h"
#include "model/training/training.h"
#include "plan/run_plan.h"

namespace sotto::client {

struct StepForecast {
  double seconds = 0;            // of one step
  std::uint64_t peak_bytes = 0;  // of the process, model included
  std::uint32_t units = 0;       // that the measured step had
};

// Leaves `training` as it was. The plan has one site.
Result<StepForecast> forecast_step(const RunPlan& plan, model::Training& training, const data::DataSet& data,
                                   RandomSource& random);

std::string text_of(const StepForecast& forecast, const RunPlan& plan);  // one line for people

// The largest memory that the process has held so far; 0 where the system does not tell.
std::uint64_t peak_memory();

}  // namespace sotto::client
