#include "model/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>

#include "base/check.h"
#include "data/gguf_file.h"
#include "data/safetensors_file.h"
#include "model/dequantize.h"

namespace sotto::model {
namespace {

struct Stored {
  NumberFormat format;
  ByteSpan bytes;
};

struct LayerWeight {
  const char* hugging_face;
  const char* gguf;
};
constexpr LayerWeight kLayerWeights[] = {
    {"input_layernorm.weight", "attn_norm.weight"},    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},      {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"}, {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},       {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
};

std::string layer_name(std::uint32_t layer) { return "model.layers." + std::to_string(layer) + "."; }

// Hugging Face's name -> the name in a GGUF file.
std::map<std::string, std::string> gguf_names(const ModelConfig& config) {
  std::map<std::string, std::string> names = {{"model.embed_tokens.weight", "token_embd.weight"},
                                              {"model.norm.weight", "output_norm.weight"}};
  if (!config.tied_embeddings) names["lm_head.weight"] = "output.weight";
  for (std::uint32_t l = 0; l < config.layers; ++l)
    for (const auto& weight : kLayerWeights)
      names[layer_name(l) + weight.hugging_face] = "blk." + std::to_string(l) + "." + weight.gguf;
  return names;
}

std::optional<NumberFormat> format_of(std::uint32_t gguf_type) {
  switch (gguf_type) {
    case 0: return NumberFormat::kF32;
    case 1: return NumberFormat::kF16;
    case 3: return NumberFormat::kQ4_1;
    case 8: return NumberFormat::kQ8_0;
    case 30: return NumberFormat::kBF16;
    default: return std::nullopt;
  }
}

std::optional<NumberFormat> format_of(data::SafetensorsType type) {
  switch (type) {
    case data::SafetensorsType::kF32: return NumberFormat::kF32;
    case data::SafetensorsType::kF16: return NumberFormat::kF16;
    case data::SafetensorsType::kBF16: return NumberFormat::kBF16;
    default: return std::nullopt;
  }
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "[";
  for (const auto n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

Error missing(const std::string& origin, const std::string& name) {
  return invalid(origin + ": the tensor " + name + " is missing; the file is damaged or belongs to another architecture");
}

Error misshapen(const std::string& origin, const std::string& name, const std::vector<std::uint64_t>& is,
                const std::vector<std::uint64_t>& wanted) {
  return invalid(origin + ": the tensor " + name + " has shape " + shape_text(is) + " where the configuration asks for " +
                 shape_text(wanted) + "; file and configuration do not belong together");
}

Error wrong_format(const std::string& origin, const std::string& name, const std::string& type, const std::string& known) {
  return unsupported(origin + ": the tensor " + name + " has type " + type +
                     ", which this version does not read (it reads " + known + ")");
}

Error unknown_tensor(const std::string& origin, const std::string& name) {
  return unsupported(origin + ": the tensor " + name +
                     " is not part of the Llama architecture as this version computes it, so "
                     "ignoring it would change the result; take another model");
}

// llama.cpp's converter reorders the rows of attn_q and attn_k so that the two numbers that a rotation mixes are neighbours:
// hf[h, half * D/2 + i] = raw[h, 2 i + half], D = head_dim.
std::vector<float> unpermuted(const std::vector<float>& raw, std::size_t head_dim, std::size_t columns) {
  std::vector<float> out(raw.size());
  const std::size_t heads = raw.size() / columns / head_dim;
  for (std::size_t h = 0; h < heads; ++h)
    for (std::size_t half = 0; half < 2; ++half)
      for (std::size_t i = 0; i < head_dim / 2; ++i)
        std::copy_n(raw.begin() + static_cast<std::ptrdiff_t>((h * head_dim + 2 * i + half) * columns), columns,
                    out.begin() + static_cast<std::ptrdiff_t>((h * head_dim + half * head_dim / 2 + i) * columns));
  return out;
}

using StoredWeights = std::map<std::string, Stored>;

Result<StoredWeights> find_weights(const data::GgufFile& file, const ModelConfig& config) {
  StoredWeights found;
  auto names = gguf_names(config);
  for (const auto& [name, shape] : weight_infos(config)) {
    const auto* tensor = file.find_tensor(names.at(name));
    if (tensor == nullptr) return missing(file.origin(), names.at(name));
    const std::vector<std::uint64_t> is(tensor->dims.rbegin(), tensor->dims.rend());
    if (is != shape) return misshapen(file.origin(), tensor->name, is, shape);
    const auto format = format_of(tensor->type.id);
    if (!format) return wrong_format(file.origin(), tensor->name, tensor->type.name, "F32, F16, BF16, Q8_0 and Q4_1");
    found.emplace(name, Stored{*format, file.bytes(*tensor)});
  }
  if (file.tensors().size() != found.size())
    for (const auto& tensor : file.tensors())
      if (std::ranges::none_of(names, [&](const auto& pair) { return pair.second == tensor.name; }))
        return unknown_tensor(file.origin(), tensor.name);
  return found;
}

// What may lie beside the weights without changing the result: buffers that old versions wrote, and the copy of a tied head.
bool is_redundant(const std::string& name, const ModelConfig& config) {
  return name.ends_with(".rotary_emb.inv_freq") || (config.tied_embeddings && name == "lm_head.weight");
}

Result<StoredWeights> find_weights(const data::SafetensorsFile& file, const ModelConfig& config) {
  StoredWeights found;
  for (const auto& [name, shape] : weight_infos(config)) {
    const auto* tensor = file.find_tensor(name);
    if (tensor == nullptr) return missing(file.origin(), name);
    if (tensor->shape != shape) return misshapen(file.origin(), name, tensor->shape, shape);
    const auto format = format_of(tensor->type);
    if (!format) return wrong_format(file.origin(), name, to_string(tensor->type), "F32, F16 and BF16");
    found.emplace(name, Stored{*format, file.bytes(*tensor)});
  }
  for (const auto& tensor : file.tensors())
    if (!found.contains(tensor.name) && !is_redundant(tensor.name, config))
      return unknown_tensor(file.origin(), tensor.name);
  return found;
}

}  // namespace

struct Checkpoint::State {
  ModelConfig config;
  std::optional<data::GgufFile> gguf;  // the bytes that `weights` looks at are held by one of these two
  std::optional<data::SafetensorsFile> safetensors;
  StoredWeights weights;
};

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

std::vector<WeightInfo> weight_infos(const ModelConfig& c) {
  const std::uint64_t h = c.hidden_size, f = c.intermediate_size;
  const std::uint64_t q = std::uint64_t{c.heads} * c.head_dim, kv = std::uint64_t{c.kv_heads} * c.head_dim;
  const std::vector<std::uint64_t> shapes[] = {{h}, {q, h}, {kv, h}, {kv, h}, {h, q}, {h}, {f, h}, {f, h}, {h, f}};
  std::vector<WeightInfo> infos = {{"model.embed_tokens.weight", {c.vocab_size, h}}};
  for (std::uint32_t l = 0; l < c.layers; ++l)
    for (std::size_t i = 0; i < std::size(kLayerWeights); ++i)
      infos.push_back({layer_name(l) + kLayerWeights[i].hugging_face, shapes[i]});
  infos.push_back({"model.norm.weight", {h}});
  if (!c.tied_embeddings) infos.push_back({"lm_head.weight", {c.vocab_size, h}});
  return infos;
}

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  auto state = std::make_unique<State>();
  if (!std::filesystem::is_directory(path)) {
    SOTTO_TRY(state->gguf, data::GgufFile::open(path));
    SOTTO_TRY(state->config, model_config(*state->gguf));
    SOTTO_TRY(state->weights, find_weights(*state->gguf, state->config));
    return Checkpoint(std::move(state));
  }
  const std::string config_path = path + "/config.json", weights_path = path + "/model.safetensors";
  SOTTO_TRY(const auto json, Json::read_file(config_path));
  SOTTO_TRY(state->config, model_config(json, config_path));
  if (!std::filesystem::exists(weights_path) && std::filesystem::exists(weights_path + ".index.json"))
    return unsupported(path +
                       ": the weights are split over several files, which this version does not read; save the model as "
                       "one model.safetensors (save_pretrained with a large max_shard_size)");
  SOTTO_TRY(state->safetensors, data::SafetensorsFile::open(weights_path));
  SOTTO_TRY(state->weights, find_weights(*state->safetensors, state->config));
  return Checkpoint(std::move(state));
}

const ModelConfig& Checkpoint::config() const { return state_->config; }

std::vector<float> Checkpoint::read(const std::string& name) const {
  const auto& config = state_->config;
  const auto infos = weight_infos(config);
  const auto info = std::ranges::find(infos, name, &WeightInfo::name);
  SOTTO_CHECK(info != infos.end());
  const auto elements = std::accumulate(info->shape.begin(), info->shape.end(), std::uint64_t{1}, std::multiplies<>());
  const auto& stored = state_->weights.at(name);
  auto values = to_floats(stored.format, stored.bytes, elements);
  if (state_->gguf && (name.ends_with(".q_proj.weight") || name.ends_with(".k_proj.weight")))
    return unpermuted(values, config.head_dim, config.hidden_size);
  return values;
}

}  // namespace sotto::model
