#include "curation/diversity.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "curation/phrases.h"
#include "curation/record_checks.h"

namespace sotto::curation {
namespace {

constexpr std::array<const char*, 4> kAxes = {"task", "difficulty", "topic", "style"};

std::vector<std::string> words_of(std::string_view text) {
  const std::string lower = lower_case(text);
  std::vector<std::string> out;
  std::string word;
  for (const char c : lower) {
    const auto byte = static_cast<unsigned char>(c);
    const bool inside = byte >= 0x80 || std::isalnum(byte) != 0;
    if (inside) word += c;
    if (!inside && !word.empty()) out.push_back(std::exchange(word, {}));
  }
  if (!word.empty()) out.push_back(std::move(word));
  return out;
}

std::string difficulty_of(const data::Record& record) {
  std::size_t words = 0;
  std::size_t questions = 0;
  for (const auto& message : record.messages) {
    if (message.role != "system") words += words_of(message.content).size();
    questions += message.role == "user" ? 1 : 0;
  }
  if (questions > 1) return "several turns";
  return words < 20    ? "short: below 20 words"
         : words < 60  ? "middle: 20 to 59 words"
         : words < 150 ? "long: 60 to 149 words"
                       : "very long";
}

std::string style_of(const data::Record& record) {
  std::string question = question_of(record);
  while (!question.empty() && std::isspace(static_cast<unsigned char>(question.back())) != 0) question.pop_back();
  if (question.ends_with('?')) return "question";
  if (std::ranges::count(question, '\n') >= 2) return "document with a request";
  return words_of(question).size() <= 8 ? "key words" : "instruction";
}

double entropy_bits(const std::map<std::string, std::uint64_t>& counts) {
  double total = 0;
  for (const auto& [name, count] : counts) total += static_cast<double>(count);
  double out = 0;
  for (const auto& [name, count] : counts) {
    const double p = static_cast<double>(count) / total;
    out -= p * std::log2(p);
  }
  return out + 0.0;
}

}  // namespace

void Diversity::add(const data::Record& record, const std::string& topic) {
  ++counts_[0][record.task.empty() ? "not named" : record.task];
  ++counts_[1][difficulty_of(record)];
  ++counts_[2][!record.chapter.empty() ? record.chapter : topic.empty() ? "not named" : topic];
  ++counts_[3][style_of(record)];
}

Json Diversity::json() const {
  Json out = Json::object();
  for (std::size_t axis = 0; axis < kAxes.size(); ++axis) {
    Json values = Json::object();
    for (const auto& [name, count] : counts_[axis]) values.set(name, count);
    const double bits = entropy_bits(counts_[axis]);
    out.set(kAxes[axis],
            Json::object(
                {{"values", values}, {"entropy_bits", bits}, {"effective", counts_[axis].empty() ? 0.0 : std::exp2(bits)}}));
  }
  return out;
}

void QueryProfile::add(std::string_view text) {
  const auto words = words_of(text);
  for (const auto& word : words) ++words_[std::hash<std::string>{}(word) % words_.size()];
  total_ += words.size();
  lengths_.push_back(static_cast<std::uint32_t>(words.size()));
}

double QueryProfile::median_words() const {
  if (lengths_.empty()) return 0;
  auto sorted = lengths_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

double QueryProfile::divergence(const QueryProfile& other) const {
  if (total_ == 0 || other.total_ == 0) return total_ == other.total_ ? 0 : 1;
  double out = 0;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const double p = static_cast<double>(words_[i]) / static_cast<double>(total_);
    const double q = static_cast<double>(other.words_[i]) / static_cast<double>(other.total_);
    const double m = (p + q) / 2;
    if (p > 0) out += p / 2 * std::log2(p / m);
    if (q > 0) out += q / 2 * std::log2(q / m);
  }
  return std::clamp(out, 0.0, 1.0);
}

}  // namespace sotto::curation
