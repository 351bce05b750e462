// A folder for `review serve` made from a comparison.
#pragma once

#include "evaluation/task_report.h"

namespace sotto::evaluation {

// Writes items.jsonl (the answers of two models to a generate task; difference: 1 - token F1 between them, so that answers
// which differ most are judged first; equal answers are left out) and review.toml with a rubric to adapt. The models are
// called first.model and second.model. Refused: a task of another kind, a folder that is there, answers that are all equal.
Result<void> write_review(const std::string& folder, const Task& task, const Outcome& first, const Outcome& second);

}  // namespace sotto::evaluation
