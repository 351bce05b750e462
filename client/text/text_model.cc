#include "client/text/text_model.h"

#include <filesystem>

#include "base/json.h"
#include "data/files/gguf_file.h"
#include "model/files/checkpoint.h"

namespace sotto::client {

namespace {

// eos_token_id of a JSON file: a number or a list of them; nothing where there is no such file or field.
Result<std::vector<std::int32_t>> named_ends(const std::string& file) {
  std::vector<std::int32_t> ids;
  if (!std::filesystem::exists(file)) return ids;
  SOTTO_TRY(const Json json, Json::read_file(file));
  const Json* value = json.find("eos_token_id");
  if (value == nullptr || value->is_null()) return ids;
  for (const Json& id : value->is_array() ? value->items() : Json::Array{*value}) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() > INT32_MAX)
      return invalid(file + ": eos_token_id has " + id.dump() + ", which is no token id");
    ids.push_back(static_cast<std::int32_t>(id.as_int()));
  }
  return ids;
}

}  // namespace

Result<TextModel> TextModel::load(const std::string& path) {
  SOTTO_TRY(auto spec, data::load_tokenizer_spec(path));
  SOTTO_TRY(auto tokenizer, data::Tokenizer::make(std::move(spec)));
  return TextModel(std::move(tokenizer));
}

Result<model::ModelConfig> read_model_config(const std::string& path) { return model::checkpoint_config(path); }

Result<bool> has_tokenizer(const std::string& path) {
  if (std::filesystem::is_directory(path)) return std::filesystem::exists(path + "/tokenizer.json");
  SOTTO_TRY(const auto file, data::GgufFile::open(path));
  const auto kind = file.get_string("tokenizer.ggml.model");
  return kind.ok() && *kind != "none";
}

Result<std::vector<std::int32_t>> stop_ids(const std::string& path, const data::Tokenizer* tokenizer) {
  std::vector<std::int32_t> ids;
  if (std::filesystem::is_directory(path)) {
    SOTTO_TRY(ids, named_ends(path + "/generation_config.json"));
    if (ids.empty()) {
      SOTTO_TRY(ids, named_ends(path + "/config.json"));
    }
  } else {
    SOTTO_TRY(const auto file, data::GgufFile::open(path));
    if (const auto turn = file.get_uint("tokenizer.ggml.eot_token_id");
        turn.ok() && tokenizer != nullptr && *turn < tokenizer->size())
      ids.push_back(static_cast<std::int32_t>(*turn));
  }
  if (tokenizer != nullptr && tokenizer->spec().eos) ids.push_back(*tokenizer->spec().eos);
  return ids;
}

}  // namespace sotto::client
