#include "curation/near_duplicates.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::size_t kShingle = 3;  // words

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose bits all depend on all bits.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::vector<std::uint64_t> word_hashes(std::string_view text) {
  std::vector<std::uint64_t> out;
  std::uint64_t hash = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(data::next_code_point(text, at));
    if (u_isalnum(c) != 0) {
      hash = mixed(hash ^ static_cast<std::uint64_t>(u_tolower(c)));
      inside = true;
    } else if (inside) {
      out.push_back(hash);
      hash = 0;
      inside = false;
    }
  }
  if (inside) out.push_back(hash);
  return out;
}

}  // namespace

std::vector<std::uint64_t> shingles_of(std::string_view text) {
  const std::string clean = data::utf8_lossy(text);
  const auto words = word_hashes(clean);
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; i < words.size() && (i == 0 || i + kShingle <= words.size()); ++i) {
    std::uint64_t hash = 0;
    for (std::size_t k = i; k < std::min(i + kShingle, words.size()); ++k) hash = mixed(hash ^ words[k]);
    out.push_back(hash);
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

double jaccard(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  if (a.empty() && b.empty()) return 1;
  std::vector<std::uint64_t> both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(a.size() + b.size() - both.size());
}

std::uint32_t NearDuplicates::add(std::string_view text) {
  SOTTO_CHECK(signatures_.size() < std::numeric_limits<std::uint32_t>::max());
  Signature signature;
  signature.fill(std::numeric_limits<std::uint32_t>::max());
  for (const std::uint64_t shingle : shingles_of(text))
    for (std::size_t k = 0; k < kHashes; ++k) {
      const auto hash = static_cast<std::uint32_t>(mixed(shingle ^ (k * 0xd1342543de82ef95)) >> 32);
      signature[k] = std::min(signature[k], hash);
    }
  signatures_.push_back(signature);
  return static_cast<std::uint32_t>(signatures_.size() - 1);
}

double NearDuplicates::estimate(std::uint32_t a, std::uint32_t b) const {
  std::size_t equal = 0;
  for (std::size_t k = 0; k < kHashes; ++k) equal += signatures_[a][k] == signatures_[b][k] ? 1 : 0;
  return static_cast<double>(equal) / kHashes;
}

std::vector<NearDuplicates::Pair> NearDuplicates::pairs(double threshold) const {
  std::vector<Pair> out;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> band(signatures_.size());
  for (std::size_t from = 0; from < kHashes; from += kRows) {
    for (std::uint32_t i = 0; i < signatures_.size(); ++i) {
      std::uint64_t hash = from;
      for (std::size_t k = from; k < from + kRows; ++k) hash = mixed(hash ^ signatures_[i][k]);
      band[i] = {hash, i};
    }
    std::ranges::sort(band);
    const auto consider = [&](std::uint32_t a, std::uint32_t b) {
      const double similarity = estimate(a, b);
      if (similarity >= threshold) out.push_back({a, b, similarity});
    };
    for (std::size_t i = 1, first = 0; i < band.size(); ++i) {
      if (band[i].first != band[first].first) {
        first = i;
        continue;
      }
      consider(band[first].second, band[i].second);
      if (first + 1 < i) consider(band[i - 1].second, band[i].second);
    }
  }
  const auto order = [](const Pair& p) { return std::pair(p.second, p.first); };
  std::ranges::sort(out, {}, order);
  out.erase(std::ranges::unique(out, {}, order).begin(), out.end());
  return out;
}

}  // namespace sotto::curation
