#include "curation/feedback.h"

#include "base/json.h"
#include "curation/file_writer.h"
#include "data/files/line_source.h"

namespace sotto::curation {
namespace {

Json messages_json(const std::vector<data::ChatMessage>& messages) {
  Json out = Json::array();
  for (const auto& m : messages) out.push(Json::object({{"role", m.role}, {"content", m.content}}));
  return out;
}

Result<Json> record_of(const Json& candidate, const std::string& by) {
  SOTTO_TRY(const std::string id, candidate.get_string("id"));
  SOTTO_TRY(const std::string patient, candidate.get_string("patient_id"));
  SOTTO_TRY(const std::string answer, candidate.get_string("answer"));
  SOTTO_TRY(const auto* messages, candidate.get_array("messages"));
  if (answer.empty()) return invalid("'answer' is empty; write what the model should have said, or set \"approved\": false");
  Json all{Json::Array(*messages)};
  all.push(Json::object({{"role", "assistant"}, {"content", answer}}));
  return Json::object({{"id", id}, {"patient_id", patient}, {"messages", std::move(all)}, {"reviewed_by", by}});
}

}  // namespace

Result<FeedbackCount> collect_feedback(const std::vector<Use>& uses, const std::string& out) {
  SOTTO_TRY(auto file, FileWriter::create(out));
  FeedbackCount count;
  for (const auto& use : uses) {
    const bool corrected = !use.correction.empty(), praised = use.rating && *use.rating >= 4 && !use.response.empty();
    if (!corrected && !praised) continue;
    if (use.patient_id.empty()) {
      ++count.left_out;
      continue;
    }
    Json line = Json::object({{"id", use.id},
                              {"patient_id", use.patient_id},
                              {"messages", messages_json(use.messages)},
                              {"answer", corrected ? use.correction : use.response}});
    if (corrected) line.set("was", use.response);
    line.set("from", corrected ? "correction" : "rating").set("by", use.by).set("approved", Json());
    SOTTO_TRY_VOID(file.line(line.dump()));
    ++count.taken;
  }
  SOTTO_TRY_VOID(file.finish());
  return count;
}

Result<FeedbackCount> accept_feedback(const std::string& candidates, const std::string& out, const std::string& by) {
  if (by.empty()) return invalid("--by must name the person who looked at them");
  SOTTO_TRY(auto source, data::LineSource::open(candidates));
  SOTTO_TRY(auto file, FileWriter::create(out));
  FeedbackCount count;
  std::string text;
  for (;;) {
    SOTTO_TRY(const bool more, source.next(text));
    if (!more) break;
    if (text.find_first_not_of(" \t") == text.npos) continue;
    SOTTO_TRY(const Json candidate, Json::parse(text, source.where()));
    const Json* approved = candidate.find("approved");
    if (!approved || !(approved->is_null() || approved->is_bool()))
      return invalid(source.where() + ": 'approved' must be true, false, or null where nobody has looked yet");
    if (approved->is_null() || !approved->as_bool()) {
      ++count.left_out;
      continue;
    }
    const auto record = record_of(candidate, by);
    if (!record.ok()) return Error{record.error().code, source.where() + ": " + record.error().message};
    const auto valid = data::parse_record(record->dump(), source.where());
    if (!valid.ok()) return valid.error();
    SOTTO_TRY_VOID(file.line(record->dump()));
    ++count.taken;
  }
  SOTTO_TRY_VOID(file.finish());
  return count;
}

}  // namespace sotto::curation
