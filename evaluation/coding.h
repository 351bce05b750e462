// Metrics of held-out evaluation: token loss and accuracy, and for answers that are ICD-10-CM codes, whether the codes are
// right: exactly, and in their first three characters (the category). Sums over records; no tensors. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace sotto::evaluation {

// The ICD-10-CM codes in a text, in order: a letter, a digit, a digit or letter, and optionally a point and 1 to 4 more,
// standing alone between characters that cannot belong to a code.
std::vector<std::string> codes_in(std::string_view text);

// A share of successes.
struct Share {
  std::uint64_t right = 0;
  std::uint64_t all = 0;
  void count(bool success) {
    right += success;
    ++all;
  }
  double value() const { return all == 0 ? 0 : static_cast<double>(right) / static_cast<double>(all); }
};

struct TokenScore {
  double loss_sum = 0;  // nats
  std::uint64_t tokens = 0;
  std::uint64_t correct = 0;
  std::uint64_t records = 0;
  double loss() const { return tokens == 0 ? 0 : loss_sum / static_cast<double>(tokens); }
  double accuracy() const { return tokens == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(tokens); }
};

struct CodeScore {
  Share exact;
  Share category;  // first three characters
};

class Score {
 public:
  void add_tokens(const std::string& task, double loss_sum, std::uint64_t tokens, std::uint64_t correct);
  // `expected` and `answer` are whole responses; all codes must agree in order. `copied_title`: the question shows the title
  // that the answer repeats, so that only the code has to be known.
  void add_answer(const std::string& task, std::string_view expected, std::string_view answer, bool copied_title);

  const TokenScore& all() const { return all_; }
  // {"loss", "token_accuracy", "records", "tokens", "tasks": {name: {.., "exact_code", "first_three"}}, "copied_title",
  // "other_title"}
  Json to_json() const;
  std::string text() const;  // a table for people

 private:
  TokenScore all_;
  std::map<std::string, TokenScore> tasks_;
  std::map<std::string, CodeScore> codes_;  // by task
  CodeScore copied_;
  CodeScore other_;
};

}  // namespace sotto::evaluation
