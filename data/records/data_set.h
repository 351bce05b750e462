// A site's records, encoded and grouped by privacy unit. Which records are encoded, and how, depends on each record alone:
// no record changes what becomes of another's. Plain values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/records/record.h"
#include "plan/run_plan.h"

namespace sotto::data {

// One privacy unit: all encoded records of a patient, or a single record.
struct Unit {
  std::string patient_id;
  std::vector<std::uint32_t> examples;  // indices into DataSet::examples and DataSet::records
};

struct DataSet {
  std::vector<Record> records;    // those that were encoded, in the order given
  std::vector<Example> examples;  // examples[i] is records[i] encoded
  std::vector<Unit> units;        // in order of first appearance
  std::size_t skipped = 0;        // records whose response does not begin within max_tokens
  std::size_t truncated = 0;      // records cut at max_tokens
  std::size_t refused = 0;        // records whose messages the chat template does not take
  std::string refusal;            // why, of the first of them
  std::size_t idle_units = 0;     // units none of whose records was encoded: they train nothing
};

struct EncodeOptions {
  privacy::Unit unit = privacy::Unit::kPatient;
  // Longer examples are cut at the end: the first max_tokens ids and labels stay. An example that has no label left is
  // skipped.
  std::size_t max_tokens = 128;
};

DataSet encode(std::vector<Record> records, const ChatTemplate& chat, const EncodeOptions& options);

}  // namespace sotto::data
