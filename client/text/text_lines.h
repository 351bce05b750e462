// What the commands on texts share: lines from standard input, and what JSON lines hold.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/chat/chat_template.h"

namespace sotto::client {

// Calls `answer` with each line of standard input that is not empty, and its place. The first failure ends the walk; its
// message has the line's number.
Result<void> for_each_line(const std::function<Result<void>(const std::string& line, const std::string& where)>& answer);

// {"ids": [...]}; refused: ids outside the vocabulary.
Result<std::vector<std::int32_t>> ids_of(const Json& json, std::size_t vocabulary);
Json ids_json(const std::vector<std::int32_t>& ids);

// {"messages": [{"role", "content"}, ...]}, at least one.
Result<std::vector<data::ChatMessage>> messages_of(const Json& json);

}  // namespace sotto::client
