// What a model was asked and what came of it: JSON lines, as `sotto-client serve` writes them or another program does. Two
// kinds, told apart by their members:
//   {"time", "id", "messages": [{"role", "content"}, ..], "response", "model", "patient_id"}   a query and its answer
//   {"time", "for": id, "correct": bool, "rating": 1 to 5, "correction": text, "by": name}      what somebody said of it;
//                                                                                               each optional
// Also taken: "prompt" (a text) in place of messages, and the second kind's members in the first. These are the site's own
// records of real questions: they stay where they are. Reading errors name file and line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/records/record.h"

namespace sotto::curation {

struct Use {
  std::string id;
  std::string time;  // as written: ISO 8601 in UTC sorts as text
  std::string patient_id;
  std::string model;
  std::vector<data::ChatMessage> messages;  // what was asked, without the answer
  std::string response;
  std::optional<bool> correct;
  std::optional<std::int64_t> rating;  // 1 to 5
  std::string correction;              // what it should have said
  std::string by;

  std::string question() const;  // the last of the user's messages
};

// In the order of the file; later words about one answer replace earlier ones. Refused: words about an id that was not
// asked.
Result<std::vector<Use>> read_usage(const std::string& path, const std::string& key_file = {});

}  // namespace sotto::curation
