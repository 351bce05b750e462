// adapter_config.json of Hugging Face PEFT: which modules an adapter lies on, with which rank and scale, and what else it
// holds. Read and written as PEFT 0.21 does; the rules by which names match modules are PEFT's (tuners/tuners_utils.py,
// check_target_module_exists; utils/other.py, get_pattern_key). No tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/adapter.h"
#include "base/json.h"
#include "data/text/python_regex.h"
#include "model/files/model_config.h"
#include "plan/run_plan.h"

namespace sotto::model {

enum class BiasKind { kNone, kAll, kLoraOnly };  // which biases were trained and are saved

struct PeftConfig {
  Json json;  // every field, as read or to be written
  std::uint32_t rank = 0;
  double alpha = 0;
  bool rslora = false;
  bool dora = false;
  bool ties_saved = false;  // ensure_weight_tying: a saved embedding stays the head of a tied model
  BiasKind bias = BiasKind::kNone;
};

// Refused by file and field: other kinds of adapter, values of a wrong type, and every setting that would change the result
// and is not computed here (also one that this version has never heard of, unless it is off).
Result<PeftConfig> read_peft_config(const std::string& path);
Result<PeftConfig> parse_peft_config(Json json, const std::string& origin);

// What PEFT itself would write for an adapter with the plan's settings on the layout's modules.
PeftConfig peft_config(const LoraPlan& plan, const AdapterLayout& layout, const ModelConfig& model,
                       const std::string& base_model);

// The same for DoRA.
PeftConfig with_dora(PeftConfig config);

// PEFT's file: sorted keys, two spaces, no line end.
std::string to_text(const PeftConfig& config);

// The config's rules, compiled. Paths are Hugging Face's module names ("model.layers.3.self_attn.q_proj").
class PeftRules {
 public:
  static Result<PeftRules> make(const PeftConfig& config, const std::string& origin);

  // target_modules (names, path ends, one expression, or "all-linear"), exclude_modules, layers_to_transform,
  // layers_pattern. `path` is a linear layer inside a decoder layer.
  Result<bool> is_target(const std::string& path) const;
  // The module with rank and scale: the first key of rank_pattern and of alpha_pattern that fits counts.
  Result<LoraModule> ranked(LoraModule module) const;
  // modules_to_save: a name fits every module whose path ends in it.
  bool is_saved(const std::string& path) const;

 private:
  struct Names {
    std::vector<std::string> ends;           // a list in the file
    std::optional<data::PythonRegex> whole;  // a text
    bool given() const { return whole || !ends.empty(); }
  };
  struct Pattern {
    data::PythonRegex key;
    double value;
  };
  static Result<Names> names(const Json& json, const char* field, const std::string& origin);
  static Result<std::vector<Pattern>> patterns(const Json& json, const char* field, const std::string& origin);
  static Result<bool> fits(const Names& names, const std::string& path);
  static Result<std::optional<double>> first_fitting(const std::vector<Pattern>& patterns, const std::string& path);
  Result<void> read_layers(const Json& json, const std::string& origin);
  Result<bool> is_excluded(const std::string& path) const;
  Result<bool> is_in_layers(const std::string& path) const;

  std::uint32_t rank_ = 0;
  double alpha_ = 0;
  bool rslora_ = false;
  bool all_linear_ = false;
  Names targets_;
  Names excluded_;
  std::vector<std::string> saved_;
  std::vector<data::PythonRegex> below_saved_;
  std::vector<std::int64_t> layers_;  // empty: all
  std::vector<data::PythonRegex> layer_patterns_;
  std::vector<Pattern> rank_pattern_;
  std::vector<Pattern> alpha_pattern_;
};

}  // namespace sotto::model
