// What a LanguageModel holds. Internal to model/: uses LibTorch.
#pragma once

#include "model/inference/language_model.h"
#include "model/network/heights.h"
#include "model/network/runtime.h"
#include "model/network/transformer.h"

namespace sotto::model {

struct LanguageModel::State {
  Weights base;     // as loaded
  Weights weights;  // what runs: the base, with the adapter's own parameters in the place of the base's
  Precision precision = Precision::kFp32;
  std::string device_name;
  std::optional<AdapterOnDevice> adapter;

  std::optional<Heights> prompt_heights;  // what passes of several prompts may have; measured when they first come

  void put_adapter(const Adapter& state);
  // prepare_head, once for all adapters that leave the base's head as it is.
  void round_head();
  Heights measured_prompt_heights();
  const AdapterOnDevice* adapter_or_null() const { return adapter ? &*adapter : nullptr; }
  // Tokens of the adapter's soft prompt; a sequence with them before it: vocabulary size plus k stands for the k-th.
  std::uint32_t prompt_tokens() const;
  std::vector<std::int32_t> with_prompt(std::span<const std::int32_t> ids) const;
  // check_ids, with room for the prompt.
  Result<void> check(std::span<const std::int32_t> ids) const;
};

// A pass for one sequence on its own, hardly higher than it is long, so that a short text is answered fast.
Pass single_pass(std::uint32_t length);

// Refuses an empty or too long sequence and ids outside the vocabulary.
Result<void> check_ids(std::span<const std::int32_t> ids, const ModelConfig& config);

// The part of an example that its loss depends on: tokens after the last label change nothing, and the last label is only
// predicted.
struct TrimmedExample {
  std::span<const std::int32_t> ids;
  std::vector<std::uint32_t> rows;   // in ids, each the row that predicts ...
  std::vector<std::int32_t> labels;  // ... this token
};
Result<TrimmedExample> trim(const data::Example& example, const ModelConfig& config);

}  // namespace sotto::model
