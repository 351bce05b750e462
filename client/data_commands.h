// What an engineer does with a site's raw records before a run: check, select, minimise, split, seal. They read and write
// files of the site alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/program/cli.h"

namespace sotto::client {

struct DataCommand {
  std::vector<std::string> files;
  std::string validation;     // check: a validation set that training must not leak into
  std::string production;     // check: a sample of production queries
  std::string config;         // check.toml; empty: the defaults
  std::string model;          // check: its tokenizer counts tokens; empty: nothing is counted
  std::string chat_template;  // a well-known one by name; empty: the model's own
  std::string system_prompt;  // for records in the instruction format
  std::string data_key;       // of sealed files
  std::string html;           // check: where the page goes
  std::string out;            // select: the kept lines; minimise: all lines; split: a folder
  std::string reasons;        // select: why the others went
  std::string key;            // split, minimise: 32 bytes; made when it is not there
  double min_score = 0.5;     // select
  double fraction = 0.1;      // split: of the patients, for validation
  bool keep_repeats = false;  // select
  bool preview = false;       // minimise: show the changes, write nothing
  bool json = false;
};

Result<void> data_check(const DataCommand& command);
Result<void> data_select(const DataCommand& command);
Result<void> data_minimise(const DataCommand& command);
Result<void> data_seal(const DataCommand& command);
Result<void> data_split(const DataCommand& command);

// `command` outlives the program's run.
void add_data_commands(Command& root, DataCommand& command);

}  // namespace sotto::client
