// What a model's files say about text: tokenizer and chat template, from a .gguf file or a Hugging Face folder. The model's
// shape, too, without reading a weight. Immutable.
#pragma once

#include <memory>
#include <string>

#include "data/chat/chat_template.h"
#include "data/tokenizer/tokenizer.h"
#include "model/files/model_config.h"

namespace sotto::client {

class TextModel {
 public:
  static Result<TextModel> load(const std::string& path);
  const data::Tokenizer& tokenizer() const { return *tokenizer_; }
  // `name` of a well-known template, or empty for the model's own: refused when it brings none or one that cannot be run.
  Result<data::ChatTemplate> chat(const std::string& name = {}) const { return data::ChatTemplate::make(*tokenizer_, name); }

 private:
  explicit TextModel(data::Tokenizer tokenizer) : tokenizer_(std::make_unique<data::Tokenizer>(std::move(tokenizer))) {}
  std::unique_ptr<data::Tokenizer> tokenizer_;  // a chat template points at it, so it stays where it is
};

// Whether the model brings a tokenizer at all: one that does not takes token ids alone.
Result<bool> has_tokenizer(const std::string& path);

// The tokens that end an answer: the tokenizer's end of text, a GGUF file's end of turn, and what a folder's
// generation_config.json (or config.json) names. `tokenizer`: null where the model brings none.
Result<std::vector<std::int32_t>> stop_ids(const std::string& path, const data::Tokenizer* tokenizer);

// The model's shape, as its configuration and its tensors have it (model/files/checkpoint.h); their numbers are not read.
Result<model::ModelConfig> read_model_config(const std::string& path);

}  // namespace sotto::client
