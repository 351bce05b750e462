#include "plan/run_plan.h"

#include <algorithm>
#include <functional>

#include "plan/round_descriptor.h"
#include "tests/support/catch.h"

using namespace sotto;

namespace {

RunPlan plan_of(std::uint32_t n) {
  RunPlan p;
  p.run = RunId("demo");
  p.lora.targets = {"q_proj"};
  p.expected_batch = 24;
  p.colluders = default_colluders(n);
  p.min_sites = shamir_threshold(n, p.colluders);
  for (std::uint32_t i = 0; i < n; ++i) p.sites.push_back({"site-" + std::to_string(i), 1000, 24.0 / 1000, 0.5, 1.0});
  return p;
}

Roster roster_of(const RunPlan& p) {
  Roster r;
  r.colluders = p.colluders;
  for (std::uint8_t i = 0; i < p.sites.size(); ++i) {
    RosterSite s{p.sites[i].name, {}, {}, p.sites[i].declared_size};
    s.identity[0] = i;
    r.sites.push_back(s);
  }
  return r;
}

std::string why(const RunPlan& p) {
  const auto checked = validate(p);
  return checked.ok() ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("the Shamir threshold follows from the roster as the protocol states it", "[base]") {
  // t = floor((n + c) / 2) + 1 with c = max(1, floor((n - 1) / 3)).
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> expected{{3, 3}, {4, 3}, {8, 6}, {32, 22}, {100, 67}};
  for (const auto& [n, t] : expected) CHECK(shamir_threshold(n, default_colluders(n)) == t);
  for (std::uint32_t n = 2; n <= 128; ++n)
    for (std::uint32_t c = 0; c < n; ++c) CHECK(2 * shamir_threshold(n, c) > n + c);
}

TEST_CASE("a plan and a roster survive their encodings, every prefix is refused", "[base]") {
  const RunPlan p = plan_of(4);
  const Bytes bytes = encode(p);
  CHECK(encode(*decode_plan(bytes)) == bytes);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) CHECK_FALSE(decode_plan(ByteSpan(bytes).first(cut)).ok());
  const Bytes roster = encode(roster_of(p));
  CHECK(encode(*decode_roster(roster)) == roster);
  for (std::size_t cut = 0; cut < roster.size(); ++cut) CHECK_FALSE(decode_roster(ByteSpan(roster).first(cut)).ok());
  CHECK(validate(p, roster_of(p)).ok());
}

TEST_CASE("a plan's parent stands behind the bytes of a plan without one, and is for LoRA alone", "[base]") {
  RunPlan p = plan_of(4);
  const Bytes without = encode(p);
  p.parent = Digest{1, 2, 3};
  const Bytes with = encode(p);
  CHECK(with.size() == without.size() + 32);
  CHECK(std::equal(without.begin(), without.end(), with.begin()));
  CHECK(decode_plan(with)->parent == p.parent);
  CHECK_FALSE(decode_plan(without)->parent.has_value());
  for (std::size_t cut = without.size() + 1; cut < with.size(); ++cut)
    CHECK_FALSE(decode_plan(ByteSpan(with).first(cut)).ok());
  CHECK(validate(p).ok());
  p.trained = TrainedPart::kPrompt;
  CHECK(validate(p).error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a plan that could not be kept is refused, and the message names the field", "[base]") {
  const std::vector<std::pair<std::function<void(RunPlan&)>, std::string>> cases{
      {[](RunPlan& p) { p.min_sites = 2; }, "min_sites"},
      {[](RunPlan& p) { p.min_sites = 5; }, "min_sites"},
      {[](RunPlan& p) { p.ring.bits = 12; }, "aggregation.bits"},
      {[](RunPlan& p) { p.ring.bits = 33; }, "aggregation.bits"},
      {[](RunPlan& p) { p.clip_norm = 0; }, "clip_norm"},
      {[](RunPlan& p) { p.delta = 1; }, "delta"},
      {[](RunPlan& p) { p.sites[1].noise_multiplier = 0; }, "noise multiplier of site 'site-1'"},
      {[](RunPlan& p) { p.sites[1].sampling_rate = 1.5; }, "sampling rate of site 'site-1'"},
      {[](RunPlan& p) { p.optimizer.learning_rate = std::nan(""); }, "optimizer.learning_rate"},
      {[](RunPlan& p) { p.lora.targets.clear(); }, "lora.targets"},
      {[](RunPlan& p) { p.mode = static_cast<Mode>(2); }, "not in this version"},
      {[](RunPlan& p) { p.unit = static_cast<privacy::Unit>(3); }, "not in this version"},
  };
  for (const auto& [change, field] : cases) {
    RunPlan p = plan_of(4);
    change(p);
    INFO(field);
    CHECK(why(p).find(field) != std::string::npos);
  }
}

TEST_CASE("a private step that no accountant knows is refused, and the message names field and value", "[base]") {
  using Change = std::function<void(RunPlan&)>;
  const auto sampled = [](privacy::SamplingKind sampling, const Change& more = {}) {
    return [=](RunPlan& p) {
      p.step.sampling = sampling;
      if (more) more(p);
    };
  };
  const std::vector<std::pair<Change, std::string>> cases{
      {sampled(static_cast<privacy::SamplingKind>(6)), "privacy.sampling"},
      {[](RunPlan& p) { p.step.clipping = static_cast<privacy::ClippingKind>(5); }, "privacy.clipping"},
      {[](RunPlan& p) { p.step.noise = static_cast<privacy::CorrelationKind>(0); }, "privacy.noise"},
      {sampled(privacy::SamplingKind::kTruncatedPoisson), "privacy.max_batch = 0"},
      {sampled(privacy::SamplingKind::kPoisson, [](RunPlan& p) { p.step.max_batch = 8; }), "privacy.max_batch = 8"},
      {sampled(privacy::SamplingKind::kTruncatedPoisson, [](RunPlan& p) { p.step.max_batch = 1001; }),
       "privacy.max_batch = 1001, but it must be at most the 1000 units"},
      {sampled(privacy::SamplingKind::kFixedSize, [](RunPlan& p) { p.expected_batch = 5.5; }),
       "privacy.expected_batch = 5.5"},
      {sampled(privacy::SamplingKind::kFixedSize, [](RunPlan& p) { p.canaries = 16; }), "audit.canaries = 16"},
      {[](RunPlan& p) { p.canaries = 3; }, "canaries = 3"},
      {[](RunPlan& p) { p.step.noise = privacy::CorrelationKind::kBlt, p.step.bands = 8; }, "privacy.noise = blt"},
      {sampled(privacy::SamplingKind::kMinSeparation, [](RunPlan& p) { p.step.noise = privacy::CorrelationKind::kBanded; }),
       "privacy.bands = 0"},
      {sampled(privacy::SamplingKind::kMinSeparation,
               [](RunPlan& p) { p.step.noise = privacy::CorrelationKind::kBlt, p.step.bands = 65; }),
       "privacy.bands = 65"},
      {sampled(privacy::SamplingKind::kMinSeparation, [](RunPlan& p) { p.step.bands = 3; }), "privacy.bands = 3"},
      {sampled(privacy::SamplingKind::kMinSeparation, [](RunPlan& p) { p.rounds = 100000, p.local_steps = 11; }), "1100000"},
      {sampled(privacy::SamplingKind::kMinSeparation,
               [](RunPlan& p) {
                 p.step.noise = privacy::CorrelationKind::kBanded, p.step.bands = 2;
                 p.trained = TrainedPart::kAlternating;
               }),
       "alternating"},
      {[](RunPlan& p) { p.step.clip_quantile = 1; }, "privacy.clip_quantile = 1"},
      {[](RunPlan& p) { p.step.clip_quantile = std::nan(""); }, "privacy.clip_quantile"},
  };
  for (const auto& [change, field] : cases) {
    RunPlan p = plan_of(4);
    p.sites.resize(1);
    change(p);
    INFO(field);
    const auto checked = validate_alone(p);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().message.find(field) != std::string::npos);
  }
  for (const auto sampling : {privacy::SamplingKind::kFixedSize, privacy::SamplingKind::kRandomAllocation,
                              privacy::SamplingKind::kMinSeparation}) {
    RunPlan p = plan_of(4);
    p.step.sampling = sampling;
    CHECK(validate(p).error().code == ErrorCode::kUnsupported);
    p.sites.resize(1);
    CHECK(validate_alone(p).ok());
  }
}

TEST_CASE("what is trained survives the plan's encoding, and what a federated run cannot train is refused by name",
          "[base]") {
  auto plan = plan_of(4);
  for (const auto trained : {TrainedPart::kB, TrainedPart::kAB, TrainedPart::kAlternating, TrainedPart::kPrompt}) {
    plan.trained = trained;
    plan.prompt = {20, 0.05};
    CHECK(why(plan) == "");
    CHECK(decode_plan(encode(plan))->trained == trained);
    CHECK(decode_plan(encode(plan))->prompt.tokens == 20);
  }
  plan.trained = TrainedPart::kFull;
  CHECK(why(plan).find("89478485 parameters") != std::string::npos);
  plan.sites.resize(1);
  CHECK(validate_alone(plan).ok());
  plan.trained = TrainedPart::kA;
  CHECK_FALSE(decode_plan(encode(plan)).ok());
  plan.trained = TrainedPart::kPrompt;
  plan.prompt.tokens = 0;
  CHECK(validate_alone(plan).error().message.find("prompt.tokens") != std::string::npos);
  CHECK(part_in_round(TrainedPart::kAlternating, RoundId(4)) == TrainedPart::kB);
  CHECK(part_in_round(TrainedPart::kAlternating, RoundId(5)) == TrainedPart::kA);
  CHECK(part_in_round(TrainedPart::kAB, RoundId(5)) == TrainedPart::kAB);
}

TEST_CASE("two sites are refused unless the operator says so by name", "[base]") {
  RunPlan p = plan_of(2);
  CHECK(why(p).find("--allow-two-sites") != std::string::npos);
  p.allow_two_sites = true;
  CHECK(why(p).empty());
}

TEST_CASE("a plan whose rate does not follow from the declared size is refused", "[base]") {
  RunPlan p = plan_of(4);
  p.sites[2].sampling_rate = 0.05;
  CHECK_FALSE(validate(p, roster_of(p)).ok());
  Roster other = roster_of(plan_of(4));
  other.sites[0].declared_size = 999;
  CHECK_FALSE(validate(plan_of(4), other).ok());
}

TEST_CASE("a stored update may be masked again only for the same inputs", "[base]") {
  const RunPlan p = plan_of(4);
  RoundDescriptor d = describe(p, roster_of(p));
  RoundDescriptor again = d;
  again.attempt = AttemptId(2);
  again.transcript[0] = 1;
  again.coordinator_head[0] = 1;
  CHECK(same_round_inputs(d, again));
  const std::vector<std::function<void(RoundDescriptor&)>> changes{
      [](RoundDescriptor& x) { x.min_sites -= 1; },
      [](RoundDescriptor& x) { x.colluders += 1; },
      [](RoundDescriptor& x) { x.per_site[0].noise_multiplier *= 0.5; },
      [](RoundDescriptor& x) { x.ring.step *= 2; },
      [](RoundDescriptor& x) { x.per_site[1].weight = 2; },
      [](RoundDescriptor& x) { x.rotation_seed[0] = 1; },
      [](RoundDescriptor& x) { x.adapter[0] = 1; },
      [](RoundDescriptor& x) { x.model[0] = 1; },
      [](RoundDescriptor& x) { x.round = RoundId(1); }};
  for (const auto& change : changes) {
    RoundDescriptor other = again;
    change(other);
    CHECK_FALSE(same_round_inputs(d, other));
  }
  CHECK(encode(*decode_descriptor(encode(d))) == encode(d));
}
