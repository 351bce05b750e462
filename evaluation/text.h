// Text as metrics see it: lower case, words, phrases. UTF-8 in; ill-formed bytes stand for themselves. No locale. Pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sotto::evaluation {

// Lower case as Python's str.lower() for ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic (but every capital sigma
// becomes the medial one); other characters stay.
std::string lower(std::string_view text);

// Runs of letters, digits and characters beyond ASCII that are no punctuation, in lower case. Apostrophes vanish: "don't" is
// one word.
std::vector<std::string> words(std::string_view text);

// normalize_answer of the SQuAD 1.1 evaluation script: lower case, without ASCII punctuation and the articles a, an, the,
// split at white space.
std::vector<std::string> squad_tokens(std::string_view text);

// A sequence of words; one that ends in * stands for all words that begin so ("consult* a doctor"). Found wherever the same
// words stand next to each other, whatever stands between them.
class Phrase {
 public:
  static Result<Phrase> make(std::string_view text);  // refused without a word
  // Index in `text` of its first word at or after `from`, if it is there.
  std::optional<std::size_t> find(const std::vector<std::string>& text, std::size_t from = 0) const;
  bool in(const std::vector<std::string>& text) const { return find(text).has_value(); }

 private:
  struct Part {
    std::string word;
    bool prefix = false;
  };
  std::vector<Part> parts_;
};

// Different ways to say the same: any of them will do. Made from "myocardial infarction | MI".
class Term {
 public:
  static Result<Term> make(std::string_view forms);
  const std::string& name() const { return name_; }  // the forms as given
  std::optional<std::size_t> find(const std::vector<std::string>& text,
                                  std::size_t from = 0) const;  // of any form, the first
  bool in(const std::vector<std::string>& text) const { return find(text).has_value(); }

 private:
  std::string name_;
  std::vector<Phrase> forms_;
};

}  // namespace sotto::evaluation
