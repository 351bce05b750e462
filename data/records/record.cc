#include "data/records/record.h"

#include <optional>

#include "base/json.h"
#include "data/files/line_source.h"
#include "data/text/patient_id.h"
#include "data/text/utf8.h"

namespace sotto::data {
namespace {

constexpr std::size_t kMaxIdBytes = 256;
constexpr std::size_t kMaxMessages = 1000;

std::string shown(const Json* value) {
  if (value == nullptr) return "missing";
  const std::string text = value->dump();
  return text.size() <= 60 ? text : text.substr(0, 60) + "...";
}

// Reads one record; remembers where, for its messages.
class Reader {
 public:
  Reader(const Json& json, std::string_view where) : json_(json), where_(where) {}

  Error wrong(const std::string& field, const Json* value, const std::string& wanted) const {
    return invalid(where_ + ": field '" + field + "' is " + shown(value) + "; " + wanted);
  }

  // A text, or an integer as its digits; empty when absent or null.
  Result<std::string> name(const std::string& field) const {
    const Json* value = json_.find(field);
    if (value == nullptr || value->is_null()) return std::string();
    if (value->is_int()) return std::to_string(value->as_int());
    if (!value->is_string() || value->as_string().size() > kMaxIdBytes)
      return wrong(field, value, "a text of at most 256 bytes or an integer is wanted");
    return value->as_string();
  }

  Result<std::string> text(const Json& object, const std::string& field, const std::string& path) const {
    const Json* value = object.find(field);
    if (value == nullptr || !value->is_string()) return wrong(path + field, value, "a text is wanted");
    return value->as_string();
  }

  Result<std::vector<ChatMessage>> instruction(const RecordOptions& options) const {
    SOTTO_TRY(auto user, text(json_, "instruction", ""));
    SOTTO_TRY(auto answer, text(json_, "output", ""));
    if (const Json* input = json_.find("input"); input != nullptr && !input->is_null()) {
      if (!input->is_string()) return wrong("input", input, "a text is wanted");
      if (!input->as_string().empty()) user += "\n" + input->as_string();
    }
    if (user.empty()) return wrong("instruction", json_.find("instruction"), "it must not be empty");
    if (answer.empty()) return wrong("output", json_.find("output"), "it must not be empty");
    std::vector<ChatMessage> out;
    if (!options.system_prompt.empty()) out.push_back({"system", options.system_prompt});
    out.push_back({"user", std::move(user)});
    out.push_back({"assistant", std::move(answer)});
    return out;
  }

  Result<std::vector<ChatMessage>> chat() const {
    const Json* list = json_.find("messages");
    if (!list->is_array() || list->items().size() > kMaxMessages)
      return wrong("messages", list, "a list of up to 1000 messages is wanted");
    std::vector<ChatMessage> out;
    bool asked = false;
    for (std::size_t i = 0; i < list->items().size(); ++i) {
      const std::string path = "messages[" + std::to_string(i) + "].";
      SOTTO_TRY(auto role, text(list->at(i), "role", path));
      SOTTO_TRY(auto content, text(list->at(i), "content", path));
      const bool known = role == "user" || role == "assistant" || (role == "system" && i == 0);
      if (!known)
        return wrong(path + "role", list->at(i).find("role"), "'user', 'assistant' or, first of all, 'system' is wanted");
      asked = asked || role == "user";
      out.push_back({std::move(role), std::move(content)});
    }
    if (!asked || out.back().role != "assistant")
      return wrong("messages", list, "at least one message of a user and, last, one of the assistant are wanted");
    if (out.back().content.empty()) return wrong("messages", list, "the last answer must not be empty");
    return out;
  }

  Result<Record> record(const RecordOptions& options) const {
    Record out;
    SOTTO_TRY(const auto raw_id, name("patient_id"));
    const auto id = patient_id(raw_id);
    if (!id.ok())
      return wrong("patient_id", json_.find("patient_id"), "every record must name its patient, who is the unit of privacy");
    out.patient_id = *id;
    SOTTO_TRY(out.id, name("id"));
    SOTTO_TRY(out.site, name("site"));
    SOTTO_TRY(out.task, name("task"));
    SOTTO_TRY(out.chapter, name("chapter"));
    if (const Json* encounter = json_.find("encounter"); encounter != nullptr && !encounter->is_null()) {
      if (!encounter->is_int()) return wrong("encounter", encounter, "an integer is wanted");
      out.encounter = encounter->as_int();
    }
    if (const Json* copy = json_.find("copy"); copy != nullptr && !copy->is_null()) {
      if (!copy->is_bool()) return wrong("copy", copy, "true or false is wanted");
      out.copy = copy->as_bool();
    }
    const bool has_chat = json_.find("messages") != nullptr;
    const bool has_instruction = json_.find("instruction") != nullptr;
    if (has_chat == has_instruction)
      return invalid(where_ + ": a record has either 'instruction' and 'output' or 'messages'; this one has " +
                     (has_chat ? "both" : "neither"));
    SOTTO_TRY(out.messages, has_chat ? chat() : instruction(options));
    return out;
  }

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace

Result<Record> parse_record(std::string_view line, std::string_view where, const RecordOptions& options) {
  if (!is_utf8(line))
    return invalid(std::string(where) +
                   ": not UTF-8; 'sotto-client data check' names the file's encoding and how to convert it");
  // The line is the position; what the parser would count inside it says nothing.
  const auto json = Json::parse(line, where);
  if (!json.ok()) {
    if (json.error().message.starts_with(std::string(where) + ": the key")) return json.error();
    return invalid(std::string(where) + ": not valid JSON; every line is to hold one JSON object");
  }
  if (!json->is_object()) return invalid(std::string(where) + ": " + shown(&*json) + " is no JSON object");
  return Reader(*json, where).record(options);
}

Result<std::vector<Record>> parse_records(std::string_view text, std::string_view origin, const RecordOptions& options) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark, which editors put before UTF-8
  std::vector<Record> out;
  for (std::size_t line_number = 1; !text.empty(); ++line_number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    SOTTO_TRY(auto record, parse_record(line, std::string(origin) + ":" + std::to_string(line_number), options));
    out.push_back(std::move(record));
  }
  return out;
}

Result<std::vector<Record>> read_records(const std::string& path, const RecordOptions& options) {
  SOTTO_TRY(auto lines, LineSource::open(path, options.key_file));
  std::vector<Record> out;
  std::string line;
  while (true) {
    SOTTO_TRY(const bool some, lines.next(line));
    if (!some) break;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    SOTTO_TRY(auto record, parse_record(line, lines.where(), options));
    out.push_back(std::move(record));
  }
  if (out.empty()) return invalid(path + ": no records in it");
  return out;
}

}  // namespace sotto::data
