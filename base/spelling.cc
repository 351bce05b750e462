#include "base/spelling.h"

#include <algorithm>

namespace sotto {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string probably_meant(std::string_view typed, const std::vector<std::string>& known) {
  const auto begins_alike = [&](const std::string& word) { return std::ranges::mismatch(typed, word).in1 - typed.begin(); };
  std::string best;
  for (const auto& word : known) {
    const std::size_t away = edit_distance(typed, word), nearest = edit_distance(typed, best);
    if (3 * away > word.size()) continue;
    if (best.empty() || away < nearest || (away == nearest && begins_alike(word) > begins_alike(best))) best = word;
  }
  return best;
}

}  // namespace sotto
