#include "privacy/pld.h"

#include <cmath>
#include <vector>

#include "base/json.h"
#include "privacy/gaussian_loss.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

const Json& vectors(const char* section) {
  static const Json all = Json::read_file(SOTTO_VECTORS "/accounting/pld.json").value();
  return all.at(section);
}

double number(const Json& c, const char* name) { return c.at(name).as_double(); }
std::uint64_t steps_of(const Json& c) { return static_cast<std::uint64_t>(c.at("T").as_int()); }

struct Relation {
  Neighbours neighbours = Neighbours::kAddRemove;
  std::uint64_t group = 1;
};

GaussianLoss loss_of(const Json& c, Direction direction, Relation relation = {}) {
  return GaussianLoss::sampled(NoiseMultiplier(number(c, "sigma")), SamplingRate(number(c, "q")), direction,
                               relation.neighbours, relation.group);
}

Bracket epsilon(const GaussianLoss& loss, std::uint64_t steps, double delta) {
  const LossSteps all[] = {{&loss, steps}};
  return ComposedLoss::compose(all, PldTarget{Delta(delta)}).epsilon(Delta(delta));
}

double allowed_width(const Bracket& b) { return std::max(1e-3, 1e-3 * b.upper); }

}  // namespace

TEST_CASE("the bracket of one step holds the exact epsilon in both directions", "[privacy][pld]") {
  for (const Json& c : vectors("exact_one_step").items()) {
    for (const Direction direction : {Direction::kRemove, Direction::kAdd}) {
      const GaussianLoss loss = loss_of(c, direction);
      const Json& exact = c.at(direction == Direction::kRemove ? "eps_remove" : "eps_add");
      for (std::size_t i = 0; i < exact.items().size(); ++i) {
        const double value = exact.at(i).as_double();
        const Bracket b = epsilon(loss, 1, c.at("delta").at(i).as_double());
        INFO(c.dump() << " " << i << ": " << b.lower << " to " << b.upper);
        CHECK(b.lower <= value * (1 + 1e-9) + 1e-12);
        CHECK(b.upper >= value * (1 - 1e-9) - 1e-12);
      }
    }
  }
}

TEST_CASE("the bracket of plain Gaussian steps holds the exact epsilon and is narrow", "[privacy][pld]") {
  for (const Json& c : vectors("exact_gaussian").items()) {
    const GaussianLoss loss = loss_of(c, Direction::kRemove);
    for (std::size_t i = 0; i < c.at("delta").items().size(); ++i) {
      const double value = c.at("eps").at(i).as_double();
      const Bracket b = epsilon(loss, steps_of(c), c.at("delta").at(i).as_double());
      INFO(c.dump() << " " << i << ": " << b.lower << " to " << b.upper);
      CHECK(b.lower <= value * (1 + 1e-9));
      CHECK(b.upper >= value * (1 - 1e-9));
      CHECK(b.upper - b.lower <= allowed_width(b));
    }
  }
}

TEST_CASE("atoms on the grid compose to what counting gives", "[privacy][pld]") {
  // Randomized response: loss +-epsilon0; after n steps the losses are (2 k - n) epsilon0 with binomial probabilities.
  const double epsilon0 = 0.3;
  const double p = std::exp(epsilon0) / (1 + std::exp(epsilon0));
  const LossAtom atoms[] = {{p, 1 - p}, {1 - p, p}};
  const AtomicLoss loss = AtomicLoss::make(atoms, 0x1p-50, epsilon0).value();
  constexpr int kSteps = 20;
  const LossSteps steps[] = {{&loss, kSteps}};
  const ComposedLoss composed = ComposedLoss::compose(steps, PldTarget{});
  for (const double at : {0.0, 0.7, 2.1, 4.0, 5.7}) {
    double exact = 0;
    for (int k = 0; k <= kSteps; ++k) {
      const double log_mass = std::lgamma(kSteps + 1.0) - std::lgamma(k + 1.0) - std::lgamma(kSteps - k + 1.0) +
                              k * std::log(p) + (kSteps - k) * std::log(1 - p);
      exact += std::exp(log_mass) * std::max(0.0, -std::expm1(at - (2 * k - kSteps) * epsilon0));
    }
    const Bracket b = composed.delta(at);
    INFO("epsilon " << at << ": exact " << exact << ", " << b.lower << " to " << b.upper);
    CHECK(b.lower <= exact * (1 + 1e-10));
    CHECK(b.upper >= exact * (1 - 1e-10));
    if (at >= 4) CHECK(b.upper - b.lower < 1e-5 * exact);  // near the delta that the grid was made for
  }
}
