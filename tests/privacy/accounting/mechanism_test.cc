#include "privacy/accounting/mechanism.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/json.h"
#include "privacy/accounting/release_rdp.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

const Json& vectors(const char* section) {
  static const Json all = Json::read_file(SOTTO_VECTORS "/accounting/mechanisms.json").value();
  return all.at(section);
}

Release release(Json json) {
  if (json.find("steps") == nullptr && json.find("epochs") == nullptr) {
    json.set(json.find("epoch_steps") == nullptr ? "steps" : "epochs", 1);
  }
  return release_from_json(json).value();
}

Json with(Json json, const Json& c, std::initializer_list<std::pair<const char*, const char*>> members) {
  for (const auto& [ours, theirs] : members) json.set(ours, c.at(theirs));
  return json;
}

double epsilon(const Release& of, Neighbours neighbours, double delta) {
  return epsilon_of_releases({&of, 1}, neighbours, Delta(delta))->epsilon.value();
}

Neighbours neighbours_of(const Json& c) {
  return c.at("neighbouring").as_string() == "REPLACE_ONE" ? Neighbours::kReplace : Neighbours::kAddRemove;
}

// Ours is not above the reference's RDP epsilon, and not below it by more than `slack` (for closed forms at a better order).
void check_rdp(const Json& c, const Release& of, Neighbours neighbours, double slack) {
  for (std::size_t i = 0; i < c.at("delta").items().size(); ++i) {
    const double ours = epsilon(of, neighbours, c.at("delta").at(i).as_double());
    const double theirs = c.at("rdp").at("eps").at(i).as_double();
    INFO(c.dump() << ": ours " << ours << ", theirs " << theirs);
    CHECK(ours <= theirs * (1 + 1e-9));
    CHECK(ours >= theirs * (1 - slack));
  }
}

}  // namespace

TEST_CASE("RDP of one-dimensional discrete and Laplace noise equals exact sums at every order", "[privacy]") {
  for (const Json& c : vectors("exact_rdp_discrete").items()) {
    const std::string& mechanism = c.at("mech").as_string();
    Json json = Json::object({{"mechanism", mechanism}, {"sensitivity", c.at("sensitivity")}});
    if (mechanism == "laplace") json.set("scale", c.at("scale"));
    if (mechanism == "skellam") json.set("variance", c.at("variance"));
    if (mechanism == "discrete_gaussian") json.set("stddev", std::sqrt(c.at("sigma2").as_double()));
    const auto curve = rdp_curve(release(json), Neighbours::kAddRemove).value();
    const double order = c.at("alpha").as_double();
    const double exact = c.at("rdp").as_double();
    INFO(c.dump() << ": ours " << curve->at(order, Direction::kRemove));
    CHECK(curve->at(order, Direction::kRemove) == Approx(exact).epsilon(1e-9));
    CHECK(curve->at(order, Direction::kAdd) == Approx(exact).epsilon(1e-9));
  }
}

TEST_CASE("RDP of Laplace noise, randomized response, zCDP and trees gives the references' epsilon, at a better order",
          "[privacy]") {
  for (const Json& c : vectors("laplace").items()) {
    if (c.find("rdp") == nullptr) continue;
    check_rdp(c, release(with(Json::object({{"mechanism", "laplace"}}), c, {{"scale", "scale"}, {"steps", "T"}})),
              Neighbours::kAddRemove, 0.015);
  }
  for (const Json& c : vectors("randomized_response").items()) {
    const Json json = with(Json::object({{"mechanism", "randomized_response"}}), c,
                           {{"noise_parameter", "noise_parameter"}, {"buckets", "num_buckets"}, {"steps", "T"}});
    check_rdp(c, release(json), neighbours_of(c), 0.015);
  }
  for (const Json& c : vectors("zcdp").items()) {
    check_rdp(c, release(with(Json::object({{"mechanism", "zcdp"}}), c, {{"rho", "rho"}, {"xi", "xi"}, {"steps", "T"}})),
              Neighbours::kAddRemove, 1e-3);
  }
  for (const Json& c : vectors("tree").items()) {
    const Json json = with(Json::object({{"mechanism", "tree"}}), c,
                           {{"noise_multiplier", "sigma"}, {"step_counts", "step_counts"}, {"steps", "times"}});
    check_rdp(c, release(json), Neighbours::kZeroOut, 1e-3);
  }
}

