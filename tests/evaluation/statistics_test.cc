// Intervals, tests and agreement against scipy, statsmodels, scikit-learn and krippendorff (tests/vectors/evaluation).
#include "evaluation/statistics.h"

#include <cmath>

#include "base/json.h"
#include "evaluation/agreement.h"
#include "tests/support/catch.h"

namespace sotto::evaluation {
namespace {

const Json& vectors() {
  static const Json json = Json::read_file(SOTTO_VECTORS "/evaluation/metrics.json").value();
  return json;
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> out;
  for (const auto& item : list.items()) out.push_back(item.as_double());
  return out;
}

std::vector<std::uint32_t> categories(const Json& list) {
  std::vector<std::uint32_t> out;
  for (const auto& item : list.items()) out.push_back(static_cast<std::uint32_t>(item.as_int()));
  return out;
}

std::vector<Ratio> means(const Json& list) {
  std::vector<Ratio> out;
  for (const double x : numbers(list)) out.push_back(Ratio::of(x));
  return out;
}

}  // namespace

TEST_CASE("Cohen's, Fleiss' and Krippendorff's agreement equal the reference values", "[evaluation]") {
  for (const auto& c : vectors().at("cohen").items()) {
    const auto a = categories(c.at("a")), b = categories(c.at("b"));
    const auto k = static_cast<std::uint32_t>(c.at("categories").as_int());
    CHECK(cohen_kappa(a, b, k) == Approx(c.at("none").as_double()).margin(1e-12));
    CHECK(cohen_kappa(a, b, k, KappaWeights::kLinear) == Approx(c.at("linear").as_double()).margin(1e-12));
    CHECK(cohen_kappa(a, b, k, KappaWeights::kQuadratic) == Approx(c.at("quadratic").as_double()).margin(1e-12));
  }
  for (const auto& c : vectors().at("fleiss").items()) {
    std::vector<std::vector<std::uint32_t>> counts;
    for (const auto& row : c.at("counts").items()) counts.push_back(categories(row));
    CHECK(fleiss_kappa(counts) == Approx(c.at("kappa").as_double()).margin(1e-12));
  }
  for (const auto& c : vectors().at("krippendorff").items()) {
    std::vector<std::vector<std::optional<double>>> ratings;
    for (const auto& row : c.at("ratings").items()) {
      ratings.emplace_back();
      for (const auto& x : row.items()) ratings.back().push_back(x.is_null() ? std::nullopt : std::optional(x.as_double()));
    }
    CHECK(krippendorff_alpha(ratings, Scale::kNominal) == Approx(c.at("nominal").as_double()).margin(1e-12));
    CHECK(krippendorff_alpha(ratings, Scale::kOrdinal) == Approx(c.at("ordinal").as_double()).margin(1e-12));
    CHECK(krippendorff_alpha(ratings, Scale::kInterval) == Approx(c.at("interval").as_double()).margin(1e-12));
  }
}

TEST_CASE("agreement that cannot be told from chance is NaN", "[evaluation]") {
  using Counts = std::vector<std::uint32_t>;
  CHECK(std::isnan(cohen_kappa(Counts{1, 1}, Counts{1, 1}, 2)));
  CHECK(std::isnan(cohen_kappa(Counts{}, Counts{}, 2)));
  CHECK(std::isnan(fleiss_kappa({})));
  CHECK(std::isnan(fleiss_kappa({{3, 0}, {3, 0}})));
  CHECK(std::isnan(fleiss_kappa({{1, 0}, {0, 1}})));  // one rater
  CHECK(std::isnan(fleiss_kappa({{2, 1}, {1, 1}})));  // not the same number
  CHECK(std::isnan(krippendorff_alpha({}, Scale::kNominal)));
  CHECK(std::isnan(krippendorff_alpha({{1.0, std::nullopt}, {std::nullopt, 2.0}}, Scale::kInterval)));
  CHECK(krippendorff_alpha({{1.0, 2.0}, {1.0, 2.0}}, Scale::kOrdinal) == 1);
}

TEST_CASE("Wilson's interval, Holm's correction and quantiles equal statsmodels' and NumPy's", "[evaluation]") {
  for (const auto& c : vectors().at("wilson").items()) {
    const auto interval = wilson(c.at("successes").as_double(), c.at("n").as_double(), c.at("confidence").as_double());
    CHECK(interval.low == Approx(c.at("interval").at(0).as_double()).margin(1e-9));
    CHECK(interval.high == Approx(c.at("interval").at(1).as_double()).margin(1e-9));
  }
  CHECK(wilson(0, 0, 0.95).high == 1);
  for (const auto& c : vectors().at("holm").items()) {
    const auto adjusted = holm(numbers(c.at("p")));
    const auto expected = numbers(c.at("adjusted"));
    REQUIRE(adjusted.size() == expected.size());
    for (std::size_t i = 0; i < adjusted.size(); ++i) CHECK(adjusted[i] == Approx(expected[i]).margin(1e-12));
  }
  for (const auto& c : vectors().at("quantile").items())
    CHECK(quantile(numbers(c.at("values")), c.at("at").as_double()) == Approx(c.at("quantile").as_double()).margin(1e-12));
  CHECK(std::isnan(quantile({}, 0.5)));
  CHECK(normal_z(0.95) == Approx(1.959963984540054).epsilon(1e-12));
}

TEST_CASE("bootstrap intervals of a ratio of sums are scipy's but for the resampling, and the same every time",
          "[evaluation]") {
  for (const auto& c : vectors().at("bootstrap").items()) {
    const auto above = numbers(c.at("numerators")), below = numbers(c.at("denominators"));
    std::vector<Ratio> units;
    for (std::size_t i = 0; i < above.size(); ++i) units.push_back({above[i], below[i]});
    const auto interval = bootstrap(units, {20000, 0.95, 1});
    CHECK(interval.low == Approx(c.at("interval").at(0).as_double()).margin(0.02));
    CHECK(interval.high == Approx(c.at("interval").at(1).as_double()).margin(0.02));
    CHECK(bootstrap(units, {500, 0.95, 1}).low == bootstrap(units, {500, 0.95, 1}).low);
    CHECK(bootstrap(units, {500, 0.95, 1}).low != bootstrap(units, {500, 0.95, 2}).low);
    CHECK(bootstrap(units, {500, 0.5, 1}).low > bootstrap(units, {500, 0.99, 1}).low);
  }
  CHECK(bootstrap({}, {}).low == 0);
  CHECK(bootstrap(std::vector<Ratio>{{1, 2}}, {}).high == 0.5);
}

TEST_CASE("the paired test equals scipy's permutation test, exactly where all swaps can be tried", "[evaluation]") {
  for (const auto& c : vectors().at("paired").items()) {
    const auto a = means(c.at("a")), b = means(c.at("b"));
    const auto found = compare(a, b, {a.size() <= 10 ? 2048u : 20000u, 0.95, 1});
    CHECK(found.difference == Approx(c.at("difference").as_double()).margin(1e-12));
    CHECK(found.p == Approx(c.at("p").as_double()).margin(a.size() <= 10 ? 1e-12 : 0.02));
    CHECK(found.interval.low <= found.difference);
    CHECK(found.interval.high >= found.difference);
  }
  const std::vector<Ratio> same{{1, 2}, {0, 2}, {2, 2}};
  CHECK(compare(same, same, {}).p == 1);
  CHECK(compare({}, {}, {}).p == 1);
}

TEST_CASE("records of one patient are one unit; records without a key stand alone", "[evaluation]") {
  const std::vector<Ratio> records{{1, 1}, {0, 1}, {1, 1}, {1, 1}, {0, 1}};
  const std::vector<std::string> keys{"p", "", "p", "q", ""};
  const auto units = by_unit(records, keys);
  CHECK(units == std::vector<Ratio>{{2, 2}, {0, 1}, {1, 1}, {0, 1}});
  CHECK(sum(units) == sum(records));
}

TEST_CASE("where all units are right or all are wrong the interval is Wilson's and has a width", "[evaluation]") {
  const Resampling how{2000, 0.95, 1};
  const std::vector<Ratio> right(3, Ratio::of(true)), wrong(3, Ratio::of(false));
  const auto all = interval_of(right, how), none = interval_of(wrong, how);
  CHECK(all.low == Approx(0.4385).margin(1e-4));  // statsmodels: proportion_confint(3, 3, method="wilson")
  CHECK(all.high == Approx(1));
  CHECK(none.low == Approx(0).margin(1e-12));
  CHECK(none.high == Approx(0.5615).margin(1e-4));
  const std::vector<Ratio> patients{{2, 2}, {5, 5}, {1, 1}};  // a unit of several records counts once
  CHECK(interval_of(patients, how).low == Approx(all.low));
  const std::vector<Ratio> mixed{{1, 1}, {0, 1}, {1, 1}};
  CHECK(interval_of(mixed, how).low == bootstrap(mixed, how).low);
  const std::vector<Ratio> losses{{3.5, 2}, {7, 4}};
  CHECK(interval_of(losses, how).high == bootstrap(losses, how).high);
}

}  // namespace sotto::evaluation
