// The records of a site's files, one line after another.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/records/record.h"

namespace sotto::curation {

// `line` as it stands in the file, `where` its file and number for messages. An error ends the walk.
using OnRecord = std::function<Result<void>(const std::string& line, const std::string& where, const data::Record& record)>;
// A file that is named twice counts once (data/files/distinct_files.h). Blank lines are skipped. A line that is no record is
// refused with its `where`; files without any record are refused. `key_file`: of sealed files.
Result<void> for_each_record(const std::vector<std::string>& files, const std::string& key_file, const OnRecord& on_record);

}  // namespace sotto::curation
