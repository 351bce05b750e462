#include "base/ids.h"

#include <algorithm>

namespace sotto {

bool is_valid_name(const std::string& text) {
  return !text.empty() && text.size() <= 64 && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace sotto
