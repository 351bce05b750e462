#include "curation/record_lines.h"

#include "data/files/distinct_files.h"
#include "data/files/line_source.h"

namespace sotto::curation {

Result<void> for_each_record(const std::vector<std::string>& files, const std::string& key_file, const OnRecord& on_record) {
  std::string line;
  bool any = false;
  for (const auto& file : data::distinct_files(files)) {
    SOTTO_TRY(auto lines, data::LineSource::open(file, key_file));
    while (true) {
      SOTTO_TRY(const bool some, lines.next(line));
      if (!some) break;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      SOTTO_TRY(const auto record, data::parse_record(line, lines.where()));
      SOTTO_TRY_VOID(on_record(line, lines.where(), record));
      any = true;
    }
  }
  if (!any)
    return invalid("there is no record in '" + (files.empty() ? "" : files.front()) + "'" +
                   (files.size() > 1 ? " and the other files" : "") + "; give one JSON object a line");
  return {};
}

}  // namespace sotto::curation
