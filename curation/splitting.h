// A data set cut in training and validation by a keyed hash of the patient (data/records/hold_out.h): a patient's records
// all go the same way, and the same way again in every later export under the same key.
#pragma once

#include <string>
#include <vector>

#include "data/records/hold_out.h"

namespace sotto::curation {

struct SplitCounts {
  std::uint64_t training = 0;
  std::uint64_t validation = 0;
};

// `key_file`: of sealed files. Writes the lines, unchanged, to FOLDER/train.jsonl and FOLDER/val.jsonl. Fails on the first
// line that is no record.
Result<SplitCounts> split_files(const std::vector<std::string>& files, const data::HoldOut& hold_out,
                                const std::string& folder, const std::string& key_file = {});

}  // namespace sotto::curation
