#include "curation/splitting.h"

#include "base/files.h"
#include "curation/file_writer.h"
#include "curation/record_lines.h"

namespace sotto::curation {

Result<SplitCounts> split_files(const std::vector<std::string>& files, const data::HoldOut& hold_out,
                                const std::string& folder, const std::string& key_file) {
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  SOTTO_TRY(auto training, FileWriter::create(folder + "/train.jsonl"));
  SOTTO_TRY(auto validation, FileWriter::create(folder + "/val.jsonl"));
  SplitCounts out;
  SOTTO_TRY_VOID(
      for_each_record(files, key_file, [&](const std::string& line, const std::string&, const data::Record& record) {
        const bool held_out = hold_out.contains(record.patient_id);
        ++(held_out ? out.validation : out.training);
        return (held_out ? validation : training).line(line);
      }));
  SOTTO_TRY_VOID(training.finish());
  SOTTO_TRY_VOID(validation.finish());
  return out;
}

}  // namespace sotto::curation
