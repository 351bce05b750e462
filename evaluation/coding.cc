#include "evaluation/coding.h"

#include <algorithm>
#include <cstdio>

namespace sotto::evaluation {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_code_char(char c) { return is_upper(c) || is_digit(c); }
bool is_word(char c) {
  return is_code_char(c) || (c >= 'a' && c <= 'z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

// Length of the code that starts at text[0], or 0.
std::size_t code_length(std::string_view text) {
  if (text.size() < 3 || !is_upper(text[0]) || !is_digit(text[1]) || !is_code_char(text[2])) return 0;
  std::size_t n = 3;
  if (n + 1 < text.size() && text[n] == '.' && is_code_char(text[n + 1])) {
    std::size_t end = n + 1;
    while (end < text.size() && end - n <= 4 && is_code_char(text[end])) ++end;
    n = end;
  }
  return n < text.size() && is_word(text[n]) ? 0 : n;
}

bool same_categories(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x.substr(0, 3) == y.substr(0, 3); });
}

Json to_json(const CodeScore& s) {
  return Json::object({{"answers", s.exact.all}, {"exact_code", s.exact.value()}, {"first_three", s.category.value()}});
}

}  // namespace

std::vector<std::string> codes_in(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = i > 0 && is_word(text[i - 1]) ? 0 : code_length(text.substr(i));
    if (n > 0) out.emplace_back(text.substr(i, n));
    i += std::max<std::size_t>(n, 1);
  }
  return out;
}

void Score::add_tokens(const std::string& task, double loss_sum, std::uint64_t tokens, std::uint64_t correct) {
  for (TokenScore* s : {&all_, &tasks_[task]}) {
    s->loss_sum += loss_sum;
    s->tokens += tokens;
    s->correct += correct;
    ++s->records;
  }
}

void Score::add_answer(const std::string& task, std::string_view expected, std::string_view answer, bool copied_title) {
  const auto wanted = codes_in(expected);
  const auto given = codes_in(answer);
  for (CodeScore* s : {&codes_[task], copied_title ? &copied_ : &other_}) {
    s->exact.count(wanted == given);
    s->category.count(same_categories(wanted, given));
  }
}

Json Score::to_json() const {
  Json out = Json::object(
      {{"loss", all_.loss()}, {"token_accuracy", all_.accuracy()}, {"records", all_.records}, {"tokens", all_.tokens}});
  Json tasks = Json::object();
  for (const auto& [name, s] : tasks_) {
    Json task = Json::object({{"records", s.records}, {"loss", s.loss()}, {"token_accuracy", s.accuracy()}});
    if (const auto found = codes_.find(name); found != codes_.end()) {
      const Json codes = evaluation::to_json(found->second);
      for (const auto& [key, value] : codes.members()) task.set(key, value);
    }
    tasks.set(name.empty() ? "all" : name, task);
  }
  out.set("tasks", tasks);
  if (copied_.exact.all + other_.exact.all > 0) {
    out.set("copied_title", evaluation::to_json(copied_));
    out.set("other_title", evaluation::to_json(other_));
  }
  return out;
}

std::string Score::text() const {
  std::string out;
  char line[160];
  const auto row = [&](const char* name, const TokenScore& s, const CodeScore* c) {
    std::snprintf(line, sizeof line, "%-12s %6llu records   loss %.3f   token accuracy %.3f", name,
                  static_cast<unsigned long long>(s.records), s.loss(), s.accuracy());
    out += line;
    if (c) {
      std::snprintf(line, sizeof line, "   exact code %.3f   first three %.3f", c->exact.value(), c->category.value());
      out += line;
    }
    out += '\n';
  };
  row("all", all_, nullptr);
  for (const auto& [name, s] : tasks_) {
    if (tasks_.size() == 1 && name.empty()) break;
    const auto found = codes_.find(name);
    row(name.empty() ? "(no task)" : name.c_str(), s, found == codes_.end() ? nullptr : &found->second);
  }
  const auto codes = [&](const char* name, const CodeScore& c) {
    if (c.exact.all == 0) return;
    std::snprintf(line, sizeof line, "%-12s %6llu answers   exact code %.3f   first three %.3f\n", name,
                  static_cast<unsigned long long>(c.exact.all), c.exact.value(), c.category.value());
    out += line;
  };
  codes("title shown", copied_);
  codes("other title", other_);
  return out;
}

}  // namespace sotto::evaluation
