#include "client/text/text_lines.h"

#include <iostream>

namespace sotto::client {

Result<void> for_each_line(const std::function<Result<void>(const std::string&, const std::string&)>& answer) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    const std::string where = "standard input:" + std::to_string(number);
    if (const auto done = answer(line, where); !done.ok()) {
      const auto& e = done.error();
      return Error{e.code, e.message.starts_with(where) ? e.message : where + ": " + e.message};
    }
    std::cout.flush();
  }
  return {};
}

Result<std::vector<std::int32_t>> ids_of(const Json& json, std::size_t vocabulary) {
  SOTTO_TRY(const auto* items, json.get_array("ids"));
  std::vector<std::int32_t> ids;
  for (const auto& item : *items) {
    if (!item.is_int() || item.as_int() < 0 || static_cast<std::size_t>(item.as_int()) >= vocabulary)
      return invalid("field 'ids' has " + item.dump() + ", which is no token id below " + std::to_string(vocabulary));
    ids.push_back(static_cast<std::int32_t>(item.as_int()));
  }
  return ids;
}

Json ids_json(const std::vector<std::int32_t>& ids) {
  Json::Array out(ids.begin(), ids.end());
  return Json(std::move(out));
}

Result<std::vector<data::ChatMessage>> messages_of(const Json& json) {
  SOTTO_TRY(const auto* items, json.get_array("messages"));
  std::vector<data::ChatMessage> out;
  for (const auto& item : *items) {
    SOTTO_TRY(const auto role, item.get_string("role"));
    SOTTO_TRY(const auto content, item.get_string("content"));
    out.push_back({role, content});
  }
  if (out.empty()) return invalid("field 'messages' is empty");
  return out;
}

}  // namespace sotto::client
