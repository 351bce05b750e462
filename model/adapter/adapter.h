// Everything that an adapter can be here: LoRA factors (base/adapter.h, all that a federated run trains and sends), and what
// PEFT can put beside them. No tensor library.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/adapter.h"
#include "model/files/architecture.h"

namespace sotto::model {

// A whole parameter of a model, in the shape and form that it is computed with (WeightInfo), row-major.
struct Parameter {
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
  bool operator==(const Parameter&) const = default;
};

struct Adapter {
  Adapter() = default;
  Adapter(AdapterState state) : lora(std::move(state)) {}  // NOLINT: LoRA alone is an adapter

  AdapterState lora;
  // DoRA (Liu et al. 2024, arXiv 2402.09353): y = m / |W + s B A| * ((W + s B A) x), the norm over each row, m [out] a
  // vector for each module. Empty: plain LoRA.
  std::vector<std::vector<float>> magnitudes;
  // Whole parameters in place of the base's, by Hugging Face's name: trained biases and modules saved whole
  // (a tied head that is among them comes loose).
  std::map<std::string, Parameter> replaced;

  bool is_dora() const { return !magnitudes.empty(); }
  // Of what training moves: LoRA's numbers in base/adapter.h's order, then the magnitudes, module by module.
  std::size_t trained_size(TrainedPart part) const;
  std::uint64_t bytes() const;  // of its numbers, fp32
  bool operator==(const Adapter&) const = default;
};

// The trained numbers in that order, and an adapter with those numbers replaced.
std::vector<float> trained_vector(const Adapter& adapter, TrainedPart part);
Adapter with_trained(Adapter adapter, TrainedPart part, std::span<const float> values);

// A parameter of the model by its name, a tied head's among them; nullopt: it has none of that name.
std::optional<WeightInfo> find_parameter(const ModelConfig& config, const std::string& name);

// A parameter's values in the form that Hugging Face's and PEFT's files have, and back: GPT-2's matrices are transposed
// there, Gemma's norms lack 1.
std::vector<std::uint64_t> stored_shape(const WeightInfo& info);
std::vector<float> to_stored(const WeightInfo& info, std::vector<float> values);
std::vector<float> from_stored(const WeightInfo& info, std::vector<float> values);

// Refuses, by name: modules that are not linear layers of the model, in its order, with fitting sizes; magnitudes that are
// not one for each row; replaced parameters that the model does not have, or of another shape.
Result<void> check_adapter(const Adapter& adapter, const ModelConfig& config);

}  // namespace sotto::model
