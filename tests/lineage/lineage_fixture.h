// Passports of invented runs, and result files as the commands write them.
#pragma once

#include "lineage/gate.h"
#include "lineage/passport.h"
#include "tests/support/temporary_folder.h"

namespace sotto::lineage {

AdapterState some_adapter(float value);
RunPlan some_plan(const std::string& run, bool privacy = true);

struct Made {
  AdapterState adapter;
  RunPlan plan;
  Passport passport;
};
// `value` makes the weights what they are.
Made made(float value, const std::string& run = "first", std::optional<Digest> parent = std::nullopt, bool privacy = true);

// What `compare --json` prints: the base, then each of `models`, with the metric's gain over the base and over each before
// it.
Json comparison(const std::string& task, const std::string& metric, const Passport& model, double difference,
                double half_width);
// .. with the model in use between them.
Json comparison_of_three(const std::string& metric, const Passport& in_use, const Passport& model, double over_base,
                         double over_in_use);
Json evaluation(const std::string& task, const Passport& model, const std::string& metric, double value);
Json review(const std::string& first, const std::string& second, double win_rate, int raters);
void write(const std::string& path, const Json& json);

// A gate whose rules the files above fit, and a whole set of good evidence for the model, in `folder`; also a log of its
// training.
Gate some_gate(const TemporaryFolder& folder, const std::string& more = "");
Evidence good_evidence(const TemporaryFolder& folder, const Made& model);
// The folder of a training whose canaries were guessed `correct` times out of 10.
std::string training_folder(const TemporaryFolder& folder, const Made& model, std::uint64_t correct);

}  // namespace sotto::lineage
