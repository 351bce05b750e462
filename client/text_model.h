// What a model's files say about text: tokenizer and chat template, from a .gguf file or a Hugging Face folder. The model's
// shape, too, without reading a weight. Immutable.
#pragma once

#include <memory>
#include <string>

#include "data/chat_template.h"
#include "data/tokenizer.h"
#include "model/model_config.h"

namespace sotto::client {

class TextModel {
 public:
  static Result<TextModel> load(const std::string& path);
  const data::Tokenizer& tokenizer() const { return *tokenizer_; }
  // Refused when the model brings no template or one that is not known.
  Result<data::ChatTemplate> chat() const { return data::ChatTemplate::make(*tokenizer_); }

 private:
  explicit TextModel(data::Tokenizer tokenizer) : tokenizer_(std::make_unique<data::Tokenizer>(std::move(tokenizer))) {}
  std::unique_ptr<data::Tokenizer> tokenizer_;  // a chat template points at it, so it stays where it is
};

// The model's shape, read from its metadata alone.
Result<model::ModelConfig> read_model_config(const std::string& path);

}  // namespace sotto::client
