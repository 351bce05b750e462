// Texts that are nearly the same: MinHash signatures (Broder 1997) of the sets of three-word shingles, and
// locality-sensitive hashing in bands (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4) to find the
// pairs that are worth comparing. 256 bytes a text; the estimate of the Jaccard similarity has a standard error of at most
// 0.0625. Not thread-safe while adding.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sotto::curation {

// Hashes of the three-word shingles of a text: words are runs of letters and digits in lower case; a shorter text is one
// shingle. Sorted, each once; empty for a text without words.
std::vector<std::uint64_t> shingles_of(std::string_view text);
// |A and B| / |A or B| of two sorted sets.
double jaccard(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b);

class NearDuplicates {
 public:
  static constexpr std::size_t kHashes = 64;
  static constexpr std::size_t kRows = 4;  // of a band: pairs above a similarity of about 0.5 become candidates

  // Returns the text's number, from 0.
  std::uint32_t add(std::string_view text);
  std::size_t size() const { return signatures_.size(); }
  double estimate(std::uint32_t a, std::uint32_t b) const;

  struct Pair {
    std::uint32_t first;  // the smaller number
    std::uint32_t second;
    double similarity;
  };
  // Pairs of at least `threshold`, each once, by second, then first. Within a band's bucket of many texts each is compared
  // with the first and with the one before it, so that a thousand copies give thousands of pairs and not a million.
  std::vector<Pair> pairs(double threshold) const;

 private:
  using Signature = std::array<std::uint32_t, kHashes>;
  std::vector<Signature> signatures_;
};

}  // namespace sotto::curation
