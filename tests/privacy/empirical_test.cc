#include "privacy/empirical.h"

#include <cmath>

#include "base/json.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::privacy {
namespace {

const Json& vectors() {
  static const Json all = *Json::read_file(std::string(SOTTO_VECTORS) + "/empirical/vectors.json");
  return all;
}

std::uint64_t count(const Json& json, const char* name) { return static_cast<std::uint64_t>(json.at(name).as_int()); }
GuessCount guesses_of(const Json& v) { return {count(v, "m"), count(v, "r"), count(v, "v")}; }

TEST_CASE("p-values and lower bounds of the one-run audit are those of scipy's distributions", "[empirical]") {
  for (const auto& v : vectors().at("p_value").items()) {
    INFO(v.dump());
    CHECK(one_run_p_value(guesses_of(v), v.at("epsilon").as_double(), v.at("delta").as_double()) ==
          Approx(v.at("value").as_double()).epsilon(1e-8).margin(1e-13));
  }
  for (const auto& v : vectors().at("one_run_epsilon").items()) {
    INFO(v.dump());
    CHECK(one_run_epsilon(guesses_of(v), v.at("delta").as_double(), v.at("failure").as_double()) ==
          Approx(v.at("value").as_double()).epsilon(1e-8).margin(1e-10));
  }
}

// Appendix D and section 7 of arXiv 2305.08846 print 0.673 and 2.675.
TEST_CASE("the values that the paper prints come out", "[empirical]") {
  CHECK(one_run_epsilon({1000, 100, 75}, 1e-4, 0.05) == Approx(0.673).margin(5e-4));
  CHECK(one_run_epsilon({100000, 1510, 1439}, 1e-5, 0.05) == Approx(2.675).margin(1e-3));
}

TEST_CASE("the Gaussian bound and the Clopper-Pearson intervals are those of scipy", "[empirical]") {
  for (const auto& v : vectors().at("one_run_mu").items()) {
    INFO(v.dump());
    CHECK(one_run_mu(guesses_of(v), v.at("failure").as_double()) == Approx(v.at("value").as_double()).margin(1e-6));
  }
  for (const auto& v : vectors().at("clopper_pearson").items()) {
    INFO(v.dump());
    const Interval found = clopper_pearson(count(v, "k"), count(v, "n"), v.at("failure").as_double());
    CHECK(found.lower == Approx(v.at("value").at(std::size_t{0}).as_double()).epsilon(1e-9).margin(1e-12));
    CHECK(found.upper == Approx(v.at("value").at(std::size_t{1}).as_double()).epsilon(1e-9).margin(1e-12));
  }
}

double standard_normal(RandomSource& random) {
  const auto uniform = [&] { return (static_cast<double>(random.below(1ULL << 53)) + 0.5) / 9007199254740992.0; };
  return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
}

// Each canary's coin is seen through Gaussian noise: exactly mu-GDP towards each.
GuessCount audit_of_gaussian(double mu, std::size_t m, std::uint64_t guesses, std::uint64_t seed) {
  FixedRandom random(seed);
  std::vector<double> scores;
  std::vector<bool> included;
  for (std::size_t i = 0; i < m; ++i) {
    included.push_back(random.below(2) == 1);
    scores.push_back((included.back() ? mu : 0.0) + standard_normal(random));
  }
  return guess_by_rank(scores, included, guesses);
}

TEST_CASE("an honest Gaussian mechanism is not accused, and the bounds come near it", "[empirical]") {
  for (const double mu : {0.5, 1.0, 2.0}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const GuessCount found = audit_of_gaussian(mu, 4000, 2000, seed);
      const double shown = one_run_mu(found, 1e-4);
      INFO("mu " << mu << ", shown " << shown);
      CHECK(shown <= mu);
      CHECK(shown >= 0.2 * mu);
      // A mu-GDP mechanism is (epsilon, delta(epsilon))-DP; at epsilon 4 mu + mu^2 / 2 that delta is below 1e-4.
      CHECK(one_run_epsilon(found, 1e-4, 1e-4) <= 4 * mu + mu * mu / 2);
    }
  }
}

TEST_CASE("guesses that are always right show more with more canaries, and chance shows nothing", "[empirical]") {
  double last = 0;
  for (const std::uint64_t m : {16, 32, 64, 128, 256}) {
    const double shown = one_run_epsilon({m, m, m}, 0, 1e-4);
    CHECK(shown > last);
    last = shown;
    CHECK(one_run_epsilon({m, m, m / 2}, 0, 1e-4) == 0);
    CHECK(one_run_mu({m, m, m / 2}, 1e-4) == 0);
  }
  // 100 of 100 right: p^100 = 1e-4.
  CHECK(one_run_epsilon({100, 100, 100}, 0, 1e-4) == Approx(std::log(1 / (std::pow(1e-4, -0.01) - 1))).epsilon(1e-9));
  CHECK(one_run_p_value({10, 0, 0}, 1, 1e-5) == 1);
}

TEST_CASE("impossible counts are refused by name", "[empirical]") {
  CHECK(check({10, 10, 10}).ok());
  CHECK(check({0, 0, 0}).error().message.find("from 1 to 10000000 canaries") != std::string::npos);
  CHECK(check({10, 11, 3}).error().message.find("3 right of 11 guesses") != std::string::npos);
  CHECK_FALSE(check({10, 5, 6}).ok());
}

TEST_CASE("guesses by rank take the ends and abstain in the middle", "[empirical]") {
  const std::vector<double> scores = {5, 4, 3, 2, 1, 0};
  CHECK(guess_by_rank(scores, {true, true, false, true, false, false}, 4) == GuessCount{6, 4, 4});
  CHECK(guess_by_rank(scores, {false, true, true, true, false, true}, 2) == GuessCount{6, 2, 0});
  CHECK(guess_by_rank(scores, {true, true, true, true, true, true}, 6) == GuessCount{6, 6, 3});
}

TEST_CASE("an attack over many runs shows the logarithm of its rates, less what chance may have done", "[empirical]") {
  const double shown = many_run_epsilon({990, 1000}, {10, 1000}, 0, 1e-3);
  CHECK(shown < std::log(99.0));
  CHECK(shown > 3.5);
  CHECK(many_run_epsilon({500, 1000}, {500, 1000}, 1e-5, 1e-3) == 0);
  CHECK(many_run_epsilon({10, 1000}, {990, 1000}, 1e-5, 1e-3) == 0);  // the wrong way round shows nothing
}

TEST_CASE("separation is one for perfect scores, a half for equal ones", "[empirical]") {
  CHECK(separation_of(std::vector<double>{3, 2, 1, 0}, {true, true, false, false}).auc == 1);
  CHECK(separation_of(std::vector<double>{3, 2, 1, 0}, {true, true, false, false}).tpr_at_1_percent == 1);
  CHECK(separation_of(std::vector<double>{1, 1, 1, 1}, {true, false, true, false}).auc == 0.5);
  CHECK(separation_of(std::vector<double>{1, 1, 1, 1}, {true, false, true, false}).tpr_at_01_percent == 0);
  CHECK(separation_of(std::vector<double>{0, 3, 1, 2}, {true, false, false, true}).auc == Approx(0.25));
  CHECK(separation_of(std::vector<double>{0, 3}, {true, true}).auc == 0.5);
}

}  // namespace
}  // namespace sotto::privacy
