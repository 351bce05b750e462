// Words that were encoded before, and their ids. A slot is filled once and then never changes, so threads share it without
// locks; what finds its slot taken is not kept. Encoding a word always gives the same ids: the cache changes only the time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto::data {

class WordCache {
 public:
  WordCache();
  ~WordCache();
  WordCache(const WordCache&) = delete;
  WordCache& operator=(const WordCache&) = delete;

  static constexpr std::size_t kLongestWord = 64;  // bytes; longer ones are not worth a slot
  static std::size_t slot_of(std::string_view word);

  // Appends the word's ids when it is known.
  bool find(std::size_t slot, std::string_view word, std::vector<std::int32_t>& out) const;
  void keep(std::size_t slot, std::string_view word, std::span<const std::int32_t> ids);

 private:
  struct Entry {
    std::string word;
    std::vector<std::int32_t> ids;
  };
  static constexpr std::size_t kSlots = std::size_t{1} << 16;
  std::unique_ptr<std::atomic<const Entry*>[]> slots_;
};

}  // namespace sotto::data
