// Corrections and good ratings on their way to training records, with a person in between: collect writes candidates, a
// person looks at each and sets "approved", accept turns the approved ones into records. Nothing that a user typed is
// trained on unseen.
#pragma once

#include <string>

#include "curation/usage_log.h"

namespace sotto::curation {

struct FeedbackCount {
  std::uint64_t taken = 0;
  std::uint64_t left_out =
      0;  // collect: without a patient, so that no budget could be charged; accept: refused, or not looked at
};

// Candidates, a line each: {"id", "patient_id", "messages" (asked), "answer": the correction, else a response rated 4 or 5,
// "was": what the model said where it was corrected, "from": "correction" | "rating", "by", "approved": null}.
Result<FeedbackCount> collect_feedback(const std::vector<Use>& uses, const std::string& out);

// Records {"id", "patient_id", "messages", "reviewed_by"} of those with "approved": true. Refused, by line: an approval that
// is neither true, false nor null.
Result<FeedbackCount> accept_feedback(const std::string& candidates, const std::string& out, const std::string& by);

}  // namespace sotto::curation
