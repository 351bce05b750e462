// Public text beside a site's own records: general text that is mixed into every step, and stages of related text before the
// first step. It costs no epsilon. The passport names its files by hash. Its draws come from the plan's public seed, and
// what it adds to a step is added to the noised mean, as post-processing. One thread.
#pragma once

#include <string>
#include <vector>

#include "crypto/stream_random.h"
#include "data/records/data_set.h"
#include "model/training/training.h"
#include "plan/plan_file.h"

namespace sotto::client {

struct PublicText {
  std::string file;
  Digest sha256{};  // of the file
  double weight = 1;
  data::DataSet data;
};

// Reads and encodes; refused when a file holds nothing that can be trained on.
Result<std::vector<PublicText>> read_public(const std::vector<plan::PublicSource>& sources, const RunPlan& plan,
                                            const data::ChatTemplate& chat);
Json to_json(const std::vector<PublicText>& sources);  // [{"file": its name without folder, "sha256", "weight"}]

class PublicMix {
 public:
  // `share` of every step, 0 < share < 1; `plan` outlives this.
  PublicMix(std::vector<PublicText> sources, double share, const RunPlan& plan);

  // mean becomes (1 - share) * mean + share * the mean gradient of the step's public records, which is cut to clip_norm in a
  // private run, as each of the site's units is. As many public records as keep the share of examples, at least one.
  Result<void> mix_into(std::vector<float>& mean, std::uint64_t step, model::Training& training) const;

  const std::vector<PublicText>& sources() const { return sources_; }

 private:
  std::vector<PublicText> sources_;
  double share_;
  const RunPlan* plan_;
};

// Trains the stages before the first round, from the current state, each with an optimizer and a learning rate of its own.
Result<void> run_stages(const std::vector<plan::Stage>& stages, const RunPlan& plan, const data::ChatTemplate& chat,
                        model::Training& training);
// What they were: [{"name", "data": [..], "steps", "batch", "learning_rate"}]. Reads the files' hashes.
Result<Json> stages_json(const std::vector<plan::Stage>& stages);

}  // namespace sotto::client
