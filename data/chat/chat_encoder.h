// From a rendered chat with its marks to token ids and labels. Private to `data`.
#pragma once

#include <functional>

#include "data/chat/chat_template.h"
#include "data/jinja/marked_text.h"

namespace sotto::data {

// `learnt` says whether the content of message number n is what the model is to learn.
Example encode_marked(const MarkedText& chat, const Tokenizer& tokenizer, const std::function<bool(std::int32_t)>& learnt);

}  // namespace sotto::data
