#include "client/training/canaries.h"

#include "audit/run/empirical_result.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/stream_random.h"
#include "privacy/empirical.h"

namespace sotto::client {
namespace {

std::string letters(RandomSource& random, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += static_cast<char>('a' + random.below(26));
  return out;
}

// Losses of those that could be encoded; 0 for the others, which carry no evidence either way.
Result<std::vector<double>> losses(const std::vector<Canary>& canaries, const model::LanguageModel& model,
                                   const data::ChatTemplate& chat, std::uint32_t max_tokens) {
  std::vector<double> out;
  for (const Canary& canary : canaries) {
    const auto encoded = data::encode({canary.record}, chat, {privacy::Unit::kRecord, max_tokens});
    out.push_back(0);
    if (encoded.examples.empty()) continue;
    SOTTO_TRY(const auto found, model.evaluate(encoded.examples));
    out.back() = found.front().loss_sum;
  }
  return out;
}

}  // namespace

std::vector<Canary> make_canaries(const RunPlan& plan, const RunKey& key) {
  const Bytes info = ByteWriter().text("sotto/canaries/v1").text(plan.run.value()).take();
  crypto::StreamRandom random(crypto::StreamKey(crypto::hkdf_sha256<32>({}, key.reveal(), info)));
  std::vector<Canary> out(plan.canaries);
  for (std::size_t i = 0; i < out.size(); ++i) {
    Canary& canary = out[i];
    canary.record.id = "canary/" + plan.run.value() + "/" + std::to_string(i);
    canary.record.patient_id = canary.record.id;
    if (!plan.system_prompt.empty()) canary.record.messages.push_back({"system", plan.system_prompt});
    canary.record.messages.push_back({"user", letters(random, 6)});
    canary.record.messages.push_back({"assistant", letters(random, 5) + " " + letters(random, 5)});
    canary.planted = random.below(2) == 1;
  }
  return out;
}

std::vector<data::Record> planted_of(const std::vector<Canary>& canaries) {
  std::vector<data::Record> out;
  for (const auto& canary : canaries) {
    if (canary.planted) out.push_back(canary.record);
  }
  return out;
}

Result<audit::AuditMeasured> measure(const std::vector<Canary>& canaries, const AdapterState& adapter,
                                     model::LanguageModel& model, const data::ChatTemplate& chat, const RunPlan& plan) {
  model.clear_adapter();
  SOTTO_TRY(const auto before, losses(canaries, model, chat, plan.max_tokens));
  SOTTO_TRY_VOID(model.set_adapter(adapter));
  SOTTO_TRY(const auto after, losses(canaries, model, chat, plan.max_tokens));
  model.clear_adapter();
  std::vector<double> scores;
  std::vector<bool> planted;
  for (std::size_t i = 0; i < canaries.size(); ++i) {
    scores.push_back(before[i] - after[i]);
    planted.push_back(canaries[i].planted);
  }
  const auto guessed = privacy::guess_by_rank(scores, planted, audit::planned_guesses(plan.canaries));
  const auto separation = privacy::separation_of(scores, planted);
  return audit::AuditMeasured{plan.run,
                              crypto::sha256(encode(adapter)),
                              guessed.canaries,
                              guessed.guesses,
                              guessed.correct,
                              separation.auc,
                              separation.tpr_at_1_percent,
                              separation.tpr_at_01_percent};
}

}  // namespace sotto::client
