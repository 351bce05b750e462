#include "client/training/evaluation.h"

#include "data/records/data_set.h"
#include "model/inference/language_model.h"

namespace sotto::client {

Result<Evaluation> evaluation_of(const model::LanguageModel& model, const data::DataSet& data) {
  SOTTO_TRY(const auto losses, model.evaluate(data.examples));
  double loss = 0, tokens = 0, correct = 0;
  for (const auto& one : losses) {
    loss += one.loss_sum;
    tokens += one.tokens;
    correct += one.correct;
  }
  return Evaluation{0, loss / tokens, correct / tokens, 0};
}

}  // namespace sotto::client
