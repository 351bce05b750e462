#include <cmath>
#include <vector>

#include "base/json.h"
#include "privacy/accounting/compose.h"
#include "privacy/mechanism/noise.h"
#include "privacy/renyi/rdp.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

const Json& vectors(const char* section) {
  static const Json all = Json::read_file(SOTTO_VECTORS "/accounting/accounting.json").value();
  return all.at(section);
}

double number(const Json& c, const char* name) { return c.at(name).as_double(); }

GaussianSteps steps_of(const Json& c) {
  return {NoiseMultiplier(number(c, "sigma")), SamplingRate(number(c, "q")), static_cast<std::uint64_t>(c.at("T").as_int())};
}

double epsilon(std::span<const GaussianSteps> steps, double delta) {
  return epsilon_of_steps(steps, Delta(delta))->epsilon.value();
}

// ours <= dp-accounting's RDP epsilon, and >= the tight value less its error, in both directions.
void check_bracket(const Json& c, std::span<const GaussianSteps> steps) {
  for (std::size_t i = 0; i < c.at("delta").items().size(); ++i) {
    const double delta = c.at("delta").at(i).as_double();
    const double ours = epsilon(steps, delta);
    const double theirs = c.at("rdp").at("eps").at(i).as_double();
    INFO("delta " << delta << ", ours " << ours << ", dp-accounting " << theirs);
    CHECK(ours <= theirs * (1 + 1e-9));
    CHECK(ours >= 0);
  }
  const Json* tight = c.find("tight");
  if (tight == nullptr || tight->is_null()) return;
  for (const auto& [value, error] : {std::pair{"eps_remove", "err_remove"}, {"eps_add", "err_add"}}) {
    const Json* values = tight->find(value);
    if (values == nullptr || values->is_null()) continue;
    for (std::size_t i = 0; i < values->items().size(); ++i) {
      if (!values->at(i).is_number()) continue;
      CHECK(epsilon(steps, tight->at("delta").at(i).as_double()) >=
            values->at(i).as_double() - tight->at(error).at(i).as_double());
    }
  }
}

}  // namespace

TEST_CASE("RDP equals the exact values at every order, in both directions", "[privacy]") {
  for (const Json& c : vectors("exact_rdp").items()) {
    const NoiseMultiplier sigma(number(c, "sigma"));
    const SamplingRate q(number(c, "q"));
    const double order = number(c, "alpha");
    INFO("sigma " << sigma.value() << ", q " << q.value() << ", order " << order);
    const double remove = rdp_of_step(order, sigma, q, Direction::kRemove);
    const double add = rdp_of_step(order, sigma, q, Direction::kAdd);
    CHECK(std::abs(remove / number(c, "rdp_remove") - 1) < 1e-10);
    CHECK(std::abs(add / number(c, "rdp_add") - 1) < 1e-10);
    CHECK(remove >= number(c, "rdp_remove"));  // an upper bound, for all that the last digits are rounded
    CHECK(add >= number(c, "rdp_add"));
  }
}

TEST_CASE("RDP equals 45-digit quadrature from order 1.01 to 700, sigma 0.1 to 500 and tiny to nearly full sampling",
          "[privacy]") {
  const Json points = Json::read_file(SOTTO_VECTORS "/accounting/rdp_mpmath.json").value();
  for (const Json& c : points.items()) {
    const Direction direction = c.at("direction").as_string() == "add" ? Direction::kAdd : Direction::kRemove;
    const double ours =
        rdp_of_step(number(c, "alpha"), NoiseMultiplier(number(c, "sigma")), SamplingRate(number(c, "q")), direction);
    INFO(c.dump() << ", ours " << ours);
    CHECK(ours >= number(c, "rdp"));
    CHECK(ours <= number(c, "rdp") * (1 + kRoundoffCover + 1e-12));
  }
}

TEST_CASE("RDP equals dp-accounting's at whole orders and is not above it at fractional ones", "[privacy]") {
  for (const Json& c : vectors("rdp_orders").items()) {
    for (std::size_t i = 0; i < c.at("orders").items().size(); ++i) {
      const double order = c.at("orders").at(i).as_double();
      const double theirs = c.at("rdp").at(i).as_double();
      const double ours =
          rdp_of_step(order, NoiseMultiplier(number(c, "sigma")), SamplingRate(number(c, "q")), Direction::kRemove);
      INFO("order " << order << ", ours " << ours << ", theirs " << theirs);
      if (order == std::floor(order)) {
        CHECK(std::abs(ours / theirs - 1) < 1e-6);
      } else {
        CHECK(ours <= theirs * (1 + 1e-8));  // its own round-off reaches 8e-9
      }
    }
  }
}

