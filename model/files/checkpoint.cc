#include "model/files/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/check.h"
#include "data/files/gguf_file.h"
#include "data/files/safetensors_file.h"
#include "model/files/side_tensors.h"

namespace sotto::model {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

// A tensor as a file has it.
struct Stored {
  NumberFormat format = NumberFormat::kF32;
  ByteSpan bytes;
  const WeightInfo* info = nullptr;
  bool transposed = false;   // [in, out] where [out, in] is wanted
  bool interleaved = false;  // rows of rotary pairs stand together
  float offset = 0;          // to be added
  std::size_t file = 0;      // whose pages they are
};
using StoredWeights = std::map<std::string, Stored>;

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
                     " is not part of the architecture as this version computes it, so ignoring it would change the "
                     "result; take another model");
}

Result<StoredWeights> find_weights(const data::GgufFile& file, const ModelConfig& config,
                                   const std::vector<WeightInfo>& infos) {
  StoredWeights found;
  std::set<std::string_view> known;
  if (!config.learned_positions) known.insert("rope_freqs.weight");  // part of the configuration
  const bool interleaved = config.architecture == Architecture::kLlama;
  for (const auto& info : infos) {
    known.insert(info.gguf_name);
    const auto* tensor = file.find_tensor(info.gguf_name);
    if (tensor == nullptr) return missing(file.origin(), info.gguf_name);
    const std::vector<std::uint64_t> is(tensor->dims.rbegin(), tensor->dims.rend());
    if (is != info.shape) return misshapen(file.origin(), tensor->name, is, info.shape);
    const auto format = format_of_gguf(tensor->type.id);
    if (!format) return wrong_format(file.origin(), tensor->name, tensor->type.name, known_gguf_formats());
    found.emplace(info.name, Stored{*format, file.bytes(*tensor), &info, false, interleaved && info.rotary_rows, 0, 0});
  }
  for (const auto& tensor : file.tensors())
    if (!known.contains(tensor.name)) return unknown_tensor(file.origin(), tensor.name);
  return found;
}

// Files saved from a model without a head leave the first part of each name away.
std::string headless(const std::string& name, const ModelConfig& config) {
  const std::string embedding = outer_names(config).embedding, first = embedding.substr(0, embedding.find('.') + 1);
  return name.starts_with(first) ? name.substr(first.size()) : name;
}

class Shards {
 public:
  explicit Shards(std::span<const data::SafetensorsFile> files) {
    for (std::size_t f = 0; f < files.size(); ++f)
      for (const auto& tensor : files[f].tensors()) {
        const bool fresh = places_.emplace(tensor.name, Place{f, &tensor}).second;
        if (!fresh && !twice_)
          twice_ = invalid(files[f].origin() + ": the tensor " + tensor.name + " is in another file, too");
      }
  }
  struct Place {
    std::size_t file;
    const data::SafetensorsInfo* tensor;
  };
  const Place* find(const std::string& name) const {
    const auto place = places_.find(name);
    return place == places_.end() ? nullptr : &place->second;
  }
  const Place* find(const std::string& name, const ModelConfig& config) const {
    const auto* place = find(name);
    return place != nullptr ? place : find(headless(name, config));
  }
  const std::optional<Error>& twice() const { return twice_; }
  const std::map<std::string, Place>& places() const { return places_; }

 private:
  std::map<std::string, Place> places_;
  std::optional<Error> twice_;
};

// Where the two matrices of a model that is said to be tied are.
struct TiedMatrices {
  const Shards::Place* embedding;
  const Shards::Place* head;
};
TiedMatrices tied_matrices(const Shards& shards, const ModelConfig& config) {
  const auto outer = outer_names(config);
  return {shards.find(outer.embedding + ".weight", config), shards.find(outer.head + ".weight")};
}

// The head counts where its values differ from those of the embedding that it is said to be (the header says why).
bool is_tied(std::span<const data::SafetensorsFile> files, const Shards& shards, const ModelConfig& config) {
  if (!config.tied_embeddings) return false;
  const auto [embedding, head] = tied_matrices(shards, config);
  if (embedding == nullptr || head == nullptr) return true;
  return same_values({&files[embedding->file], embedding->tensor}, {&files[head->file], head->tensor});
}

