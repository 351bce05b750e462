// What a plan's steps draw is what its rounds are charged: every sampler is drawn here as training draws it, and the events of
// the draws are compared with those that a ledger reserves.
#include "plan/planned_events.h"

#include "privacy/mechanism/noise.h"
#include "privacy/mechanism/sampler.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using privacy::CorrelationKind;
using privacy::SamplingKind;

namespace {

constexpr std::uint32_t kUnits = 50;

RunPlan plan_of(SamplingKind sampling) {
  RunPlan p;
  p.run = RunId("events");
  p.lora.targets = {"q_proj"};
  p.rounds = 4;
  p.local_steps = 3;
  p.expected_batch = 8;
  p.step.sampling = sampling;
  p.step.max_batch = sampling == SamplingKind::kTruncatedPoisson ? 10 : 0;
  p.sites = {{"north", kUnits, 8.0 / kUnits, 0.75, 1}};
  return p;
}

}  // namespace

TEST_CASE("every sampler draws what is reserved for it, step by step", "[plan]") {
  FixedRandom random(1);
  for (const auto& [sampling, name] : names_of(SamplingKind{})) {
    INFO(name);
    const RunPlan p = plan_of(sampling);
    REQUIRE(validate_alone(p).ok());
    const SitePlan& site = p.sites.front();
    const std::vector<std::uint32_t> records(kUnits, 2);
    const privacy::Grid grid = plan::step_grid(p, 100);
    for (std::uint32_t round = 0; round < p.rounds; ++round) {
      std::vector<privacy::DpEvent> ran;
      for (std::uint64_t k = 0; k < p.local_steps; ++k) {
        const auto asked = plan::step_sampling(p, site, std::uint64_t{round} * p.local_steps + k);
        REQUIRE(privacy::check_population(asked.event, records.size()).ok());
        const auto epoch = fixed_slots(100 + asked.epoch);
        auto units = privacy::SampledUnits::draw(asked.event, {p.unit, records, p.max_records}, epoch, random);
        CHECK(units.event().event() == asked.event);
        if (sampling == SamplingKind::kFixedSize) continue;  // draws from as many as it is told, never from none
        auto nobody = privacy::SampledUnits::draw(asked.event, {p.unit, {}, 1}, epoch, random);
        auto sum = privacy::GridAccumulator(std::move(nobody), grid).finish();
        ran.push_back(privacy::add_noise(std::move(sum), privacy::NoiseMultiplier(site.noise_multiplier), random).event());
      }
      if (sampling == SamplingKind::kFixedSize) continue;
      CHECK(privacy::merged(ran) == *plan::planned_round(p, site, 100, RoundId(round)));
    }
  }
}

TEST_CASE("each unit is drawn once in an epoch of random allocation, whatever round a step is of", "[plan]") {
  const RunPlan p = plan_of(SamplingKind::kRandomAllocation);
  const std::vector<std::uint32_t> records(kUnits, 1);
  FixedRandom random(2);
  const auto steps = epoch_steps(p, p.sites.front());
  REQUIRE(steps == 7);
  std::vector<int> drawn(kUnits);
  for (std::uint64_t step = 0; step < steps; ++step) {
    const auto asked = plan::step_sampling(p, p.sites.front(), step);
    CHECK(asked.epoch == 0);
    const auto epoch = fixed_slots(7);
    const auto units = privacy::SampledUnits::draw(asked.event, {p.unit, records, 1}, epoch, random);
    for (const auto& unit : units.units()) ++drawn[unit.unit];
  }
  CHECK(drawn == std::vector<int>(kUnits, 1));
  CHECK(plan::step_sampling(p, p.sites.front(), steps).epoch == 1);
}

TEST_CASE("data that a sampler's accounting does not cover are refused with both numbers", "[plan]") {
  const auto why = [](SamplingKind sampling, std::size_t units) {
    const RunPlan p = plan_of(sampling);
    const auto checked = privacy::check_population(plan::step_sampling(p, p.sites.front(), 0).event, units);
    return checked.ok() ? "" : checked.error().message;
  };
  CHECK(why(SamplingKind::kPoisson, 51) == "");
  CHECK(why(SamplingKind::kTruncatedPoisson, 50) == "");
  CHECK(why(SamplingKind::kTruncatedPoisson, 51).starts_with("the data hold 51 units and the declared size is 50"));
  CHECK(why(SamplingKind::kFixedSize, 50) == "");
  CHECK(why(SamplingKind::kFixedSize, 49).starts_with("the data hold 49 units and the declared size is 50"));
}

TEST_CASE("a plan's noise is that of its steps' matrix, and its grid has a place for the count of clipped units", "[plan]") {
  RunPlan p = plan_of(SamplingKind::kMinSeparation);
  CHECK(plan::correlation_of(p) == privacy::Correlation{CorrelationKind::kIndependent, 0, 12});
  p.step.noise = CorrelationKind::kBanded;
  p.step.bands = 4;
  CHECK(plan::correlation_of(p) == privacy::Correlation{CorrelationKind::kBanded, 4, 12});
  CHECK(plan::step_grid(p, 100) == privacy::correlated_grid(privacy::ClipNorm(p.clip_norm), 100));
  p.step.count_clipped = true;
  CHECK(plan::step_grid(p, 100).dimension() == 101);
  const auto run = plan::planned_run(p, p.sites.front(), 100);
  REQUIRE(run.ok());
  REQUIRE(run->size() == 1);
  CHECK(run->front().run_step == 0);
  CHECK(run->front().run_steps == 12);
}
