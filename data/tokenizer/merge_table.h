// BPE's merging: within a word, the adjacent pair of lowest rank is joined first, leftmost on a tie, until no pair can be
// joined. Quadratic with a tiny constant for short words, O(n log n) for long ones. Immutable after filling; safe from
// several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sotto::data {

class MergeTable {
 public:
  explicit MergeTable(std::size_t merges);  // room for so many
  // False when the pair is known already. Pairs of equal rank are joined from the left.
  bool add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t joined);

  // Appends the ids that `symbols` merge to; `symbols` is used up.
  void merge(std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& out) const;

 private:
  static constexpr std::uint32_t kNoRank = 0xffffffff;
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  struct Merge {
    std::uint64_t pair = kNoPair;
    std::uint32_t rank = kNoRank;
    std::int32_t joined = -1;
  };
  std::size_t slot_of(std::uint64_t pair) const;
  const Merge& find(std::int32_t left, std::int32_t right) const;  // rank kNoRank when the pair does not merge
  void merge_short(std::vector<std::int32_t>& symbols) const;
  void merge_long(std::vector<std::int32_t>& symbols) const;

  std::vector<Merge> slots_;  // open addressing, at most half full; a power of two
  std::size_t used_ = 0;
};

}  // namespace sotto::data
