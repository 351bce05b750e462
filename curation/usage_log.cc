#include "curation/usage_log.h"

#include <map>

#include "base/json.h"
#include "data/files/line_source.h"
#include "data/text/patient_id.h"

namespace sotto::curation {
namespace {

Result<std::string> text_or_empty(const Json& json, const char* name) {
  const Json* found = json.find(name);
  if (!found || found->is_null()) return std::string();
  return json.get_string(name);
}

// In its one spelling; empty where the query names no patient.
Result<std::string> patient_of(const Json& json) {
  const Json* value = json.find("patient_id");
  if (value == nullptr || value->is_null()) return std::string();
  if (value->is_int()) return std::to_string(value->as_int());
  SOTTO_TRY(const std::string raw, json.get_string("patient_id"));
  if (raw.empty()) return std::string();
  const auto id = data::patient_id(raw);
  if (!id.ok()) return invalid("'patient_id' is blank; leave it out where the query is about no patient");
  return *id;
}

Result<void> take_words(const Json& json, Use& use) {
  if (const Json* correct = json.find("correct"); correct && !correct->is_null()) {
    SOTTO_TRY(use.correct, json.get_bool("correct"));
  }
  if (const Json* rating = json.find("rating"); rating && !rating->is_null()) {
    SOTTO_TRY(use.rating, json.get_int("rating"));
    if (*use.rating < 1 || *use.rating > 5)
      return invalid("'rating' is " + std::to_string(*use.rating) + "; it is from 1 to 5");
  }
  SOTTO_TRY(const std::string correction, text_or_empty(json, "correction"));
  if (!correction.empty()) use.correction = correction;
  SOTTO_TRY(const std::string by, text_or_empty(json, "by"));
  if (!by.empty()) use.by = by;
  return {};
}

Result<std::vector<data::ChatMessage>> messages_in(const Json& json) {
  std::vector<data::ChatMessage> out;
  if (!json.find("messages")) {
    SOTTO_TRY(const std::string prompt, json.get_string("prompt"));
    return std::vector<data::ChatMessage>{{"user", prompt}};
  }
  SOTTO_TRY(const auto* messages, json.get_array("messages"));
  for (const auto& message : *messages) {
    data::ChatMessage one;
    SOTTO_TRY(one.role, message.get_string("role"));
    SOTTO_TRY(one.content, message.get_string("content"));
    out.push_back(std::move(one));
  }
  if (out.empty() || out.back().role != "user") return invalid("'messages' must end with what the user asked");
  return out;
}

Result<Use> query_of(const Json& json, const std::string& where) {
  Use use;
  SOTTO_TRY(use.id, text_or_empty(json, "id"));
  if (use.id.empty()) use.id = where;
  SOTTO_TRY(use.time, text_or_empty(json, "time"));
  SOTTO_TRY(use.patient_id, patient_of(json));
  SOTTO_TRY(use.model, text_or_empty(json, "model"));
  SOTTO_TRY(use.messages, messages_in(json));
  SOTTO_TRY(use.response, text_or_empty(json, "response"));
  SOTTO_TRY_VOID(take_words(json, use));
  return use;
}

Result<void> take_line(const Json& json, const std::string& where, std::vector<Use>& uses,
                       std::map<std::string, std::size_t>& by_id) {
  if (json.find("for")) {
    SOTTO_TRY(const std::string id, json.get_string("for"));
    const auto at = by_id.find(id);
    if (at == by_id.end()) return invalid("there is no query '" + id.substr(0, 60) + "' above that these words are for");
    return take_words(json, uses[at->second]);
  }
  SOTTO_TRY(Use use, query_of(json, where));
  if (!by_id.emplace(use.id, uses.size()).second) return invalid("the id '" + use.id.substr(0, 60) + "' is there twice");
  uses.push_back(std::move(use));
  return {};
}

}  // namespace

std::string Use::question() const { return messages.empty() ? "" : messages.back().content; }

Result<std::vector<Use>> read_usage(const std::string& path, const std::string& key_file) {
  SOTTO_TRY(auto source, data::LineSource::open(path, key_file));
  std::vector<Use> uses;
  std::map<std::string, std::size_t> by_id;
  std::string line;
  for (;;) {
    SOTTO_TRY(const bool more, source.next(line));
    if (!more) break;
    if (line.find_first_not_of(" \t") == line.npos) continue;
    const std::string where = source.where();
    SOTTO_TRY(const Json json, Json::parse(line, where));
    const auto taken = json.is_object() ? take_line(json, where, uses, by_id) : Result<void>(invalid("is no JSON object"));
    if (!taken.ok()) return Error{taken.error().code, where + ": " + taken.error().message};
  }
  return uses;
}

}  // namespace sotto::curation