TEST_CASE("fixed-size batches cost at most what the Wang, Balle, Kasiviswanathan bound says", "[privacy]") {
  for (const Json& c : vectors("sampled_wor_rdp").items()) {
    const Json json = with(Json::object({{"sampling", "fixed_size"}, {"sensitivity", 1}}), c,
                           {{"noise_multiplier", "sigma"}, {"population", "n"}, {"batch_size", "m"}, {"steps", "T"}});
    check_rdp(c, release(json), Neighbours::kReplace, 1);
  }
}

TEST_CASE("tuning costs what Papernot and Steinke's theorems say", "[privacy]") {
  for (const Json& c : vectors("repeat_select").items()) {
    const Json run = with(Json::object(), c, {{"noise_multiplier", "sigma"}, {"sampling_rate", "q"}, {"steps", "T"}});
    Json json = Json::object({{"mechanism", "repeat_and_select"}, {"mean", c.at("mean")}, {"run", Json::array({run})}});
    json.set("shape", c.at("shape").is_string() ? Json("poisson") : c.at("shape"));
    check_rdp(c, release(json), Neighbours::kAddRemove, 0.02);
  }
}

TEST_CASE("RDP of groups, of sampled discrete and Laplace noise, and of truncated batches is not below their PLD",
          "[privacy]") {
  const auto check = [](const Json& c, const Json& json, Neighbours neighbours) {
    const Json& pld = c.at("pld_1e4");
    for (std::size_t i = 0; i < 2; ++i) {  // at smaller delta the reference's own error shows
      const double ours = epsilon(release(json), neighbours, c.at("delta").at(i).as_double());
      INFO(c.dump() << ": ours " << ours);
      CHECK(ours >= pld.at(i).as_double() * (1 - 1e-3));
      CHECK(ours <= pld.at(i).as_double() * 2.5);
    }
  };
  for (const Json& c : vectors("mixture").items()) {
    check(
        c,
        with(
            Json::object({{"mechanism", "gaussian_mixture"}}), c,
            {{"noise_multiplier", "sigma"}, {"sensitivities", "sensitivities"}, {"probabilities", "probs"}, {"steps", "T"}}),
        Neighbours::kAddRemove);
  }
  for (const Json& c : vectors("laplace").items()) {
    check(c, with(Json::object({{"mechanism", "laplace"}}), c, {{"scale", "scale"}, {"sampling_rate", "q"}, {"steps", "T"}}),
          Neighbours::kAddRemove);
  }
  for (const Json& c : vectors("discrete").items()) {
    const char* name = c.at("mech").as_string() == "discrete_gaussian" ? "stddev" : "parameter";
    check(c,
          with(Json::object(), c,
               {{"mechanism", "mech"},
                {name, "parameter"},
                {"sensitivity", "sensitivity"},
                {"sampling_rate", "q"},
                {"steps", "T"}}),
          Neighbours::kAddRemove);
  }
  for (const Json& c : vectors("truncated").items()) {
    check(c,
          with(Json::object({{"sampling", "truncated_poisson"}}), c,
               {{"noise_multiplier", "sigma"},
                {"sampling_rate", "q"},
                {"population", "dataset_size"},
                {"batch_size", "truncated_batch_size"},
                {"steps", "T"}}),
          neighbours_of(c));
  }
}

