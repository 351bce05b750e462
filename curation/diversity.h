// How varied a data set is, along four axes, and how a set of questions is worded. Plain counting; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/records/record.h"

namespace sotto::curation {

// Axes: the kind of task, the difficulty (words of question and answer, and turns), the topic (`chapter`, or the first
// declared topic that is found), the style of the question.
class Diversity {
 public:
  void add(const data::Record& record, const std::string& topic);
  // {axis: {"values": {name: count}, "entropy_bits": H, "effective": 2^H}}: `effective` is the number of equally common
  // values of the same entropy (Hill 1973, order 1).
  Json json() const;

 private:
  std::array<std::map<std::string, std::uint64_t>, 4> counts_;
};

// How often each word occurs, in 65,536 buckets, and how long texts are.
class QueryProfile {
 public:
  void add(std::string_view text);
  std::uint64_t texts() const { return lengths_.size(); }
  double median_words() const;
  // Jensen-Shannon divergence of the two word distributions in bits: 0 the same, 1 nothing in common (Lin 1991).
  double divergence(const QueryProfile& other) const;

 private:
  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(65536);
  std::vector<std::uint32_t> lengths_;
  std::uint64_t total_ = 0;
};

}  // namespace sotto::curation
