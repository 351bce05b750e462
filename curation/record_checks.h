// What is wrong with one record, seen by itself alone. Pure functions; CLD2 tells languages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "curation/check_config.h"
#include "data/records/record.h"

namespace sotto::curation {

enum class Flaw : std::uint32_t {
  kReplacementCharacters = 1U << 0,  // U+FFFD: bytes were lost when somebody decoded the text
  kMojibake = 1U << 1,               // UTF-8 read as Latin-1 or Windows-1252 and written again
  kControlCharacters = 1U << 2,      // other than tab and line breaks
  kMarkup = 1U << 3,                 // HTML entities or tags that a web page left
  kEmptyAnswer = 1U << 4,            // white space alone
  kEcho = 1U << 5,                   // the answer is the question
  kPlaceholder = 1U << 6,            // "TODO", "lorem ipsum", "[insert ...]"
  kRepetition = 1U << 7,             // a sentence or line over and over
  kTooLong = 1U << 8,                // above max_tokens
  kOtherLanguage = 1U << 9,          // the answer's language is known and not declared
  kNoCaution = 1U << 10,             // a high-stakes question, answered without a word of caution
};
inline constexpr std::uint32_t kFlaws = 11;
const char* name_of(Flaw flaw);
bool is_damage(Flaw flaw);  // the first three: encoding damage

struct Notes {
  std::uint32_t flaws = 0;
  std::string language;  // ISO 639-1 of the answer with its question; empty: too little text to tell
  double score = 1;      // 1: nothing wrong, less for each flaw, 0 at worst

  bool has(Flaw flaw) const { return (flaws & static_cast<std::uint32_t>(flaw)) != 0; }
  std::vector<std::string> names() const;
};

// Question: all messages but the last; answer: the last.
std::string question_of(const data::Record& record);
const std::string& answer_of(const data::Record& record);

// `tokens`: of the record, 0 when not counted.
Notes check_record(const data::Record& record, std::size_t tokens, const CheckConfig& config);

// The flaws of a text's encoding and form alone.
std::uint32_t text_flaws(std::string_view text);
std::string language_of(std::string_view text);

}  // namespace sotto::curation
