// A task put to a model: log-likelihoods of choices, greedy answers, loss of references. Whether an item is right does not
// depend on what else is in the task (language_model.h).
#pragma once

#include "client/text/text_model.h"
#include "evaluation/task.h"
#include "evaluation/task_report.h"
#include "model/inference/language_model.h"

namespace sotto::client {

// Refused, with the item's id: a prompt and answer that do not fit into the model's positions; a choice that adds no token.
Result<evaluation::Outcome> run_task(const evaluation::Task& task, const model::LanguageModel& model, const TextModel& text,
                                     std::string name);

// Token ids of a prompt with a continuation behind it, labels on the continuation. In the plain format as
// lm-evaluation-harness's loglikelihood: white space at the prompt's end goes to the continuation, both are encoded as one
// text, and the continuation's tokens are those behind as many as the prompt alone has.
data::Example continuation_plain(const data::Tokenizer& tokenizer, std::string_view prompt, std::string_view continuation);

}  // namespace sotto::client
