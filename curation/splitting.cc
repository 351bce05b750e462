#include "curation/splitting.h"

#include "base/files.h"
#include "curation/file_writer.h"
#include "data/line_source.h"
#include "data/record.h"

namespace sotto::curation {

Result<SplitCounts> split_files(const std::vector<std::string>& files, const data::HoldOut& hold_out, const std::string& folder,
                                const std::string& key_file) {
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  SOTTO_TRY(auto training, FileWriter::create(folder + "/train.jsonl"));
  SOTTO_TRY(auto validation, FileWriter::create(folder + "/val.jsonl"));
  SplitCounts out;
  std::string line;
  for (const auto& file : files) {
    SOTTO_TRY(auto lines, data::LineSource::open(file, key_file));
    while (true) {
      SOTTO_TRY(const bool some, lines.next(line));
      if (!some) break;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      SOTTO_TRY(const auto record, data::parse_record(line, lines.where()));
      const bool held_out = hold_out.contains(record.patient_id);
      SOTTO_TRY_VOID((held_out ? validation : training).line(line));
      ++(held_out ? out.validation : out.training);
    }
  }
  SOTTO_TRY_VOID(training.finish());
  SOTTO_TRY_VOID(validation.finish());
  return out;
}

}  // namespace sotto::curation
