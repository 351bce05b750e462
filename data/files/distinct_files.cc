#include "data/files/distinct_files.h"

#include <sys/stat.h>

#include <set>
#include <utility>

namespace sotto::data {

std::vector<std::string> distinct_files(const std::vector<std::string>& files) {
  std::set<std::pair<dev_t, ino_t>> seen;
  std::vector<std::string> out;
  for (const auto& file : files) {
    struct stat info{};
    if (::stat(file.c_str(), &info) == 0 && !seen.emplace(info.st_dev, info.st_ino).second) continue;
    out.push_back(file);
  }
  return out;
}

}  // namespace sotto::data
