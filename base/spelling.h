// What was probably meant by a misspelt word: for "did you mean".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// Insertions, deletions, replacements and swaps of neighbours that lead from one to the other; no letter is touched twice
// (Damerau and Levenshtein's restricted distance).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of `known`, and of several the one that begins most alike; empty when none is near: more than a third of its
// letters would differ.
std::string probably_meant(std::string_view typed, const std::vector<std::string>& known);

}  // namespace sotto
