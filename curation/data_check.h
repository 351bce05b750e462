// Checks a data set, file by file and line by line: what is wrong with each record, what repeats, what leaks into the
// validation set, how varied it is, what it covers, how it compares with a sample of production queries. The result counts
// patients and names lines, so it is for the site's own eyes. One thread; memory grows by about 600 bytes a record.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "curation/check_config.h"
#include "curation/diversity.h"
#include "curation/duplicates.h"
#include "curation/record_checks.h"
#include "data/records/record.h"

namespace sotto::curation {

struct TokenCounts {
  std::size_t question = 0;
  std::size_t answer = 0;
  std::size_t before = 0;  // the first learnt token: a record trains nothing unless training.max_tokens is above this
};

class DataCheck {
 public:
  // `tokens` counts a record's tokens in the model's chat template; empty: nothing is counted.
  using Counter = std::function<Result<TokenCounts>(const data::Record&)>;
  DataCheck(const CheckConfig& config, data::RecordOptions options, Counter tokens);

  // Reads a file; notes and skips a line that is no record. A file that was read for the same part counts once, by whatever
  // path or link it is named. Fails when the file cannot be read.
  Result<void> add_file(const std::string& path, Part part);
  // JSON lines of {"text"} or {"messages"}, or plain text, one query a line. `rendered_markers`: control tokens of the
  // template that the model was served with, found in the sample; a warning when training's template, whose text is
  // `training_template`, has others.
  Result<void> add_production(const std::string& path, const std::string& training_template);

  // What select needs of a training record.
  struct Verdict {
    std::uint32_t file;
    std::uint64_t line;
    double score;
    std::vector<std::string> why;        // flaws, repeats; empty: nothing against it
    bool broken = false;                 // no record at all
    std::optional<std::size_t> repeats;  // the verdict of the earlier record of its patient that it repeats
  };
  const std::vector<Verdict>& verdicts() const { return verdicts_; }
  const std::vector<std::string>& files() const { return files_; }
  const data::RecordOptions& options() const { return options_; }

  // The report; "ok" is false when a limit of the configuration is passed.
  Json report() const;

 private:
  void add_record(const data::Record& record, std::uint32_t file, std::uint64_t line, Part part);
  void add_broken(const Error& error, std::uint32_t file, std::uint64_t line, Part part);
  Json lengths() const;
  Json trains_nothing() const;
  Json alike() const;
  Json duplicates(const Duplicates::Counts& counts) const;
  Json coverage() const;
  Json worst() const;
  Json limits(const Duplicates::Counts& counts) const;

  const CheckConfig& config_;
  data::RecordOptions options_;
  Counter counter_;
  std::vector<std::string> files_;
  std::map<Part, std::vector<std::string>> of_part_;
  std::vector<Verdict> verdicts_;          // of training lines
  std::vector<std::string> record_names_;  // "file:line" of every record, by its number in duplicates_
  std::vector<std::size_t> verdict_of_;    // and its verdict
  Duplicates duplicates_;
  Diversity diversity_;
  QueryProfile questions_;
  QueryProfile production_;
  std::vector<std::string> warnings_;
  std::vector<std::string> errors_;  // the first ones
  std::uint64_t broken_ = 0;
  std::uint64_t training_ = 0;
  std::uint64_t validation_ = 0;
  std::uint64_t refused_ = 0;                                // by the chat template
  std::map<std::string, std::uint64_t> patients_;            // records of each
  std::map<std::string, std::uint64_t> training_something_;  // records of each that train
  std::map<std::string, std::uint64_t> flaws_;
  std::map<std::string, std::uint64_t> languages_;
  std::vector<std::uint64_t> topic_counts_;
  std::vector<std::size_t> question_tokens_;
  std::vector<std::size_t> answer_tokens_;
  std::uint64_t idle_ = 0;  // records that train nothing
  std::uint64_t damaged_ = 0;
  std::uint64_t high_stakes_ = 0;
};

}  // namespace sotto::curation
