// A list of files in which each file counts once, by whatever paths or links it is named.
#pragma once

#include <string>
#include <vector>

namespace sotto::data {

// The first name of each file, in order. Files are the same when device and inode are; a name that leads to no file stays, so
// that whoever opens it tells of it.
std::vector<std::string> distinct_files(const std::vector<std::string>& files);

}  // namespace sotto::data