Result<StoredWeights> find_weights(std::span<const data::SafetensorsFile> files, const Shards& shards,
                                   const std::string& folder, const ModelConfig& config,
                                   const std::vector<WeightInfo>& infos) {
  const std::string origin = files.size() == 1 ? files[0].origin() : folder;
  StoredWeights found;
  std::set<std::string_view> used;
  if (config.tied_embeddings) {  // a copy of the embedding, or the embedding itself
    if (const auto* head = tied_matrices(shards, config).head) used.insert(head->tensor->name);
  }
  for (const auto& info : infos) {
    const auto* place = shards.find(info.name, config);
    if (place == nullptr && config.tied_embeddings && info.name == outer_names(config).embedding + ".weight")
      place = tied_matrices(shards, config).head;
    if (place == nullptr) return missing(origin, info.name);
    const auto& [f, tensor] = *place;
    auto wanted = info.shape;
    if (info.transposed_on_disk) std::ranges::reverse(wanted);
    if (tensor->shape != wanted) return misshapen(files[f].origin(), tensor->name, tensor->shape, wanted);
    const auto format = number_format(tensor->type);
    if (!format) return wrong_format(files[f].origin(), tensor->name, to_string(tensor->type), "F32, F16 and BF16");
    used.insert(tensor->name);
    found.emplace(info.name, Stored{*format, files[f].bytes(*tensor), &info, info.transposed_on_disk, false,
                                    info.unit_offset ? 1.0F : 0.0F, f});
  }
  for (const auto& [name, place] : shards.places())
    if (!used.contains(name) && !is_redundant_buffer(files[place.file], *place.tensor, config))
      return unknown_tensor(files[place.file].origin(), name);
  return found;
}

// transformers takes the adapter of such a folder, and the model that the adapter names, in place of the weights beside it.
Result<void> refuse_adapter_in(const std::string& folder) {
  for (const char* const name : {"adapter_config.json", "adapter_model.safetensors"})
    if (std::filesystem::exists(folder + "/" + name))
      return unsupported(folder + ": " + name +
                         " lies beside the model's weights, and ignoring an adapter would change the result; move it to a "
                         "folder of its own and name that with --adapter, or merge it first");
  return {};
}

// Where row `row` of a q_proj or k_proj stands in a GGUF file: llama.cpp's converter puts the two numbers that a rotation
// mixes next to each other. hf[h, half * D/2 + i] = raw[h, 2 i + half], D = head_dim.
std::uint64_t interleaved_row(std::uint64_t row, std::uint64_t head_dim) {
  const std::uint64_t in_head = row % head_dim, half = in_head / (head_dim / 2), i = in_head % (head_dim / 2);
  return row - in_head + 2 * i + half;
}

// Rows of W from a file that has W^T.
void read_columns(const Stored& stored, std::uint64_t first, std::span<float> out) {
  const std::uint64_t in = stored.info->shape[1], all_rows = stored.info->shape[0], rows = out.size() / in;
  const std::size_t number = block_size(stored.format).bytes;
  std::vector<float> part(rows);
  for (std::uint64_t i = 0; i < in; ++i) {
    dequantize(stored.format, stored.bytes.subspan((i * all_rows + first) * number, rows * number), part);
    for (std::uint64_t r = 0; r < rows; ++r) out[r * in + i] = part[r];
  }
}

}  // namespace

struct Checkpoint::State {
  ModelConfig config;
  std::vector<WeightInfo> infos;
  std::optional<data::GgufFile> gguf;  // the bytes that `weights` looks at are held by one of these two
  std::vector<data::SafetensorsFile> shards;
  StoredWeights weights;
};

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<std::vector<std::string>> weight_files(const std::string& folder) {
  const std::string single = "model.safetensors", index_path = folder + "/" + kIndex;
  if (std::filesystem::exists(folder + "/" + single) || !std::filesystem::exists(index_path))
    return std::vector<std::string>{single};
  SOTTO_TRY(const auto index, Json::read_file(index_path));
  const auto map = index.get_object("weight_map");
  if (!map.ok()) return invalid(index_path + ": " + map.error().message);
  std::set<std::string> names;
  for (const auto& [tensor, file] : **map) {
    const std::string name = file.is_string() ? file.as_string() : "";
    if (!name.ends_with(".safetensors") || name.find('/') != std::string::npos || name.starts_with("."))
      return invalid(index_path + ": weight_map \"" + tensor.substr(0, 100) + "\" names " + file.dump().substr(0, 100) +
                     ", which is no .safetensors file of the same folder");
    names.insert(name);
  }
  if (names.empty()) return invalid(index_path + ": weight_map is empty");
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::unique_ptr<Checkpoint::State>> Checkpoint::find(const std::string& path) {
  auto state = std::make_unique<State>();
  if (!std::filesystem::is_directory(path)) {
    SOTTO_TRY(state->gguf, data::GgufFile::open(path));
    SOTTO_TRY(state->config, model_config(*state->gguf));
    state->infos = weight_infos(state->config);
    SOTTO_TRY(state->weights, find_weights(*state->gguf, state->config, state->infos));
    return state;
  }
  const std::string config_path = path + "/config.json";
  SOTTO_TRY(const auto json, Json::read_file(config_path));
  SOTTO_TRY(state->config, model_config(json, config_path));
  SOTTO_TRY_VOID(refuse_adapter_in(path));
  SOTTO_TRY(const auto files, weight_files(path));
  for (const auto& file : files) {
    SOTTO_TRY(auto shard, data::SafetensorsFile::open(path + "/" + file));
    state->shards.push_back(std::move(shard));
  }
  const Shards shards(state->shards);
  if (shards.twice()) return *shards.twice();
  state->config.tied_embeddings = is_tied(state->shards, shards, state->config);
  state->infos = weight_infos(state->config);
  SOTTO_TRY(state->weights, find_weights(state->shards, shards, path, state->config, state->infos));
  return state;
}

Result<ModelConfig> checkpoint_config(const std::string& path) {
  SOTTO_TRY(const auto state, Checkpoint::find(path));
  return state->config;
}

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  SOTTO_TRY(auto state, find(path));
  Checkpoint checkpoint(std::move(state));
  for (const auto& info : checkpoint.weights()) {
    const auto& stored = checkpoint.state_->weights.at(info.name);
    if (!all_finite(stored.format, stored.bytes))
      return invalid(
          (checkpoint.state_->gguf ? checkpoint.state_->gguf->origin() : checkpoint.state_->shards[stored.file].origin()) +
          ": the tensor " + (checkpoint.state_->gguf ? info.gguf_name : info.name) +
          " has a number that is not finite (NaN or infinity), so every result would be; the file is damaged: "
          "fetch or convert it again");
    checkpoint.done_with(info.name);
  }
  return checkpoint;
}

