#include "data/tokenizer/word_cache.h"

#include <functional>

namespace sotto::data {

WordCache::WordCache() : slots_(std::make_unique<std::atomic<const Entry*>[]>(kSlots)) {}

WordCache::~WordCache() {
  for (std::size_t i = 0; i < kSlots; ++i) delete slots_[i].load();
}

std::size_t WordCache::slot_of(std::string_view word) { return std::hash<std::string_view>{}(word) & (kSlots - 1); }

bool WordCache::find(std::size_t slot, std::string_view word, std::vector<std::int32_t>& out) const {
  const Entry* entry = slots_[slot].load(std::memory_order_acquire);
  if (entry == nullptr || entry->word != word) return false;
  out.insert(out.end(), entry->ids.begin(), entry->ids.end());
  return true;
}

void WordCache::keep(std::size_t slot, std::string_view word, std::span<const std::int32_t> ids) {
  if (slots_[slot].load(std::memory_order_relaxed) != nullptr) return;
  auto entry = std::make_unique<const Entry>(Entry{std::string(word), {ids.begin(), ids.end()}});
  const Entry* none = nullptr;
  if (slots_[slot].compare_exchange_strong(none, entry.get(), std::memory_order_release, std::memory_order_relaxed))
    entry.release();
}

}  // namespace sotto::data
