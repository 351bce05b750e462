#include "client/training/canaries.h"

#include "aggregation/fedsvd.h"
#include "audit/ledger/spending.h"
#include "audit/run/empirical_result.h"
#include "client/text/text_model.h"
#include "client/training/update.h"
#include "data/records/data_set.h"
#include "model/adapter/lora.h"
#include "plan/planned_events.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::client;

namespace {

constexpr const char* kModel = SOTTO_VECTORS "/fixture";
constexpr std::uint32_t kCanaries = 96;

RunPlan plan_with_canaries() {
  RunPlan plan;
  plan.run = RunId("canaries");
  plan.lora.rank = 8;
  plan.lora.targets = {"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"};
  plan.rounds = 1;
  plan.local_steps = 80;
  plan.clip_norm = 0.5;
  plan.expected_batch = 30;
  plan.max_tokens = 96;
  plan.optimizer.learning_rate = 0.08;
  plan.canaries = kCanaries;
  plan.sites = {{"north", 60, 0.5, 60.0, 1.0}};  // so much noise that little can be learnt: epsilon 0.4 or so
  return plan;
}

RunKey key_of(std::uint64_t seed) {
  FixedRandom random(seed);
  return RunKey::random(random);
}

// A site's whole run alone, with the plan's engine; `ran` is what the build does, which a broken one does not do as planned.
audit::AuditMeasured audit_of(const RunPlan& plan, const RunPlan& ran, std::uint64_t seed) {
  const RunKey key = key_of(seed);
  const auto canaries = make_canaries(plan, key);
  const TextModel text = TextModel::load(kModel).value();
  const auto chat = text.chat().value();
  auto records = planted_of(canaries);
  auto own = data::read_records(std::string(kModel) + "/records.jsonl").value();
  own.resize(4);
  records.insert(records.end(), own.begin(), own.end());
  const auto data = data::encode(std::move(records), chat, {plan.unit, plan.max_tokens});
  auto model = model::LanguageModel::load(kModel, {"cpu", Precision::kFp32, 1}).value();
  const auto layout = model::lora_layout(model.config(), plan.lora).value();
  auto start = aggregation::initial_adapter(layout, plan.seed).value();
  auto trainer = model::AdapterTrainer::make(model, start, plan.trained).value();
  LocalTraining training(ran, SiteIndex(0), trainer, data, key);
  FixedRandom random(seed + 1);
  for (std::uint32_t r = 0; r < plan.rounds; ++r) {
    REQUIRE(training.round(trainer, {RoundId(r), trainer.adapter().lora}, random).ok());
  }
  const AdapterState last = trainer.adapter().lora;
  return measure(canaries, last, model, chat, plan).value();
}

double proven(const RunPlan& plan) {
  auto events = *plan::planned_round(plan, plan.sites[0], 1000);
  events[0].count *= plan.rounds;
  audit::Spent spent;
  spent.add(audit::RoundCost(events));
  return audit::composed_epsilon(spent, audit::audit_delta(plan));
}

}  // namespace

TEST_CASE("canaries come from the site's key and the run's name alone, and half of them are planted", "[canaries]") {
  const RunPlan plan = plan_with_canaries();
  const auto canaries = make_canaries(plan, key_of(1));
  REQUIRE(canaries.size() == kCanaries);
  const auto again = make_canaries(plan, key_of(1));
  const auto other = make_canaries(plan, key_of(2));
  std::size_t same = 0;
  for (std::size_t i = 0; i < canaries.size(); ++i) {
    CHECK(canaries[i].record.messages == again[i].record.messages);
    CHECK(canaries[i].planted == again[i].planted);
    same += canaries[i].planted == other[i].planted ? 1 : 0;
    CHECK(canaries[i].record.patient_id == "canary/canaries/" + std::to_string(i));
  }
  CHECK(same < kCanaries * 3 / 4);  // another key's coins are others
  const auto planted = planted_of(canaries).size();
  CHECK(planted > kCanaries / 4);
  CHECK(planted < kCanaries * 3 / 4);
  RunPlan later = plan;
  later.run = RunId("later");
  CHECK(make_canaries(later, key_of(1))[0].record.messages != canaries[0].record.messages);
}

TEST_CASE("a build whose noise is off is caught by its canaries, and an honest one is not accused", "[canaries]") {
  const RunPlan plan = plan_with_canaries();
  const double most = proven(plan);
  CHECK(most < 1);

  const auto honest = audit::result_of(audit_of(plan, plan, 11), plan);
  REQUIRE(honest.ok());
  INFO("honest: " << honest->measured.correct << " of " << honest->measured.guesses << ", AUC " << honest->measured.auc);
  CHECK(honest->epsilon_lower <= most);

  RunPlan without_noise = plan;
  without_noise.privacy = false;
  without_noise.sites[0].noise_multiplier = 0;
  const auto broken = audit::result_of(audit_of(plan, without_noise, 11), plan);
  REQUIRE(broken.ok());
  INFO("broken: " << broken->measured.correct << " of " << broken->measured.guesses << ", AUC " << broken->measured.auc);
  CHECK(broken->epsilon_lower > most);
}
