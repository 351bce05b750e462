// What a data check looks for and what it tolerates: a TOML file (configs/check.toml), or the defaults. A plain value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "curation/phrases.h"

namespace sotto::curation {

// A topic or situation that the data is declared to cover.
struct Topic {
  std::string name;
  std::string situation;  // "common", "rare", "emergency", "preventive", or another word
  Phrases phrases;        // in the question
  std::uint64_t at_least = 1;
};

// A share of the records above which a check fails; 1: never.
struct Limits {
  double broken = 0;          // lines that are no record
  double duplicates = 1;      // records that another of the same patient repeats
  double leaks = 0;           // validation records that training has, exactly or nearly, or whose patient it has
  double damaged = 0.01;      // encoding damage
  double no_caution = 1;      // high-stakes answers without a word of caution
  double other_language = 1;  // answers in a language that is not declared
  double uncovered = 1;       // declared topics without enough records
};

struct CheckConfig {
  double near = 0.8;                   // Jaccard similarity from which two texts are nearly the same
  std::size_t max_tokens = 0;          // of a record; 0: no limit
  std::vector<std::string> languages;  // ISO 639-1; empty: any
  Phrases stakes;                      // a question with one of these is high-stakes
  Phrases caution;                     // an answer with one of these is careful
  std::vector<Topic> topics;
  Limits limits;
};

Result<CheckConfig> read_check_config(const std::string& path);

}  // namespace sotto::curation
