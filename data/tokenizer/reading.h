// How a text is to be read by the tokenizer.
#pragma once

namespace sotto::data {

enum class ControlTokens {
  kRecognise,    // "<|im_end|>" in the text becomes its id: for text that we rendered ourselves
  kAsPlainText,  // it is spelled out like any other text: for what users and records contain
};

// What stands before a text. Vocabularies like Llama's put a space before the first word of a text, some before the first
// one behind a control token, too, but none inside a text that goes on.
enum class Position { kStart, kBehindToken, kBehindText };

}  // namespace sotto::data
