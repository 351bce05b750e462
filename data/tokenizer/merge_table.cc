#include "data/tokenizer/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
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
constexpr std::size_t kShort = 24;  // symbols

}  // namespace

MergeTable::MergeTable(std::size_t merges) : slots_(std::bit_ceil(2 * merges + 2)) {}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  std::uint64_t hash = pair * 0x9e3779b97f4a7c15;  // the golden ratio: Knuth's multiplicative hashing
  hash ^= hash >> 32;
  std::size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot].pair != pair && slots_[slot].pair != kNoPair) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

bool MergeTable::add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t joined) {
  SOTTO_CHECK(2 * ++used_ <= slots_.size() && rank != kNoRank);
  Merge& slot = slots_[slot_of(pair_key(left, right))];
  if (slot.pair != kNoPair) return false;
  slot = {pair_key(left, right), rank, joined};
  return true;
}

const MergeTable::Merge& MergeTable::find(std::int32_t left, std::int32_t right) const {
  return slots_[slot_of(pair_key(left, right))];
}

void MergeTable::merge(std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& out) const {
  if (symbols.size() <= kShort)
    merge_short(symbols);
  else
    merge_long(symbols);
  out.insert(out.end(), symbols.begin(), symbols.end());
}

void MergeTable::merge_short(std::vector<std::int32_t>& symbols) const {
  std::array<const Merge*, kShort> next;  // next[i] joins symbols i and i + 1
  std::size_t n = symbols.size();
  for (std::size_t i = 0; i + 1 < n; ++i) next[i] = &find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i)
      if (next[i]->rank < next[best]->rank) best = i;
    if (next[best]->rank == kNoRank) break;
    symbols[best] = next[best]->joined;
    for (std::size_t i = best + 1; i + 1 < n; ++i) {
      symbols[i] = symbols[i + 1];
      next[i - 1] = next[i];
    }
    --n;
    if (best > 0) next[best - 1] = &find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) next[best] = &find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

void MergeTable::merge_long(std::vector<std::int32_t>& symbols) const {
  SOTTO_CHECK(symbols.size() <= std::numeric_limits<std::int32_t>::max());
  const auto n = static_cast<std::int32_t>(symbols.size());
  std::vector<Symbol> list;
  list.reserve(symbols.size());
  for (std::int32_t i = 0; i < n; ++i) list.push_back({symbols[static_cast<std::size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1});
  const auto at = [&list](std::int32_t position) -> Symbol& { return list[static_cast<std::size_t>(position)]; };

  std::vector<Candidate> heap;
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || at(left).after < 0) return;
    const Merge& found = find(at(left).id, at(at(left).after).id);
    if (found.rank == kNoRank) return;
    heap.push_back({found.rank, left, found.joined});
    std::ranges::push_heap(heap, comes_later);
  };
  for (std::int32_t i = 0; i + 1 < n; ++i) consider(i);

  while (!heap.empty()) {
    std::ranges::pop_heap(heap, comes_later);
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = at(top.position);
    if (left.id == kGone || left.after < 0) continue;
    Symbol& right = at(left.after);
    // Either side may have changed since the candidate was made.
    if (find(left.id, right.id).joined != top.joined) continue;
    left.id = top.joined;
    left.after = right.after;
    if (right.after >= 0) at(right.after).before = top.position;
    right.id = kGone;
    consider(left.before);
    consider(top.position);
  }
  symbols.clear();
  for (const Symbol& symbol : list)
    if (symbol.id != kGone) symbols.push_back(symbol.id);
}

}  // namespace sotto::data
