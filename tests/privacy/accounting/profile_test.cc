#include "privacy/accounting/profile.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/json.h"
#include "privacy/accounting/relations.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

const Json& vectors(const char* section) {
  static const Json all = Json::read_file(SOTTO_VECTORS "/accounting/pld.json").value();
  return all.at(section);
}

GaussianSteps steps_of(const Json& c) {
  return {NoiseMultiplier(c.at("sigma").as_double()), SamplingRate(c.at("q").as_double()),
          static_cast<std::uint64_t>(c.at("T").as_int())};
}

Bracket epsilon(std::span<const GaussianSteps> steps, double delta, Relation relation = {}) {
  return pld_epsilon(steps, Delta(delta), relation)->bracket;
}

bool narrow(const Bracket& b) { return b.upper - b.lower <= std::max(1e-3, 1e-3 * b.upper); }

// Calls f(steps, delta, reference) for each delta of a case that has a reference value.
template <class F>
void for_each_delta(const Json& c, const char* reference, const F& f) {
  const Json* values = c.find(reference);
  if (values == nullptr || !values->is_array()) return;
  for (std::size_t i = 0; i < values->items().size(); ++i) {
    if (values->at(i).is_number()) f(c.at("delta").at(i).as_double(), values->at(i).as_double());
  }
}

}  // namespace

TEST_CASE("steps without sampling have the closed form's epsilon to ten digits", "[privacy][pld]") {
  for (const char* section : {"exact_gaussian", "pld_fft_vs_exact"}) {
    for (const Json& c : vectors(section).items()) {
      GaussianSteps steps = {NoiseMultiplier(c.at("sigma").as_double()), SamplingRate(1),
                             static_cast<std::uint64_t>(c.at("T").as_int())};
      for_each_delta(c, section[0] == 'e' ? "eps" : "exact", [&](double delta, double exact) {
        const Bracket b = epsilon({&steps, 1}, delta);
        INFO(c.dump() << ": " << b.lower << " to " << b.upper);
        CHECK(b.lower <= exact * (1 + 1e-9));
        CHECK(b.upper >= exact * (1 - 1e-9));
        CHECK(b.upper - b.lower <= 1e-9 * b.upper);
      });
    }
  }
}

// Where the references are off is listed in tests/vectors/accounting/SOURCE.md.
bool reference_is_off(const GaussianSteps& s) {
  const double sigma = s.sigma.value();
  return (sigma == 0.3 && s.steps >= 10000) || (sigma == 2 && s.steps == 100000);
}

TEST_CASE("sampled steps: the bracket is narrow, holds the tight value, and dp-accounting's bounds lie on their sides",
          "[privacy][pld]") {
  int compared = 0;
  for (const Json& c : vectors("poisson_gaussian").items()) {
    const GaussianSteps steps = steps_of(c);
    if (steps.rate.always() || reference_is_off(steps)) continue;
    for_each_delta(c, "pld_1e-4", [&](double delta, double theirs) {
      if (delta != 1e-5 && delta != 1e-8) return;
      const Bracket b = epsilon({&steps, 1}, delta);
      INFO(c.at("sigma").dump() << " " << c.at("q").dump() << " " << steps.steps << ", delta " << delta << ": " << b.lower
                                << " to " << b.upper);
      CHECK(narrow(b));
      CHECK(b.lower <= theirs + 1e-6);
      ++compared;
      const Json* tight = c.find("tight");
      if (tight == nullptr || tight->is_null()) return;
      for_each_delta(*tight, "eps_remove", [&](double at, double value) {
        if (at != delta) return;
        const std::size_t i = at == tight->at("delta").at(0).as_double() ? 0 : 1;
        const double error = tight->at("err_remove").at(i).as_double();
        CHECK(b.lower <= value + error);
        CHECK(b.upper >= value - error);
      });
    });
    for_each_delta(c, "pld_1e-4_optimistic", [&](double delta, double theirs) {
      if (delta == 1e-5) CHECK(epsilon({&steps, 1}, delta).upper >= theirs - 1e-6);
    });
  }
  CHECK(compared > 80);
}

