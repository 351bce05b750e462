// Turns tokens into text as they come. Text that it returns is final and can be shown. It holds back characters whose bytes
// are incomplete, and text that may still become a stop string. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace sotto::client {

class TextStream {
 public:
  // `tokenizer` must outlive the stream. Text ends before the first of `stops` that occurs; empty ones are ignored.
  TextStream(const data::Tokenizer& tokenizer, std::vector<std::string> stops);

  // The text that became certain. Fails on an id outside the vocabulary.
  Result<std::string> add(std::int32_t id);
  // What was held back, at the end.
  std::string finish();
  bool stopped() const { return stopped_; }           // by a stop string
  const std::string& text() const { return shown_; }  // all that was handed out

 private:
  std::string show(std::size_t end);
  const data::Tokenizer* tokenizer_;
  std::vector<std::string> stops_;
  std::vector<std::int32_t> ids_;
  std::string decoded_;  // of all ids
  std::string shown_;
  bool stopped_ = false;
};

}  // namespace sotto::client