TEST_CASE("what the accountant does not know is refused by its name", "[privacy]") {
  const auto message = [](const Json& json) {
    const auto read = release_from_json(json);
    return read.ok() ? std::string() : read.error().message;
  };
  CHECK(message(Json::object({{"mechanism", "exponential"}})).find("exponential") != std::string::npos);
  CHECK(message(Json::object({{"noise_multiplier", 1.0}, {"sampling", "shuffle"}})).find("shuffle") != std::string::npos);
  CHECK(message(Json::object({{"noise_multiplier", 1.0}, {"steps", 1}, {"sampling_rates", 0.1}})).find("sampling_rates") !=
        std::string::npos);
  CHECK(message(Json::object({{"noise_multiplier", 0.0}})).find("noise_multiplier") != std::string::npos);
  CHECK(message(Json::object({{"noise_multiplier", 1.0}, {"steps", 0}})).find("steps") != std::string::npos);
  CHECK(message(Json::object({{"mechanism", "laplace"}, {"noise_multiplier", 1.0}})).find("scale") != std::string::npos);
  CHECK(message(Json(3)) != "");
  for (const auto& [json, neighbours, word] :
       {std::tuple{Json::object({{"mechanism", "zcdp"}, {"rho", 0.1}, {"sampling_rate", 0.1}}), Neighbours::kAddRemove,
                   "zcdp"},
        {Json::object({{"noise_multiplier", 1.0}, {"sampling", "fixed_size"}, {"population", 100}, {"batch_size", 10}}),
         Neighbours::kAddRemove, "fixed_size"},
        {Json::object({{"noise_multiplier", 1.0}, {"sampling", "random_allocation"}, {"epoch_steps", 10}}),
         Neighbours::kReplace, "random_allocation"},
        {Json::object({{"mechanism", "laplace"},
                       {"scale", 1.0},
                       {"sampling", "truncated_poisson"},
                       {"sampling_rate", 0.1},
                       {"population", 100},
                       {"batch_size", 20}}),
         Neighbours::kAddRemove, "truncated_poisson"},
        {Json::object({{"mechanism", "approximate_dp"}, {"epsilon", 1.0}, {"delta", 1e-6}}), Neighbours::kAddRemove,
         "delta"}}) {
    const auto curve = rdp_curve(release(json), neighbours);
    REQUIRE_FALSE(curve.ok());
    CHECK(curve.error().code == ErrorCode::kUnsupported);
    CHECK(curve.error().message.find(word) != std::string::npos);
  }
}

TEST_CASE("an epoch of a random allocation is charged whole with its first step, and no step comes without it",
          "[privacy]") {
  DpEvent step;
  step.sampling = SamplingKind::kRandomAllocation;
  step.epoch_steps = 10;
  step.noise_stddev = 1000;
  step.sensitivity = 1000;
  step.dimension = 100;
  step.grid_step = 0x1p-10;
  const auto at = [&](std::uint64_t n) {
    DpEvent event = step;
    event.epoch_step = n;
    return event;
  };
  const std::vector<DpEvent> begun = {at(1), at(2), at(3)};
  const std::vector<DpEvent> two = {at(1), at(2), at(1), at(2)};
  CHECK(releases_of(begun)->front().count == 1);
  CHECK(releases_of(two)->front().count == 2);
  CHECK(releases_of(two)->size() == 1);
  const std::vector<DpEvent> beheaded = {at(1), at(2), at(2)};
  CHECK(releases_of(beheaded).error().code == ErrorCode::kRefused);
  CHECK(release_of(at(1)).error().code == ErrorCode::kRefused);
}

TEST_CASE("replaced units have a finite RDP however small the noise, never above that without sampling", "[privacy]") {
  const Sampling poisson{SamplingKind::kPoisson, 0.01};
  Sampling fixed;
  fixed.kind = SamplingKind::kFixedSize;
  fixed.population = 1000;
  fixed.batch_size = 10;
  for (const Sampling& sampling : {poisson, fixed}) {
    for (const double order : {1.5, 2.0, 16.0}) {
      double before = 0;
      for (const double sigma : {1.0, 0.1, 0.02, 0.006, 0.004, 0.001}) {
        const Release release{GaussianNoise{sigma}, sampling, std::nullopt, 1};
        const double rdp = (*rdp_curve(release, Neighbours::kReplace))->at(order, Direction::kRemove);
        INFO("sigma " << sigma << ", order " << order << ": " << rdp);
        CHECK(rdp > before);
        CHECK(rdp <= order * 4 / (2 * sigma * sigma) * (1 + 1e-9));
        before = rdp;
      }
    }
  }
}

TEST_CASE("a matrix mechanism's sensitivity follows from its strategy and from who may take part when", "[privacy]") {
  CHECK(correlated_sensitivity(MatrixMechanism{1, {1}, 100, 5, 20}) == Approx(std::sqrt(5.0)));  // independent steps
  CHECK(correlated_sensitivity(MatrixMechanism{1, {1, 0.5}, 100, 5, 20}) == Approx(std::sqrt(5 * 1.25)));  // bands apart
  CHECK(correlated_sensitivity(MatrixMechanism{1, {1, 0.5}, 100, 2, 1}) ==
        Approx(std::sqrt(1 + 2.25 + 0.25)));  // bands overlap
  CHECK(correlated_sensitivity(MatrixMechanism{1, {1, 1, 1, 1}, 4, 9, 1}) == Approx(std::sqrt(1.0 + 4 + 9 + 16)));
  CHECK(correlated_sensitivity(TreeAggregation{1, {1024}}) == Approx(std::sqrt(11.0)));
}