TEST_CASE("replaced units: the bracket is narrow and dp-accounting's bound is not below it", "[privacy][pld]") {
  for (const Json& c : vectors("replace_one").items()) {
    const GaussianSteps steps = steps_of(c);
    for_each_delta(c, "pld_1e4_replace_one", [&](double delta, double theirs) {
      if (delta != 1e-5 && delta != 1e-8) return;
      const Bracket b = epsilon({&steps, 1}, delta, {Neighbours::kReplace, 1});
      INFO(c.at("sigma").dump() << " " << c.at("q").dump() << " " << steps.steps << ", delta " << delta << ": " << b.lower
                                << " to " << b.upper);
      CHECK(narrow(b));
      CHECK(b.lower <= theirs + 1e-6);
      CHECK(b.upper >= theirs * 0.9 - 1e-3);
    });
  }
}

TEST_CASE("groups of units are the mixture that the reference composes", "[privacy][pld]") {
  for (const Json& c : vectors("mixture").items()) {
    const GaussianSteps steps = steps_of(c);
    const Relation relation{Neighbours::kAddRemove, static_cast<std::uint64_t>(c.at("group").as_int())};
    for_each_delta(c, "pld_1e4", [&](double delta, double theirs) {
      if (delta != 1e-5) return;
      const Bracket b = epsilon({&steps, 1}, delta, relation);
      INFO("group " << relation.group << ": " << b.lower << " to " << b.upper << ", theirs " << theirs);
      CHECK(narrow(b));
      CHECK(b.lower <= theirs + 1e-6);
      CHECK(b.upper >= theirs - 2e-3);
    });
  }
}

TEST_CASE("sequences of different steps: the bracket is narrow and holds the tight value", "[privacy][pld]") {
  for (const Json& c : vectors("heterogeneous").items()) {
    std::vector<GaussianSteps> phases;
    for (const Json& phase : c.at("phases").items()) phases.push_back(steps_of(phase));
    for_each_delta(c.at("tight"), "eps_remove", [&](double delta, double value) {
      if (delta != 1e-5) return;
      const double error = c.at("tight").at("err_remove").at(0).as_double();
      const Bracket b = epsilon(phases, delta);
      INFO(phases.size() << " phases: " << b.lower << " to " << b.upper << ", tight " << value);
      CHECK(narrow(b));
      CHECK(b.lower <= value + error);
      CHECK(b.upper >= value - error);
    });
  }
}

TEST_CASE("edges: tiny delta, one step, a million steps, little and much noise", "[privacy][pld]") {
  struct Edge {
    double sigma, rate, delta;
    std::uint64_t steps;
  };
  for (const Edge& e : {Edge{1, 0.01, 1e-15, 1000}, Edge{0.3, 0.001, 1e-5, 1}, Edge{100, 1e-4, 1e-6, 1000000},
                        Edge{5, 0.001, 1e-5, 1000000}, Edge{100, 0.5, 1e-9, 100}, Edge{1, 0.999, 1e-5, 10}}) {
    const GaussianSteps steps{NoiseMultiplier(e.sigma), SamplingRate(e.rate), e.steps};
    const Bracket b = epsilon({&steps, 1}, e.delta);
    INFO(e.sigma << " " << e.rate << " " << e.steps << ", delta " << e.delta << ": " << b.lower << " to " << b.upper);
    CHECK(narrow(b));
    CHECK(b.lower <= epsilon_of_steps({&steps, 1}, Delta(e.delta))->epsilon.value());
    CHECK(b.upper > 0);
  }
  const GaussianSteps faint{NoiseMultiplier(1000), SamplingRate(1e-6), 1};
  CHECK(epsilon({&faint, 1}, 1e-5).upper == 0);
  CHECK(epsilon({}, 1e-5).upper == 0);
}

