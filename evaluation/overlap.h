// How much of a reference answer is in a response, and multiple choice by likelihood. Values from 0 to 1. Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sotto::evaluation {

bool literal_match(std::string_view reference, std::string_view response);  // the same bytes but for white space around
// SQuAD 1.1 (Rajpurkar et al. 2016): equality, and F1 over the multiset of tokens, after its normalisation (text.h). Two
// texts without a token agree; one without and one with do not.
bool exact_match(std::string_view reference, std::string_view response);
double token_f1(std::string_view reference, std::string_view response);
// ROUGE-L F-measure (Lin 2004), as rouge-score computes it without stemming: tokens are runs of a-z and 0-9.
double rouge_l(std::string_view reference, std::string_view response);

// One of several answers, by its log-likelihood behind the question.
struct ChoiceLikelihood {
  double logprob = 0;          // natural logarithm, summed over the answer's tokens
  std::size_t characters = 0;  // of the answer alone, in Unicode code points
};
std::size_t characters_in(std::string_view text);
// The likeliest, and the likeliest per character (lm-evaluation-harness's acc and acc_norm); of equal ones the first. NaN
// never wins. `choices` must not be empty.
std::size_t likeliest(std::span<const ChoiceLikelihood> choices);
std::size_t likeliest_per_character(std::span<const ChoiceLikelihood> choices);

}  // namespace sotto::evaluation
