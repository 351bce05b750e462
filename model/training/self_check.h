// Before the first private record: does this build, on this machine and device, compute what it promises? On random token
// ids and a throw-away adapter: the fast clipped sum against one record at a time through plain automatic differentiation,
// the same integers for a unit alone and in company, and a step that moves the weights. (That the noise has its spread is
// privacy's own check.) Nothing of a site's data is touched.
#pragma once

#include <string>

#include "base/random.h"
#include "model/inference/language_model.h"
#include "plan/run_plan.h"
#include "privacy/mechanism/units.h"

namespace sotto::model {

struct SelfCheckReport {
  double relative_difference = 0;  // L2, clipped sum against the slow one
  // fp32 2e-3, bf16 0.05 as products keep 8 bits of each factor; and twice the rounding. Random tokens have a tail there (28
  // draws on SmolLM2: median 0.013, largest 0.058), so that bf16 is refused when three draws in a row are above; a wrong
  // gradient is above in every draw.
  double tolerance = 0;
  // What of the difference the grid's rounding explains, relative: a unit is moved by up to 1e-3 of the clip norm, which is
  // much of a gradient that is far shorter.
  double rounding = 0;
  std::uint32_t units = 0;
  std::string text() const;
};

// Leaves `model` without an adapter. Fails with what differed and by how much.
Result<SelfCheckReport> self_check(LanguageModel& model, const AdapterLayout& layout, TrainedPart part,
                                   privacy::ClipNorm clip, RandomSource& random);

// The same of full fine-tuning, on the model's own weights, which are put back afterwards.
Result<SelfCheckReport> self_check_full(LanguageModel& model, privacy::ClipNorm clip, RandomSource& random);

}  // namespace sotto::model