TEST_CASE("what follows from a profile agrees with itself", "[privacy][pld]") {
  const GaussianSteps steps{NoiseMultiplier(1), SamplingRate(0.01), 1000};
  const PrivacyProfile profile = PrivacyProfile::of({&steps, 1}, {}, Delta(1e-5)).value();
  const DirectedBracket e = profile.epsilon(Delta(1e-5));
  CHECK(e.direction == Direction::kRemove);
  CHECK(profile.delta(e.bracket.lower).upper >= 1e-5);
  CHECK(profile.delta(e.bracket.upper).lower <= 1e-5);
  const Bracket advantage = profile.advantage();
  CHECK(advantage.upper - advantage.lower < 1e-3);
  const GaussianDp gaussian = profile.gaussian_dp();
  CHECK(gaussian.regret >= 0);
  for (const double alpha : {0.001, 0.05, 0.3}) {  // f_mu is below the profile's own curve, by at most the regret
    double low = -40, high = 40;
    while (high - low > 1e-9) ((0.5 * std::erfc(-(low + high) / 2 * M_SQRT1_2) < alpha) ? low : high) = (low + high) / 2;
    const double of_mu = 0.5 * std::erfc((gaussian.mu + low) * M_SQRT1_2);
    CHECK(of_mu <= profile.trade_off(alpha) + 2e-3);
    CHECK(of_mu >= profile.trade_off(alpha) - gaussian.regret - 2e-3);
  }
  CHECK_FALSE(profile.zero_concentrated());
  const GaussianSteps plain{NoiseMultiplier(2), SamplingRate(1), 4};
  const PrivacyProfile closed = PrivacyProfile::of({&plain, 1}, {}, Delta(1e-5)).value();
  CHECK(*closed.zero_concentrated() == Approx(0.5));
  CHECK(closed.gaussian_dp().mu == Approx(1));
  CHECK(closed.advantage().upper == Approx(0.3829249225));
}

TEST_CASE("a group's epsilon from one unit's curve: no less than the group's own, and what pure privacy says",
          "[privacy][pld]") {
  const GaussianSteps steps{NoiseMultiplier(2), SamplingRate(0.1), 100};
  const Release release{GaussianNoise{2}, {SamplingKind::kPoisson, 0.1}, std::nullopt, 100};
  double before = pld_epsilon({&steps, 1}, Delta(1e-5))->bracket.upper;
  for (const std::uint64_t group : {2U, 3U, 5U}) {
    const Bracket chained = epsilon_of_group({&release, 1}, Neighbours::kAddRemove, group, Delta(1e-5)).value();
    const Bracket own = pld_epsilon({&steps, 1}, Delta(1e-5), {Neighbours::kAddRemove, group})->bracket;
    INFO(group << ": " << chained.upper << ", own " << own.lower);
    CHECK(chained.upper >= own.lower);
    CHECK(chained.lower <= own.upper);
    CHECK(chained.upper > before);
    before = chained.upper;
  }
  // Laplace noise of scale 2 is 1/2-private for one unit, and 3/2-private for three.
  const Release laplace{LaplaceNoise{2.0}, {}, std::nullopt, 1};
  CHECK(epsilon_of_group({&laplace, 1}, Neighbours::kAddRemove, 3, Delta(1e-9))->upper == Approx(1.5).epsilon(1e-3));
  CHECK(epsilon_of_group({&laplace, 1}, Neighbours::kAddRemove, 65, Delta(1e-9)).error().code == ErrorCode::kInvalid);
}

TEST_CASE("all relations in one call: replacing costs more than adding, a group more than one", "[privacy][pld]") {
  const GaussianSteps steps{NoiseMultiplier(2), SamplingRate(0.1), 100};
  const AllRelations all = pld_all_relations({&steps, 1}, Delta(1e-5), 2).value();
  CHECK(all.worse == Direction::kRemove);
  CHECK(all.remove.lower > all.add.upper);
  CHECK(all.zero_out.upper == all.remove.upper);
  CHECK(all.replace.lower > all.remove.upper);
  CHECK(all.group.lower > all.remove.upper);
  CHECK(pld_all_relations({&steps, 1}, Delta(1e-5), 0).error().code == ErrorCode::kInvalid);
}
