#include "data/merge_table.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace sotto::data {
namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

struct Symbol {
  std::int32_t id;
  std::int32_t before;  // -1: none; positions, not ids
  std::int32_t after;
};

struct Candidate {
  std::uint32_t rank;
  std::int32_t position;  // of the left symbol
  std::int32_t joined;
};

// Orders a heap so that the lowest rank, then the leftmost position, is on top.
bool comes_later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

constexpr std::int32_t kGone = -1;

}  // namespace

bool MergeTable::add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t joined) {
  return merges_.emplace(pair_key(left, right), Merge{rank, joined}).second;
}

const MergeTable::Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const auto it = merges_.find(pair_key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

void MergeTable::merge(const std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& out) const {
  SOTTO_CHECK(symbols.size() <= std::numeric_limits<std::int32_t>::max());
  const auto n = static_cast<std::int32_t>(symbols.size());
  std::vector<Symbol> list;
  list.reserve(symbols.size());
  for (std::int32_t i = 0; i < n; ++i) list.push_back({symbols[static_cast<std::size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1});
  const auto at = [&list](std::int32_t position) -> Symbol& { return list[static_cast<std::size_t>(position)]; };

  std::vector<Candidate> heap;
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || at(left).after < 0) return;
    if (const Merge* found = find(at(left).id, at(at(left).after).id)) {
      heap.push_back({found->rank, left, found->joined});
      std::ranges::push_heap(heap, comes_later);
    }
  };
  for (std::int32_t i = 0; i + 1 < n; ++i) consider(i);

  while (!heap.empty()) {
    std::ranges::pop_heap(heap, comes_later);
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = at(top.position);
    if (left.id == kGone || left.after < 0) continue;
    Symbol& right = at(left.after);
    const Merge* now = find(left.id, right.id);  // either side may have changed since the candidate was made
    if (now == nullptr || now->joined != top.joined) continue;
    left.id = top.joined;
    left.after = right.after;
    if (right.after >= 0) at(right.after).before = top.position;
    right.id = kGone;
    consider(left.before);
    consider(top.position);
  }
  for (const Symbol& symbol : list)
    if (symbol.id != kGone) out.push_back(symbol.id);
}

}  // namespace sotto::data
