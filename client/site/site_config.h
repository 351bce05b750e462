// What a site's engineer configures, read once from site.toml (configs/site.toml is a commented example), and the limits
// that the site's operator sets whatever a coordinator asks for. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/run_plan.h"

namespace sotto::client {

struct Policy {
  double epsilon_limit = 0;               // over all runs, of this site's patients
  double delta = 1e-5;                    // at which that limit holds
  std::vector<privacy::Unit> units;       // accepted
  std::uint32_t min_sites = 3;            // tau must be at least this
  std::uint32_t min_colluders = 1;        // c must be at least this
  std::uint32_t max_rounds = 1000;        // of one run
  std::vector<Digest> models;             // accepted fingerprints; empty: the configured model's own, and no other
  std::string budget = "patients";        // what runs spend from: a name for the set of patients in `data`
  std::optional<double> own_share_limit;  // in mode `joint`: the limit by this site's own share of the noise alone
  bool allow_without_privacy = false;     // whether a run without clipping and noise may use this site's data at all
};

// [watch]: what a run of several sites should not forget (forgetting_watch.h).
struct WatchConfig {
  std::string general;      // JSON lines outside the guarantee; empty: nothing is watched
  std::uint32_t every = 1;  // rounds
  double limit = 0.1;       // nats a token that the loss may rise above its start
  bool stops = false;       // beyond, this site trains no further round of the run
};

struct SiteConfig {
  std::string model;              // .gguf file or Hugging Face folder
  std::vector<std::string> data;  // JSON-lines files
  std::string data_key;           // file of the key of those that are sealed; empty: none is
  std::string device = "cpu";
  bool quantized_base = false;          // a GGUF file's matrices stay packed in memory (model/inference/language_model.h)
  bool gradient_checkpointing = false;  // training keeps less memory and takes a third longer
  int threads = 0;                      // of one matrix product; 0: the library's choice
  std::string budget_folder;    // the book of patients and spending, shared by all site folders of this configuration
  std::string log_key;          // where the key of sealed log entries comes from (audit/log/sealed_event.h); empty: none
  double holdout_fraction = 0;  // of patients, by keyed hash: never trained on, for the site's own evaluation
  WatchConfig watch;
  Policy policy;
};

// Paths in the file are relative to it; those in the result are relative to the current folder. Errors name file, line, key.
Result<SiteConfig> read_site_config(const std::string& path);

// Whether a number has at most two digits that are not zero at its end: 1400 and 950, but not 1427. What a site declares as its
// size is such a number.
bool is_rounded(std::uint64_t declared_size);

}  // namespace sotto::client
