#include "evaluation/overlap.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <vector>

#include "base/check.h"
#include "evaluation/text.h"

namespace sotto::evaluation {
namespace {

using Tokens = std::vector<std::string>;

double f1(double common, std::size_t reference, std::size_t response) {
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(response), recall = common / static_cast<double>(reference);
  return 2 * precision * recall / (precision + recall);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kSpace);
  return begin == text.npos ? std::string_view() : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Tokens rouge_tokens(std::string_view text) {
  Tokens out;
  std::string token;
  for (const char c : lower(text) + " ") {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      token += c;
    } else if (!token.empty()) {
      out.push_back(std::exchange(token, {}));
    }
  }
  return out;
}

std::size_t longest_common_subsequence(const Tokens& a, const Tokens& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const auto& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

std::size_t best(std::span<const ChoiceLikelihood> choices, const std::function<double(const ChoiceLikelihood&)>& value) {
  SOTTO_CHECK(!choices.empty());
  std::size_t winner = 0;
  double most = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < choices.size(); ++i)
    if (const double v = value(choices[i]); v > most) most = v, winner = i;
  return winner;
}

}  // namespace

bool literal_match(std::string_view reference, std::string_view response) { return trimmed(reference) == trimmed(response); }

bool exact_match(std::string_view reference, std::string_view response) {
  return squad_tokens(reference) == squad_tokens(response);
}

double token_f1(std::string_view reference, std::string_view response) {
  const Tokens wanted = squad_tokens(reference), given = squad_tokens(response);
  if (wanted.empty() || given.empty()) return wanted.empty() && given.empty() ? 1 : 0;
  std::map<std::string, std::size_t> left;
  for (const auto& token : wanted) ++left[token];
  std::size_t common = 0;
  for (const auto& token : given)
    if (const auto at = left.find(token); at != left.end() && at->second > 0) --at->second, ++common;
  return f1(static_cast<double>(common), wanted.size(), given.size());
}

double rouge_l(std::string_view reference, std::string_view response) {
  const Tokens wanted = rouge_tokens(reference), given = rouge_tokens(response);
  return f1(static_cast<double>(longest_common_subsequence(wanted, given)), wanted.size(), given.size());
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::size_t likeliest(std::span<const ChoiceLikelihood> choices) {
  return best(choices, [](const ChoiceLikelihood& c) { return c.logprob; });
}

std::size_t likeliest_per_character(std::span<const ChoiceLikelihood> choices) {
  return best(choices, [](const ChoiceLikelihood& c) {
    return c.logprob / static_cast<double>(std::max<std::size_t>(c.characters, 1));
  });
}

}  // namespace sotto::evaluation
