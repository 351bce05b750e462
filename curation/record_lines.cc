#include "curation/record_lines.h"

#include "data/line_source.h"

namespace sotto::curation {

Result<void> for_each_record(const std::vector<std::string>& files, const std::string& key_file, const OnRecord& on_record) {
  std::string line;
  for (const auto& file : files) {
    SOTTO_TRY(auto lines, data::LineSource::open(file, key_file));
    while (true) {
      SOTTO_TRY(const bool some, lines.next(line));
      if (!some) break;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      SOTTO_TRY(const auto record, data::parse_record(line, lines.where()));
      SOTTO_TRY_VOID(on_record(line, lines.where(), record));
    }
  }
  return {};
}

}  // namespace sotto::curation
