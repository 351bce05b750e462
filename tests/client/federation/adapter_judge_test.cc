#include "client/federation/adapter_judge.h"

#include "aggregation/fedsvd.h"
#include "aggregation/ring.h"
#include "aggregation/server_step.h"
#include "crypto/hash.h"
#include "lineage/weights.h"
#include "tests/support/catch.h"

namespace sotto::client {
namespace {

AdapterLayout layout() {
  return {{{"model.layers.0.self_attn.q_proj", 6, 9, 3, 0.5}, {"model.layers.1.self_attn.v_proj", 5, 4, 2, 0.5}}};
}

RunPlan three_sites() {
  RunPlan plan;
  plan.run = RunId("demo");
  plan.seed[0] = 9;
  for (const char* name : {"a", "b", "c"}) plan.sites.push_back({name, 1000, 0.1, 1.0, 1.0});
  plan.sites[1].weight = 0.5;
  return plan;
}

AdapterState start(const RunPlan& plan) { return aggregation::initial_adapter(layout(), plan.seed).value(); }

// What the coordinator of an honest round publishes: the step over the sum of two survivors.
CheckStep honest_step(const RunPlan& plan) {
  const auto previous = start(plan);
  const auto ring = aggregation::Ring::make(plan.ring, 3).value();
  std::vector<float> change(layout().trained_size(part_in_round(plan.trained, RoundId(0))));
  for (std::size_t i = 0; i < change.size(); ++i) change[i] = 0.001F * static_cast<float>(i % 7);
  std::vector<std::uint32_t> sum(change.size());
  const auto weights = aggregation::relative_weights(plan.sites);
  for (const std::size_t site : {std::size_t{0}, std::size_t{1}}) {
    const auto one = aggregation::quantize(change, weights[site], ring);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = (sum[i] + one[i]) & ring.mask();
  }
  const auto mean = aggregation::dequantize_mean(sum, weights[0] + weights[1], ring);
  const auto next = aggregation::server_step(previous, mean, aggregation::step_in_round(plan.trained, RoundId(0)));
  REQUIRE(next.ok());
  return {RoundId(0), {SiteIndex(0), SiteIndex(1)}, sum, encode(previous), encode(*next)};
}

}  // namespace

TEST_CASE("the adapter that a run starts from is the one of the plan's seed", "[client]") {
  const auto plan = three_sites();
  const AdapterJudge judge(plan, layout());
  const Bytes right = encode(start(plan));
  const auto agreed = judge.initial({right});
  CHECK(agreed.ok);
  CHECK(agreed.reason.empty());
  CHECK(agreed.adapter == crypto::sha256(right));

  auto other = plan;
  other.seed[0] = 10;
  const auto differs = judge.initial({encode(start(other))});
  CHECK_FALSE(differs.ok);
  CHECK_FALSE(differs.reason.empty());
}

TEST_CASE("a run with a parent starts from that model and from no other", "[client]") {
  auto plan = three_sites();
  const auto parent = start(plan);
  plan.parent = lineage::weights_of(parent);
  plan.seed[0] = 77;  // says nothing where there is a parent
  const AdapterJudge judge(plan, layout());
  CHECK(judge.initial({encode(parent)}).ok);

  auto changed = parent;
  changed.factors[0].b[0] += 0.5F;
  const auto differs = judge.initial({encode(changed)});
  CHECK_FALSE(differs.ok);
  CHECK(differs.reason == "it is not model " + to_hex(*plan.parent).substr(0, 12) + ", which the plan goes on from");
}

TEST_CASE("a published adapter is the server step over the sum of those who survived", "[client]") {
  const auto plan = three_sites();
  const AdapterJudge judge(plan, layout());
  const auto honest = honest_step(plan);
  const auto agreed = judge.step(honest);
  INFO(agreed.reason);
  CHECK(agreed.ok);
  CHECK(agreed.adapter == crypto::sha256(honest.adapter));

  auto miscounted = honest;
  miscounted.survivors.push_back(SiteIndex(2));
  CHECK_FALSE(judge.step(miscounted).ok);

  auto unmoved = honest;
  unmoved.adapter = unmoved.previous;
  CHECK_FALSE(judge.step(unmoved).ok);
}

TEST_CASE("bytes that are no adapter are refused under their own hash", "[client]") {
  const auto plan = three_sites();
  const AdapterJudge judge(plan, layout());
  const Bytes damaged{1, 2, 3};
  for (const auto& verdict : {judge.initial({damaged}), judge.step({RoundId(0), {}, {}, damaged, damaged})}) {
    CHECK_FALSE(verdict.ok);
    CHECK_FALSE(verdict.reason.empty());
    CHECK(verdict.adapter == crypto::sha256(damaged));
  }
  auto ill_based = honest_step(plan);
  ill_based.previous = damaged;
  CHECK_FALSE(judge.step(ill_based).ok);
}

}  // namespace sotto::client
