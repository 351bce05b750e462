// One trial of a search: the plan with some settings, trained at this site alone, and judged by its loss on data outside the
// guarantee.
#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "client/search/search_command.h"
#include "client/training/local_setup.h"

namespace sotto::client {

struct Trial {
  Settings settings;
  std::size_t number = 0;
  std::string folder;  // of its last run
  double loss = INFINITY;
  Json epsilon;       // .. with everything that was spent before
  std::string error;  // it could not be trained so
};

class TrialRunner {
 public:
  // `text` is the plan's, `run` its name. Both and `stop` outlive it.
  TrialRunner(const TunePlan& plan, std::string text, std::string run, const std::function<bool()>& stop)
      : plan_(plan), text_(std::move(text)), run_(std::move(run)), stop_(stop) {}

  // Trains the trial, from its last adapter if it has one. An exhausted budget ends the search. Any other refusal of a
  // setting ends that trial alone.
  Result<void> run(Trial& trial, std::int64_t rung, const std::optional<Covered>& covered = {});
  // What a trial with these settings would train; reads no record.
  Result<LocalSetup> set_up_with(const Settings& settings) const;
  std::string text_with(const Settings& settings) const;
  const TunePlan& plan() const { return plan_; }
  const std::string& run_name() const { return run_; }

 private:
  Result<void> take(Trial& trial, const Json& summary, const std::string& folder);
  std::string file_of(const std::string& name) const;
  const TunePlan& plan_;
  std::string text_;
  std::string run_;
  const std::function<bool()>& stop_;
};

}  // namespace sotto::client
