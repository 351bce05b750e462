// Records: JSON lines, one training example a line, in either format, and each with the patient it belongs to:
//   {"patient_id": "P0-00012", "instruction": "...", "input": "...", "output": "..."}
//   {"patient_id": "P0-00012", "messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
// Both become the same thing: a list of chat messages. Optional fields: id, site, task, chapter, encounter, copy. Further
// fields are left alone. Errors name file, line, field and value (values are cut to 60 bytes). Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/chat/chat_template.h"

namespace sotto::data {

struct Record {
  std::string id;          // empty when the file gives none
  std::string patient_id;  // never empty; in its one spelling (data/text/patient_id.h)
  std::string site;        // a number in the file becomes its digits; so for patient_id and chapter
  std::string task;
  std::string chapter;
  std::int64_t encounter = 0;
  bool copy = false;                  // the answer's title stands in the question, so that only the code is to be known
  std::vector<ChatMessage> messages;  // at least one user and one assistant message, the last from the assistant
};

struct RecordOptions {
  // First message of records in the instruction format; empty: none (the chat template then adds its own default). Records
  // in the chat format bring their own.
  std::string system_prompt;
  std::string key_file{};  // of sealed files; read_records alone needs it
};

// `line` is one JSON object; `where` (file and line) starts every message.
Result<Record> parse_record(std::string_view line, std::string_view where, const RecordOptions& options = {});
// A whole text; empty lines are skipped. `origin` is the file's name.
Result<std::vector<Record>> parse_records(std::string_view text, std::string_view origin, const RecordOptions& options = {});
// A file, plain, gzip, zstd or sealed.
Result<std::vector<Record>> read_records(const std::string& path, const RecordOptions& options = {});

}  // namespace sotto::data
