// BPE's merging: within a word, the adjacent pair of lowest rank is joined first, leftmost on a tie, until no pair can be
// joined. O(n log n) in a word's length. Immutable after filling; safe from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace sotto::data {

class MergeTable {
 public:
  // False when the pair is known already. Ranks are unique.
  bool add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t joined);
  void reserve(std::size_t merges) { merges_.reserve(merges); }

  // Appends the ids that `symbols` merge to.
  void merge(const std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& out) const;

 private:
  struct Merge {
    std::uint32_t rank;
    std::int32_t joined;
  };
  const Merge* find(std::int32_t left, std::int32_t right) const;
  std::unordered_map<std::uint64_t, Merge> merges_;
};

}  // namespace sotto::data