const ModelConfig& Checkpoint::config() const { return state_->config; }
const std::vector<WeightInfo>& Checkpoint::weights() const { return state_->infos; }

std::vector<float> Checkpoint::read(const std::string& name) const {
  const auto& shape = state_->weights.at(name).info->shape;
  std::vector<float> values(std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>()));
  read_rows(name, 0, values);
  return values;
}

void Checkpoint::read_rows(const std::string& name, std::uint64_t first, std::span<float> out) const {
  const auto& stored = state_->weights.at(name);
  const std::uint64_t columns = stored.info->shape.size() == 2 ? stored.info->shape[1] : 1, rows = out.size() / columns;
  SOTTO_CHECK(out.size() == rows * columns && first + rows <= stored.info->shape[0]);
  if (stored.transposed) return read_columns(stored, first, out);
  const auto block = block_size(stored.format);
  const std::size_t row_bytes = columns / block.elements * block.bytes;
  if (stored.interleaved) {
    for (std::uint64_t r = 0; r < rows; ++r)
      dequantize(stored.format,
                 stored.bytes.subspan(interleaved_row(first + r, state_->config.head_dim) * row_bytes, row_bytes),
                 out.subspan(r * columns, columns));
    return;
  }
  // A vector in blocks is a single row of its own.
  SOTTO_CHECK(row_bytes > 0 || (first == 0 && rows == stored.info->shape[0]));
  dequantize(stored.format, row_bytes > 0 ? stored.bytes.subspan(first * row_bytes, rows * row_bytes) : stored.bytes, out);
  if (stored.offset != 0)
    for (float& v : out) v += stored.offset;
}

std::optional<ByteSpan> Checkpoint::plain_bytes(const std::string& name, NumberFormat format) const {
  const auto& stored = state_->weights.at(name);
  if (stored.format != format || stored.transposed || stored.interleaved || stored.offset != 0) return std::nullopt;
  return stored.bytes;
}

NumberFormat Checkpoint::format(const std::string& name) const { return state_->weights.at(name).format; }
std::uint64_t Checkpoint::stored_bytes(const std::string& name) const { return state_->weights.at(name).bytes.size(); }

Bytes Checkpoint::read_blocks(const std::string& name) const {
  const auto& stored = state_->weights.at(name);
  SOTTO_CHECK(!stored.transposed && stored.offset == 0 && stored.info->shape.size() == 2);
  const std::uint64_t rows = stored.info->shape[0], row_bytes = stored.bytes.size() / rows;
  Bytes blocks;
  blocks.reserve(stored.bytes.size());
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::uint64_t at = stored.interleaved ? interleaved_row(row, state_->config.head_dim) : row;
    const auto bytes = stored.bytes.subspan(at * row_bytes, row_bytes);
    blocks.insert(blocks.end(), bytes.begin(), bytes.end());
  }
  return blocks;
}

void Checkpoint::done_with(const std::string& name) const {
  const auto& stored = state_->weights.at(name);
  if (state_->gguf)
    state_->gguf->drop_pages(stored.bytes);
  else
    state_->shards[stored.file].drop_pages(stored.bytes);
}

}  // namespace sotto::model
