#include "client/federation/policy.h"

#include <functional>

#include "plan/planned_events.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::client;

namespace {

constexpr std::size_t kDimension = 115200;

PublicKeyBytes key(std::uint8_t first) {
  PublicKeyBytes k{};
  k[0] = first;
  return k;
}

struct Case {
  Policy policy;
  SiteFacts facts;
  RunPlan plan;
  Roster roster;

  // The demo's second hospital: 16 steps at q = 24 / 1000, sigma 0.508: epsilon 6.4317 to 6.4319 by its
  // privacy loss, 7.9999 by RDP.
  Case() {
    policy.epsilon_limit = 6.5;
    policy.units = {privacy::Unit::kPatient};
    facts = {"brain-mind", key(2), key(9), 1000, {}, kDimension};
    plan.run = RunId("demo");
    plan.lora.targets = {"q_proj"};
    plan.rounds = 4;
    plan.local_steps = 4;
    plan.clip_norm = 0.3;
    plan.expected_batch = 24;
    plan.min_sites = 3;
    roster.coordinator = key(9);
    const std::vector<std::tuple<std::string, std::uint64_t, double>> sites{
        {"heart-lung", 1400, 0.481}, {"brain-mind", 1000, 0.508}, {"women-children", 1300, 0.49}};
    for (std::uint8_t i = 0; i < 3; ++i) {
      const auto& [name, size, sigma] = sites[i];
      plan.sites.push_back({name, size, 24.0 / static_cast<double>(size), sigma, 1.0});
      roster.sites.push_back({name, key(static_cast<std::uint8_t>(i + 1)), key(static_cast<std::uint8_t>(i + 20)), size});
    }
  }
  Result<Consent> check(const audit::Spent& before = {}) const { return check_run(policy, facts, plan, roster, before); }
};

std::string why(const Case& c, const audit::Spent& before = {}) {
  const auto checked = c.check(before);
  return checked.ok() ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("a run within the site's limits is accepted, with its epsilon", "[client]") {
  const auto consent = Case().check();
  REQUIRE(consent.ok());
  CHECK(consent->site == SiteIndex(1));
  CHECK(consent->epsilon_of_run == Approx(6.432).margin(1e-3));
  CHECK(consent->epsilon_after == consent->epsilon_of_run);
}

TEST_CASE("a limit below the plan's epsilon refuses the run in plain words", "[client]") {
  Case c;
  c.policy.epsilon_limit = 5;
  const auto refusal = c.check();
  REQUIRE_FALSE(refusal.ok());
  CHECK(refusal.error().code == ErrorCode::kOverBudget);
  CHECK(refusal.error().message.find("the limit is 5 (policy.epsilon_limit)") != std::string::npos);
}

TEST_CASE("what the patients spent in earlier runs counts", "[client]") {
  const Case c;
  audit::Spent before;
  before.events = *plan::planned_round(c.plan, c.plan.sites[1], kDimension);
  CHECK(why(c, before).find("the limit is") != std::string::npos);
}

TEST_CASE("every term that a policy limits is checked, and the refusal names it", "[client]") {
  const std::vector<std::pair<std::function<void(Case&)>, std::string>> cases{
      {[](Case& c) { c.facts.model[0] = 1; }, "policy.models"},
      {[](Case& c) { c.policy.units = {privacy::Unit::kRecord}; }, "policy.units"},
      {[](Case& c) { c.policy.min_sites = 4; }, "policy.min_sites"},
      {[](Case& c) { c.policy.min_colluders = 2; }, "policy.min_colluders"},
      {[](Case& c) { c.policy.max_rounds = 3; }, "policy.max_rounds"},
      {[](Case& c) { c.roster.coordinator = key(8); }, "another coordinator"},
      {[](Case& c) { c.roster.sites[1].identity = key(7); }, "another key for site 'brain-mind'"},
      {[](Case& c) { c.facts.name = "elsewhere"; }, "not in the run's roster"},
      {[](Case& c) { c.facts.declared_size = 900; }, "which declared 900"},
      {[](Case& c) { c.plan.sites[0].sampling_rate = 0.5; }, "sampling rate of site 'heart-lung'"},
      {[](Case& c) { c.plan.min_sites = 2; }, "min_sites"},
  };
  for (const auto& [change, word] : cases) {
    Case c;
    change(c);
    INFO(word);
    CHECK(why(c).find(word) != std::string::npos);
  }
}

TEST_CASE("a run without privacy needs the site's word by name", "[client]") {
  Case c;
  c.plan.privacy = false;
  for (auto& s : c.plan.sites) s.noise_multiplier = 0;
  CHECK(why(c).find("policy.allow_without_privacy") != std::string::npos);
  c.policy.allow_without_privacy = true;
  CHECK(why(c).empty());
}
