// Reading of expected values, and comparison with them. Needs no LibTorch.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/files/safetensors_file.h"
#include "model/adapter/lora.h"
#include "model/files/model_config.h"
#include "tests/support/catch.h"

namespace sotto::model {

std::string vector_path(const std::string& name);  // under tests/vectors
Json read_json(const std::string& name);
data::SafetensorsFile read_safetensors(const std::string& name);

// A tensor of a safetensors file, row-major.
std::vector<float> floats(const data::SafetensorsFile& file, const std::string& name);
std::vector<std::int64_t> integers(const data::SafetensorsFile& file, const std::string& name);

ModelConfig tiny_llama_config();  // of tests/vectors/tiny/llama

// Neither factor of any module is zero.
AdapterState scattered_adapter(const ModelConfig& config, const LoraPlan& plan);

double largest_difference(std::span<const float> a, std::span<const float> b);
// |a - b| / |b|, L2.
double relative_difference(std::span<const float> a, std::span<const float> b);
double norm(std::span<const float> a);

}  // namespace sotto::model
