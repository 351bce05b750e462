// How good a model is on records outside the guarantee, at some step of its training.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sotto::data {
struct DataSet;
}
namespace sotto::model {
class LanguageModel;
}

namespace sotto::client {

struct Evaluation {
  std::uint64_t step = 0;  // steps taken when it was made
  double loss = 0;         // nats a response token
  double accuracy = 0;     // of response tokens
  double general = 0;      // nats a response token on the text that is watched for forgetting; 0: none is
};

// Of the response tokens of all examples together, with the adapter that the model bears; `step` and `general` are 0.
Result<Evaluation> evaluation_of(const model::LanguageModel& model, const data::DataSet& data);

}  // namespace sotto::client
