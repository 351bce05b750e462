// Whole rounds: n sites, drop-outs at every barrier, restarts from snapshots, retries, voids, and a coordinator that
// crashes.
#include <algorithm>

#include "aggregation/ring.h"
#include "tests/coordinator/round/simulator.h"
#include "tests/support/catch.h"

namespace sotto {
namespace {

std::vector<SiteIndex> all_but(std::uint32_t n, std::optional<std::uint32_t> gone = {}) {
  std::vector<SiteIndex> out;
  for (std::uint32_t i = 0; i < n; ++i)
    if (i != gone) out.push_back(SiteIndex(i));
  return out;
}

enum class Barrier { kAfterKeys, kAfterShares, kBeforeReport, kAfterReport, kAfterConfirm, kAfterUnmask };

bool is_at(Barrier barrier, const wire::ToCoordinator& m) {
  switch (barrier) {
    case Barrier::kAfterKeys: return std::holds_alternative<wire::Keys>(m);
    case Barrier::kAfterShares: return std::holds_alternative<wire::Shares>(m);
    case Barrier::kBeforeReport: return false;
    case Barrier::kAfterReport: return std::holds_alternative<wire::Report>(m);
    case Barrier::kAfterConfirm: return std::holds_alternative<wire::Confirm>(m);
    case Barrier::kAfterUnmask: return std::holds_alternative<wire::Unmask>(m);
  }
  return false;
}

void kill_at(Simulator& world, SiteIndex victim, Barrier barrier) {
  world.to_coordinator = [&world, victim, barrier](SiteIndex site, const wire::ToCoordinator& m) {
    if (site == victim && is_at(barrier, m)) world.kill(victim);
    return true;
  };
  world.before_action = [victim, barrier](SiteIndex site, const client::Action& a) {
    return !(site == victim && barrier == Barrier::kBeforeReport && std::holds_alternative<client::Train>(a));
  };
}

void leave_alone(Simulator& world) {
  world.to_coordinator = [](SiteIndex, const wire::ToCoordinator&) { return true; };
  world.before_action = [](SiteIndex, const client::Action&) { return true; };
}

struct Size {
  std::uint32_t sites;
  std::uint32_t colluders;
};

}  // namespace

TEST_CASE("a round ends with the exact sum of every site's update, and every site takes the result", "[round]") {
  const std::uint32_t n = GENERATE(2u, 3u, 4u, 8u, 16u);
  Simulator world({.sites = n});
  for (std::uint32_t r = 0; r < 3; ++r) {
    world.run_round();
    const auto& o = world.outcomes.at(r);
    REQUIRE(!o.is_void);
    CHECK(o.attempt == AttemptId(1));
    CHECK(o.survivors == all_but(n));
    CHECK(o.sum == world.expected_sum(o.survivors, RoundId(r)));
    CHECK(o.accepted == all_but(n));
  }
  CHECK(world.drops.empty());
}

TEST_CASE("the sum is exact at every width of the ring", "[round]") {
  const std::uint32_t bits = GENERATE(13u, 16u, 19u, 24u, 31u, 32u);
  Simulator world({.sites = 3, .bits = bits});
  world.run_round();
  CHECK(world.outcomes.at(0).sum == world.expected_sum(all_but(3), RoundId(0)));
}

TEST_CASE("a sum that honest sites cannot have made voids the round, and names those that are in it", "[round]") {
  Simulator world(SimulatorOptions{});
  world.trained = [](SiteIndex site, std::vector<std::uint32_t>& x) {
    if (site == SiteIndex(1)) x[2] = 6000;  // range / step is 1,024
  };
  world.run_round();
  REQUIRE(world.outcomes.size() == 1);
  CHECK(world.outcomes[0].is_void);
  INFO(world.outcomes[0].reason);
  CHECK(world.outcomes[0].reason.find("coordinate 2 of the sum is ") != std::string::npos);
  CHECK(world.outcomes[0].reason.find("3 honest sites give 3072 at most") != std::string::npos);
  CHECK(world.outcomes[0].reason.find("sites in the sum: ") != std::string::npos);
  // Within the bound one site moves the sum as it likes: that is what robust aggregation would be for.
  world.trained = [](SiteIndex site, std::vector<std::uint32_t>& x) {
    if (site == SiteIndex(1)) x[2] = 1024;
  };
  world.run_round();
  CHECK_FALSE(world.outcomes[1].is_void);
}

TEST_CASE("a site killed at a barrier drops out as the barrier says, and joins the next round after a restart", "[round]") {
  const Size size = GENERATE(Size{3, 0}, Size{4, 1}, Size{8, 2});
  const auto barrier = GENERATE(Barrier::kAfterKeys, Barrier::kAfterShares, Barrier::kBeforeReport, Barrier::kAfterReport,
                                Barrier::kAfterConfirm, Barrier::kAfterUnmask);
  const SiteIndex victim(1);
  Simulator world({.sites = size.sites, .colluders = size.colluders});
  world.run_round();
  kill_at(world, victim, barrier);
  world.run_round();

  const auto& o = world.outcomes.at(1);
  REQUIRE(!o.is_void);
  const bool in_u1 = barrier != Barrier::kAfterKeys;
  const bool survives = barrier >= Barrier::kAfterReport;
  CHECK(o.attempt == AttemptId(1));
  CHECK(o.u1 == all_but(size.sites, in_u1 ? std::nullopt : std::optional(victim.value())));
  CHECK(o.survivors == all_but(size.sites, survives ? std::nullopt : std::optional(victim.value())));
  CHECK(o.sum == world.expected_sum(o.survivors, RoundId(1)));
  CHECK(o.accepted == all_but(size.sites, victim.value()));

  leave_alone(world);
  world.restart(victim);
  world.run_round();
  CHECK(world.outcomes.at(2).survivors == all_but(size.sites));
  CHECK(world.outcomes.at(2).sum == world.expected_sum(all_but(size.sites), RoundId(2)));
  CHECK(world.participant(victim).next_round() == RoundId(3));
}

TEST_CASE("a site killed before any of its actions goes on from its snapshot, with the same bytes", "[round]") {
  // tau = n: the round waits for the victim, which comes back when nothing else is left to do.
  std::size_t crashes = 0;
  for (std::size_t at = 0;; ++at) {
    Simulator world({.sites = 3, .colluders = 1});
    const SiteIndex victim(2);
    std::size_t count = 0;
    bool killed = false;
    world.before_action = [&](SiteIndex site, const client::Action&) {
      if (site != victim || killed || count++ != at) return true;
      killed = true;
      return false;
    };
    world.when_idle = [&] {
      if (world.alive(victim)) return false;
      world.restart(victim);
      return true;
    };
    world.run_round();
    if (!killed) break;
    ++crashes;
    INFO("killed before action " << at);
    const auto& o = world.outcomes.at(0);
    REQUIRE(!o.is_void);
    CHECK(o.survivors == all_but(3));
    CHECK(o.sum == world.expected_sum(o.survivors, RoundId(0)));
    CHECK(world.round_proofs.empty());
    // Killed while it took the result, it is not waited for: it takes it before it joins the next round.
    if (!world.alive(victim)) world.restart(victim);
    world.run_round();
    CHECK(world.outcomes.at(1).survivors == all_but(3));
    // Whatever was sent stands in the site's log exactly once a round.
    for (const auto type : {audit::EventType::kReportSent, audit::EventType::kConfirmSigned,
                            audit::EventType::kUnmaskAnswered, audit::EventType::kResultAccepted})
      CHECK(std::ranges::count(world.log_of(victim), type, audit::type_of) == 2);
  }
  CHECK(crashes > 20);
}

TEST_CASE("a new attempt masks the stored update again and trains nobody twice", "[round]") {
  Simulator world({.sites = 4, .colluders = 1, .min_sites = 4});
  world.to_coordinator = [](SiteIndex site, const wire::ToCoordinator& m) {
    const auto* report = std::get_if<wire::Report>(&m);
    return !(report != nullptr && site == SiteIndex(0) && report->header.attempt == AttemptId(1));
  };
  world.run_round();
  const auto& o = world.outcomes.at(0);
  REQUIRE(!o.is_void);
  CHECK(o.attempt == AttemptId(2));
  CHECK(o.sum == world.expected_sum(all_but(4), RoundId(0)));
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(world.trainings(SiteIndex(i), RoundId(0)) == 1);
  std::set<Bytes> masked;
  for (const auto& [site, m] : world.frames)
    if (const auto* report = std::get_if<wire::Report>(&m)) masked.insert(report->masked);
  CHECK(masked.size() == 3 + 4);  // fresh masks: the second attempt's vectors are other ones
}

TEST_CASE("a round that no attempt can finish is void, and the next one trains afresh", "[round]") {
  Simulator world({.sites = 4, .colluders = 1, .min_sites = 4, .max_attempts = 2});
  world.to_coordinator = [](SiteIndex site, const wire::ToCoordinator& m) {
    return !(std::holds_alternative<wire::Report>(m) && site == SiteIndex(0));
  };
  world.run_round();
  CHECK(world.outcomes.at(0).is_void);
  CHECK(world.outcomes.at(0).reason.find("report: 3 of at least 4") != std::string::npos);
  CHECK(std::holds_alternative<audit::RoundVoid>(world.coordinator_log().back()));
  leave_alone(world);
  world.run_round();
  REQUIRE(!world.outcomes.at(1).is_void);
  CHECK(world.outcomes.at(1).survivors == all_but(4));
  CHECK(world.outcomes.at(1).sum == world.expected_sum(all_but(4), RoundId(1)));
  CHECK(world.update_of(SiteIndex(1), RoundId(0)) != world.update_of(SiteIndex(1), RoundId(1)));
}

TEST_CASE("a site that its ledger keeps from training drops out and nothing of it is in the sum", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.may_train = [](SiteIndex site) { return site != SiteIndex(3); };
  world.run_round();
  CHECK(world.outcomes.at(0).survivors == all_but(4, 3));
  CHECK(world.outcomes.at(0).sum == world.expected_sum(all_but(4, 3), RoundId(0)));
  CHECK(world.has_declined(SiteIndex(3), "over_budget"));
}

TEST_CASE("a site that was away for whole rounds, void ones too, catches up and joins", "[round]") {
  Simulator world({.sites = 4, .colluders = 1, .max_attempts = 1});
  const SiteIndex away(3);
  world.kill(away);
  world.run_round();
  world.to_coordinator = [](SiteIndex, const wire::ToCoordinator& m) { return !std::holds_alternative<wire::Report>(m); };
  world.run_round();
  CHECK(world.outcomes.at(1).is_void);
  leave_alone(world);
  world.run_round();
  CHECK(world.outcomes.at(2).survivors == all_but(4, 3));
  world.restart(away);
  world.run_round();
  CHECK(world.has_declined(away, "behind"));
  CHECK(world.outcomes.at(3).survivors == all_but(4));
  CHECK(world.outcomes.at(3).sum == world.expected_sum(all_but(4), RoundId(3)));
}

TEST_CASE("a coordinator that crashes before CONFIRMs were collected opens another attempt of the same round", "[round]") {
  const auto barrier = GENERATE(Barrier::kAfterKeys, Barrier::kAfterShares, Barrier::kAfterReport);
  Simulator world({.sites = 4, .colluders = 1});
  bool crashed = false;
  world.to_coordinator = [&](SiteIndex site, const wire::ToCoordinator& m) {
    if (!crashed && site == SiteIndex(1) && is_at(barrier, m)) {
      crashed = true;
      world.crash_coordinator(false);
    }
    return true;
  };
  world.run_round();
  const auto& o = world.outcomes.at(0);
  REQUIRE(!o.is_void);
  CHECK(o.attempt == AttemptId(2));
  CHECK(o.survivors == all_but(4));
  CHECK(o.sum == world.expected_sum(all_but(4), RoundId(0)));
}

TEST_CASE("a coordinator that crashes after CONFIRMs were collected voids the round", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  bool crashed = false;
  world.to_coordinator = [&](SiteIndex, const wire::ToCoordinator& m) {
    if (!crashed && std::holds_alternative<wire::Unmask>(m)) {
      crashed = true;
      world.crash_coordinator(true);
    }
    return true;
  };
  world.run_round();
  CHECK(world.outcomes.at(0).is_void);
  leave_alone(world);
  world.run_round();
  CHECK(world.outcomes.at(1).survivors == all_but(4));
}

TEST_CASE("phases wait for a silent site until their deadline and then go on with the others", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.to_coordinator = [](SiteIndex site, const wire::ToCoordinator&) { return site != SiteIndex(2); };
  world.run_round();
  CHECK(world.outcomes.at(0).attempt == AttemptId(1));
  CHECK(world.outcomes.at(0).u1 == all_but(4, 2));
}

TEST_CASE("the coordinator's log tells the round in the order in which it happened", "[round]") {
  Simulator world({.sites = 3, .colluders = 1});
  world.run_round();
  std::vector<std::string> names;
  for (const auto& e : world.coordinator_log()) names.push_back(audit::name_of(audit::type_of(e)));
  const std::vector<std::string> expected{
      "coordinator_created", "attempt_opened",  "round_opened", "site_keys",        "site_keys",
      "site_keys",           "site_shares",     "site_shares",  "site_shares",      "report_received",
      "report_received",     "report_received", "survivors",    "confirm_received", "confirm_received",
      "confirm_received",    "result"};
  CHECK(names == expected);
}

}  // namespace sotto