TEST_CASE("at whole orders the quadrature equals the binomial sum", "[privacy]") {
  // Mironov, Talwar, Zhang 2019, section 3.3: sum_k C(a, k) q^k (1-q)^(a-k) exp((k^2 - k) / (2 sigma^2)).
  for (const double sigma : {0.2, 0.481, 2.0, 30.0}) {
    for (const double q : {1e-3, 0.0171, 0.5, 0.999}) {
      for (const double order : {2.0, 5.0, 40.0}) {
        if (order * order / (2 * sigma * sigma) > 11000) continue;  // no long double holds the sum
        long double excess = 0;
        for (double k = 2; k <= order; ++k) {
          const long double weight = std::exp(std::lgamma(order + 1) - std::lgamma(k + 1) - std::lgamma(order - k + 1) +
                                              k * std::log(q) + (order - k) * std::log1p(-q));
          excess += weight * std::expm1(static_cast<long double>(k * (k - 1) / (2 * sigma * sigma)));
        }
        const double exact = static_cast<double>(std::log1p(excess)) / (order - 1);
        const double ours = rdp_of_step(order, NoiseMultiplier(sigma), SamplingRate(q), Direction::kRemove);
        CHECK(std::abs(ours / exact - 1) < 1e-9);
      }
    }
  }
}

TEST_CASE("RDP grows with order and rate, shrinks with noise, and removing a unit shows more than adding one", "[privacy]") {
  for (const double sigma : {0.3, 0.481, 1.0, 10.0}) {
    double before = 0;
    for (const double order : {1.01, 1.3, 2.0, 2.5, 8.0, 8.5, 60.5, 300.0}) {
      const NoiseMultiplier s(sigma);
      const double here = rdp_of_step(order, s, SamplingRate(0.02), Direction::kRemove);
      CHECK(here > before);
      CHECK(here >= rdp_of_step(order, s, SamplingRate(0.02), Direction::kAdd));
      CHECK(here < rdp_of_step(order, s, SamplingRate(0.021), Direction::kRemove));
      CHECK(here > rdp_of_step(order, NoiseMultiplier(sigma * 1.01), SamplingRate(0.02), Direction::kRemove));
      CHECK(here <= rdp_of_step(order, s, SamplingRate(1), Direction::kRemove));
      before = here;
    }
  }
}

TEST_CASE("extreme parameters give finite upper bounds", "[privacy]") {
  for (const double sigma : {1e-3, 0.05, 1e6}) {
    for (const double q : {0x1p-64, 1e-9, 1 - 1e-16, 1.0}) {
      for (const double order : {1.01, 2.5, 64.0, 65536.0}) {
        for (const Direction direction : {Direction::kRemove, Direction::kAdd}) {
          const double rdp = rdp_of_step(order, NoiseMultiplier(sigma), SamplingRate(q), direction);
          INFO("sigma " << sigma << ", q " << q << ", order " << order << ", " << to_string(direction));
          CHECK(rdp >= 0);
          CHECK(rdp <= order / (2 * sigma * sigma) * (1 + 1e-10));
        }
      }
    }
  }
  CHECK_THROWS_AS(rdp_of_step(1.0, NoiseMultiplier(1), SamplingRate(1), Direction::kAdd), Failure);
}

TEST_CASE("epsilon by RDP lies between the tight value and dp-accounting's, for one setting over many steps", "[privacy]") {
  for (const Json& c : vectors("poisson_gaussian").items()) {
    const GaussianSteps steps = steps_of(c);
    INFO("sigma " << steps.sigma.value() << ", q " << steps.rate.value() << ", steps " << steps.steps);
    check_bracket(c, {&steps, 1});
  }
}

TEST_CASE("epsilon by RDP lies between the tight value and dp-accounting's, for phases of different settings", "[privacy]") {
  for (const Json& c : vectors("heterogeneous").items()) {
    std::vector<GaussianSteps> phases;
    for (const Json& phase : c.at("phases").items()) phases.push_back(steps_of(phase));
    check_bracket(c, phases);
  }
}

TEST_CASE("epsilon by RDP is never below the exact epsilon", "[privacy]") {
  for (const Json& c : vectors("exact_gaussian").items()) {
    const GaussianSteps steps = steps_of(c);
    for (std::size_t i = 0; i < c.at("delta").items().size(); ++i) {
      CHECK(epsilon({&steps, 1}, c.at("delta").at(i).as_double()) >= c.at("eps").at(i).as_double());
    }
  }
  for (const Json& c : vectors("exact_one_step").items()) {
    const GaussianSteps steps = steps_of(c);
    for (std::size_t i = 0; i < c.at("delta").items().size(); ++i) {
      const double ours = epsilon({&steps, 1}, c.at("delta").at(i).as_double());
      CHECK(ours >= c.at("eps_remove").at(i).as_double());
      CHECK(ours >= c.at("eps_add").at(i).as_double());
    }
  }
}

