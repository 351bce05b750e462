// What a response names, against what it should name: codes with their hierarchy, citations, mentions of concepts, spans,
// terms. Each function adds its metrics of one record to `out`; sums over records are micro-averages. Pure functions.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "evaluation/ratio.h"
#include "evaluation/text.h"

namespace sotto::evaluation {

// ICD-10-CM chapter, 1 to 22, of a code or its category ("E11.9", "E11"); 0 when no chapter has it.
int icd10cm_chapter(std::string_view code);

// PREFIX_precision, PREFIX_recall, PREFIX_f1 of a set found against a set wanted.
void add_set(Measures& out, const std::string& prefix, const std::set<std::string>& wanted,
             const std::set<std::string>& found);

// code_exact, code_category, code_chapter: all codes of the answer right, in order, on that level; code_precision,
// .._recall, .._f1: as a set.
void add_codes(Measures& out, std::string_view reference, std::string_view response);

// Ids in square brackets: "[2]", "[1, 3-5]", "[NG28; 4]". Those with more than four words are no citations.
std::set<std::string> citations_in(std::string_view text);
// citation_precision, .._recall, .._f1, and citation_invented: share of the cited that are no source at all. `sources` are
// all that may be cited (also found by their name in the text); empty: nothing is known about them, and only brackets count.
struct Citations {
  std::set<std::string> wanted;
  std::vector<std::string> sources;
};
void add_citations(Measures& out, const Citations& citations, std::string_view response);

// A mention of a concept: its label ("drug") and its words; with offsets in Unicode characters when it is a span.
struct Mention {
  std::string label;
  std::string text;
  std::int64_t start = -1;
  std::int64_t end = -1;
};
// A JSON array of {"label", "text"[, "start", "end"]}, alone or somewhere in the response.
Result<std::vector<Mention>> mentions_in(std::string_view response);
// concept_..: label and words agree (as words() of text.h), each counted once a record.
void add_concepts(Measures& out, const std::vector<Mention>& wanted, const std::vector<Mention>& found);
// span_..: label, start and end agree; span_overlap_..: the label agrees and the spans share a character (each used once).
void add_spans(Measures& out, const std::vector<Mention>& wanted, const std::vector<Mention>& found);

// term_use: share of the wanted terms that the response uses; term_avoided: share of the terms to avoid that it does not
// use.
void add_terms(Measures& out, const std::vector<Term>& wanted, const std::vector<Term>& avoid, std::string_view response);

}  // namespace sotto::evaluation
