#include "client/text_model.h"

#include <filesystem>

#include "data/gguf_file.h"

namespace sotto::client {

Result<TextModel> TextModel::load(const std::string& path) {
  SOTTO_TRY(auto spec, data::load_tokenizer_spec(path));
  SOTTO_TRY(auto tokenizer, data::Tokenizer::make(std::move(spec)));
  return TextModel(std::move(tokenizer));
}

Result<model::ModelConfig> read_model_config(const std::string& path) {
  if (std::filesystem::is_directory(path)) {
    const std::string file = path + "/config.json";
    SOTTO_TRY(const Json json, Json::read_file(file));
    return model::model_config(json, file);
  }
  SOTTO_TRY(const auto file, data::GgufFile::open(path));
  return model::model_config(file);
}

}  // namespace sotto::client