TEST_CASE("no order on a dense grid beats the order found", "[privacy]") {
  for (const GaussianSteps& steps : {GaussianSteps{NoiseMultiplier(0.481), SamplingRate(24.0 / 1400), 16},
                                     GaussianSteps{NoiseMultiplier(1.0), SamplingRate(0.01), 1000},
                                     GaussianSteps{NoiseMultiplier(20), SamplingRate(0.001), 10},
                                     GaussianSteps{NoiseMultiplier(5), SamplingRate(1), 300}}) {
    const Delta delta(1e-6);
    const EpsilonBound found = epsilon_of_steps({&steps, 1}, delta).value();
    double least = 1e300;
    for (double t = 0.01; t < 3000; t *= 1.02) {
      const double order = t > 63 ? std::round(1 + t) : 1 + t;
      const double rdp = static_cast<double>(steps.steps) * rdp_of_step(order, steps.sigma, steps.rate, Direction::kRemove);
      least = std::min(least, epsilon_of_rdp(order, rdp, delta));
    }
    CHECK(found.epsilon.value() <= least * (1 + 1e-9));
    CHECK(found.order > 1);
  }
}

TEST_CASE("the same steps in one piece or in many, in any order, have one epsilon", "[privacy]") {
  const NoiseMultiplier sigma(0.7);
  const SamplingRate q(0.02);
  const std::vector<GaussianSteps> whole = {{sigma, q, 30}, {NoiseMultiplier(2), q, 4}};
  const std::vector<GaussianSteps> parts = {{sigma, q, 10}, {NoiseMultiplier(2), q, 4}, {sigma, q, 19}, {sigma, q, 1}};
  CHECK(epsilon(parts, 1e-5) == Approx(epsilon(whole, 1e-5)).epsilon(1e-12));
}

TEST_CASE("nothing released costs nothing, and a loss that delta covers costs epsilon 0", "[privacy]") {
  CHECK(compose({}, Delta(1e-5))->epsilon.value() == 0);
  const GaussianSteps faint{NoiseMultiplier(1000), SamplingRate(1e-6), 1};
  CHECK(epsilon({&faint, 1}, 1e-5) == 0);
}

TEST_CASE("composed events cost their Gaussian's epsilon, and their log-ratio on top", "[privacy]") {
  const Grid grid{ClipNorm(0.3), 115200};
  const DpEvent event = planned_event(Unit::kPatient, SamplingRate(0.02), NoiseMultiplier(0.5), grid, 16);
  const GaussianSteps steps{effective_noise_multiplier(event).value(), event.sampling_rate, 16};
  const std::vector<DpEvent> single(16, planned_event(Unit::kPatient, SamplingRate(0.02), NoiseMultiplier(0.5), grid, 1));
  const double expected = epsilon({&steps, 1}, 1e-5);
  CHECK(compose({&event, 1}, Delta(1e-5))->epsilon.value() == Approx(expected).epsilon(1e-14));
  CHECK(compose(single, Delta(1e-5))->epsilon.value() == Approx(expected).epsilon(1e-14));
  // A log-ratio large enough to be seen: eta (2 a - 1) / (a - 1) at the best order.
  const double eta = 1e-3;
  const EpsilonBound charged = epsilon_of_steps({&steps, 1}, Delta(1e-5), eta).value();
  const EpsilonBound free = epsilon_of_steps({&steps, 1}, Delta(1e-5)).value();
  const double charge = eta * (2 * free.order - 1) / (free.order - 1);
  CHECK(charged.epsilon.value() > free.epsilon.value() + 0.9 * charge);
  CHECK(charged.epsilon.value() <= free.epsilon.value() + charge * (1 + 1e-9));
}

TEST_CASE("counts that would wrap around an integer are not lost", "[privacy]") {
  const Grid grid{ClipNorm(0.3), 100};
  DpEvent many = planned_event(Unit::kPatient, SamplingRate(0.1), NoiseMultiplier(1000), grid, 1);
  many.count = std::uint64_t{1} << 53;
  const std::vector<DpEvent> events(2048, many);
  CHECK(compose(events, Delta(1e-5))->epsilon.value() > compose({&many, 1}, Delta(1e-5))->epsilon.value());
}

TEST_CASE("events of different units have no common epsilon", "[privacy]") {
  const Grid grid{ClipNorm(0.3), 100};
  const std::vector<DpEvent> events = {planned_event(Unit::kPatient, SamplingRate(0.1), NoiseMultiplier(1), grid, 1),
                                       planned_event(Unit::kRecord, SamplingRate(0.1), NoiseMultiplier(1), grid, 1)};
  const auto bound = compose(events, Delta(1e-5));
  CHECK(bound.error().code == ErrorCode::kRefused);
  CHECK(bound.error().message.find("patient") != std::string::npos);
}
