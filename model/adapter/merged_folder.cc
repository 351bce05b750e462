#include "model/adapter/merged_folder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/new_file.h"
#include "data/files/safetensors_writer.h"
#include "data/tokenizer/tokenizer_formats.h"
#include "model/files/hugging_face_export.h"
#include "model/files/quantize.h"

namespace sotto::model {
namespace {

using data::SafetensorsShape;
using data::SafetensorsType;

// What a folder has besides weights and configuration.
constexpr const char* kCopied[] = {"tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "chat_template.jinja",
                                   "generation_config.json",
                                   "tokenizer.model",
                                   "vocab.json",
                                   "merges.txt",
                                   "added_tokens.json"};

SafetensorsType type_of(NumberFormat format) {
  if (format == NumberFormat::kF16) return SafetensorsType::kF16;
  if (format == NumberFormat::kBF16) return SafetensorsType::kBF16;
  SOTTO_CHECK(format == NumberFormat::kF32);
  return SafetensorsType::kF32;
}

const char* dtype_name(NumberFormat format) {
  if (format == NumberFormat::kF16) return "float16";
  return format == NumberFormat::kBF16 ? "bfloat16" : "float32";
}

struct Entry {
  const WeightInfo* info;
  SafetensorsShape shape;
};
using Shard = std::vector<Entry>;

// Weights by name, in shards of at most so many bytes.
std::vector<Shard> shards_of(const MergedModel& model, const MergeOptions& options) {
  std::vector<Entry> all;
  for (const auto& info : model.weights()) all.push_back({&info, {info.name, type_of(options.format), stored_shape(info)}});
  std::ranges::sort(all, {}, [](const Entry& entry) { return entry.shape.name; });
  std::vector<Shard> shards(1);
  std::uint64_t bytes = 0;
  for (auto& entry : all) {
    const auto size = entry.shape.bytes();
    if (bytes > 0 && bytes + size > options.shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += size;
    shards.back().push_back(std::move(entry));
  }
  return shards;
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

Result<void> write_shard(const MergedModel& model, const Shard& shard, const std::string& path, NumberFormat format) {
  std::vector<SafetensorsShape> shapes;
  for (const auto& entry : shard) shapes.push_back(entry.shape);
  SOTTO_TRY(auto file, data::SafetensorsWriter::create(path, std::move(shapes), {{"format", "pt"}}));
  for (const auto& entry : shard) {
    SOTTO_TRY(auto values, model.read(*entry.info));
    values = to_stored(*entry.info, std::move(values));
    if (format == NumberFormat::kF16 && std::ranges::any_of(values, [](float v) { return std::abs(v) >= 65520.0F; }))
      return invalid("the merged weight " + entry.info->name + " has values beyond F16's range; choose BF16 or F32");
    SOTTO_TRY_VOID(file.add(to_bytes(format, values)));
  }
  return file.commit();
}

Result<WrittenModel> write_weights(const MergedModel& model, const NewFolder& folder, const MergeOptions& options) {
  const auto shards = shards_of(model, options);
  WrittenModel written{0, 0, shards.size()};
  Json::Object names;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const std::string name = shard_name(s, shards.size());
    SOTTO_TRY_VOID(write_shard(model, shards[s], folder.path(name), options.format));
    for (const auto& entry : shards[s]) {
      names.emplace_back(entry.shape.name, name);
      written.bytes += entry.shape.bytes();
      ++written.tensors;
    }
  }
  if (shards.size() == 1) return written;
  const Json index =
      Json::object({{"metadata", Json::object({{"total_size", written.bytes}})}, {"weight_map", Json(std::move(names))}});
  SOTTO_TRY_VOID(
      write_file_atomically(folder.path("model.safetensors.index.json"), index.dump(2) + "\n", FileMode::kPublic));
  return written;
}

Result<void> write_config(const std::string& base, const MergedModel& model, const NewFolder& folder, NumberFormat format) {
  SOTTO_TRY(auto config, std::filesystem::is_directory(base) ? Json::read_file(base + "/config.json")
                                                             : hugging_face_config(model.config()));
  config.set(config.find("torch_dtype") != nullptr && config.find("dtype") == nullptr ? "torch_dtype" : "dtype",
             dtype_name(format));
  config.set("tie_word_embeddings", model.config().tied_embeddings);
  return write_file_atomically(folder.path("config.json"), config.dump(2) + "\n", FileMode::kPublic);
}

Result<void> write_tokenizer(const std::string& gguf, const NewFolder& folder) {
  SOTTO_TRY(const auto file, data::GgufFile::open(gguf));
  if (const auto kind = file.get_string("tokenizer.ggml.model"); kind.ok() && *kind == "none") return {};
  SOTTO_TRY(const auto files, data::tokenizer_from_gguf(file));
  SOTTO_TRY_VOID(write_file_atomically(folder.path("tokenizer.json"), files.tokenizer.dump(2) + "\n", FileMode::kPublic));
  return write_file_atomically(folder.path("tokenizer_config.json"), files.config.dump(2) + "\n", FileMode::kPublic);
}

Result<void> copy_files(const std::string& base, const NewFolder& folder) {
  for (const char* name : kCopied) {
    const std::string source = base + "/" + name;
    if (!file_exists(source)) continue;
    SOTTO_TRY(const auto bytes, read_binary_file(source));
    SOTTO_TRY_VOID(write_file_atomically(folder.path(name), bytes, FileMode::kPublic));
  }
  return {};
}

}  // namespace

Result<WrittenModel> write_merged_folder(const std::string& base, const MergedModel& model, const std::string& path,
                                         const MergeOptions& options) {
  SOTTO_TRY(auto folder, NewFolder::create(path));
  SOTTO_TRY_VOID(write_config(base, model, folder, options.format));
  SOTTO_TRY_VOID(std::filesystem::is_directory(base) ? copy_files(base, folder) : write_tokenizer(base, folder));
  SOTTO_TRY(const auto written, write_weights(model, folder, options));
  SOTTO_TRY_VOID(folder.commit());
  return written;
}

}  // namespace sotto::model
