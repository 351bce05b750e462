// `sotto-client tune TUNE.toml`: searches for settings of a plan by training with each at this site alone, and says what
// that cost. Every trial on the site's own records is a run of `train`, reserved and charged to the patients' budget like
// any other, unless their number is random and the best alone is kept (repeat_and_select.h); trials on public text cost
// nothing. Settings are judged by the loss on data outside the guarantee. configs/tune.toml is a commented example.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/program/cli.h"
#include "base/random.h"
#include "base/result.h"
#include "privacy/mechanism/event.h"

namespace sotto::client {

enum class SearchKind { kGrid, kRandom, kHalving };

struct Parameter {
  std::string key;                  // of the plan, dotted: "optimizer.learning_rate"
  std::vector<std::string> values;  // as they stand in TOML; or a range:
  double low = 0, high = 0;
  bool logarithmic = false;
};

struct TunePlan {
  std::string path;
  std::string plan;  // RUN.toml
  std::string out;   // folder of the trials and of best.toml
  SearchKind kind = SearchKind::kRandom;
  std::int64_t trials = 8;  // random, halving: settings that are drawn; their mean number where that is random
  privacy::TrialsKind repeat = privacy::TrialsKind::kNone;  // random: how their number is drawn; none: `trials` of them
  bool smaller = false;                                     // .. but `trials` of them where that costs less
  std::int64_t rungs = 3;   // halving: after each the better half goes on from where it stands
  std::string public_text;  // trials train on this, without privacy; empty: on the site's records
  std::uint64_t seed = 1;
  std::vector<Parameter> parameters;
};
Result<TunePlan> read_tune_plan(const std::string& path);

using Settings = std::vector<std::pair<std::string, std::string>>;  // key, value as in TOML
// Each of `all` with each value of one more parameter.
std::vector<Settings> with_each_value(const std::vector<Settings>& all, const Parameter& parameter);
Settings draw_settings(const TunePlan& plan, RandomSource& random);
// All combinations, or `trials` draws. Refused: more than 1000.
Result<std::vector<Settings>> settings_of(const TunePlan& plan, RandomSource& random);

// The plan's text with one more setting: its line replaced, or added to its table, or with its table at the end.
std::string with_setting(const std::string& toml, const std::string& key, const std::string& value);

struct TuneRequest {
  std::string plan;  // TUNE.toml
  bool json = false;
};
Result<void> tune(const TuneRequest& request, const std::function<bool()>& stop = {});

// `request` outlives the program's run.
void add_search_command(Command& root, TuneRequest& request);

}  // namespace sotto::client
