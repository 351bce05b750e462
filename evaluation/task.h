// A task: what a model is asked, and how its answers are judged. Two files: TASK.toml (strict: unknown keys are errors) and
// the JSON lines that it names. docs/evaluation.md describes both. Errors name file, line, field and value. Plain values.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "evaluation/extraction.h"
#include "evaluation/rules.h"
#include "evaluation/statistics.h"

namespace sotto::evaluation {

enum class TaskKind {
  kChoice,    // the likeliest of several answers
  kGenerate,  // a greedy answer, judged by the task's metrics
  kLoss,      // how likely the reference is: loss per token, perplexity
};
enum class PromptFormat { kPlain, kChat };  // as it stands, or as a user's message in the model's chat template

struct Item {
  std::string id;    // the file's, or the line's number
  std::string unit;  // whoever the item is about (unit, else patient_id): resampled together; empty: the item alone
  std::string prompt;
  std::vector<std::string> references;  // any of them will do
  std::vector<std::string> choices;
  std::size_t answer = 0;  // index of the right choice
  Citations citations;
  std::vector<Mention> mentions;
  std::vector<Term> terms;
  std::vector<Term> avoid;
  std::vector<Term> facts;
  std::vector<SafetyRule> rules;
  std::string tests;  // metric code_runs: Python that runs behind the answer's code and fails when that is wrong
};

struct Task {
  std::string name;
  std::string domain;
  std::string description;
  TaskKind kind = TaskKind::kGenerate;
  PromptFormat format = PromptFormat::kChat;
  std::string system;     // first message in the chat format; empty: the template's own default
  std::string delimiter;  // kChoice, kPlain: between prompt and choice
  std::uint32_t max_tokens = 128;
  std::vector<std::string> stop;  // an answer ends before any of these
  std::set<std::string> metrics;
  bool facts_in_order = false;
  Resampling resampling;
  std::string
      outside_the_guarantee;  // why no number about the items needs protection; empty: it does, and stays at the site
  std::vector<Item> items;
};

Result<Task> read_task(const std::string& path);

// What one item adds to the metrics; but for code_runs, whose sandbox is the caller's.
Measures score_response(const Task& task, const Item& item, std::string_view response);
Measures score_choice(const Item& item, std::span<const double> logprobs);  // acc, acc_norm; one log-likelihood per choice

// The response up to the first of the task's stop texts.
std::string_view before_stop(const Task& task, std::string_view response);

}  // namespace sotto::evaluation
