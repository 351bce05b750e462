// Figures of several sites from what travels: against samplics and scipy (tests/vectors/evaluation), against the units
// themselves, and what no honest site sends.
#include "evaluation/federated.h"

#include <cmath>

#include "tests/support/catch.h"

namespace sotto::evaluation {
namespace {

const Json& vectors() {
  static const Json json = Json::read_file(SOTTO_VECTORS "/evaluation/federated.json").value();
  return json;
}

using Units = std::vector<std::vector<Ratio>>;  // [model][unit]

std::vector<Moments> strata_of(const Json& c) {
  std::vector<Moments> out;
  std::size_t begin = 0;
  for (const auto& size : c.at("sizes").items()) {
    Units units;
    for (const auto& model : c.at("numerators").items()) {
      units.emplace_back();
      for (std::size_t i = begin; i < begin + static_cast<std::size_t>(size.as_int()); ++i)
        units.back().push_back({model.at(i).as_double(), c.at("denominators").at(i).as_double()});
    }
    out.push_back(moments_of(units));
    begin += static_cast<std::size_t>(size.as_int());
  }
  return out;
}

Task task_of(std::size_t items) {
  Task task;
  task.name = "t";
  task.domain = "d";
  task.kind = TaskKind::kLoss;
  task.outside_the_guarantee = "made up for this test";
  task.items.resize(items);
  return task;
}

SiteSums sums_of(std::size_t items, double shift) {
  std::vector<Outcome> outcomes{{"base", "", {}, {}, {}}, {"tuned", std::string(64, 'a'), {}, {}, {}}};
  for (std::size_t i = 0; i < items; ++i) {
    outcomes[0].records.push_back({{"loss", {2 + 0.1 * static_cast<double>(i % 7), 4}}, {"acc", Ratio::of(i % 2 == 0)}});
    outcomes[1].records.push_back({{"loss", {shift + 0.1 * static_cast<double>(i % 5), 4}}, {"acc", Ratio::of(true)}});
  }
  auto out = site_sums(task_of(items), outcomes).value();
  out.task_sha256 = out.base_sha256 = std::string(64, '0');
  return out;
}

}  // namespace

TEST_CASE("Student's t has scipy's probabilities and quantiles", "[evaluation]") {
  for (const auto& c : vectors().at("student").items())
    CHECK(student_t_probability(c.at("t").as_double(), c.at("degrees").as_double()) ==
          Approx(c.at("probability").as_double()).margin(1e-10));
  for (const auto& c : vectors().at("quantile").items())
    CHECK(student_t(c.at("confidence").as_double(), c.at("degrees").as_double()) ==
          Approx(c.at("t").as_double()).epsilon(1e-8));
}

TEST_CASE("ratios over sites and their differences have samplics' linearised intervals", "[evaluation]") {
  for (const auto& c : vectors().at("cases").items()) {
    const auto strata = strata_of(c);
    const double confidence = c.at("confidence").as_double();
    for (std::size_t m = 0; m < 3; ++m) {
      const auto found = estimate(strata, m, confidence);
      CHECK(found.value == Approx(c.at("ratios").at(m).at("value").as_double()).epsilon(1e-12));
      CHECK(found.interval.low == Approx(c.at("ratios").at(m).at("low").as_double()).epsilon(1e-8));
      CHECK(found.interval.high == Approx(c.at("ratios").at(m).at("high").as_double()).epsilon(1e-8));
    }
    for (const auto& d : c.at("differences").items()) {
      const auto found = paired_difference(strata, static_cast<std::size_t>(d.at("from").as_int()),
                                           static_cast<std::size_t>(d.at("to").as_int()), confidence);
      CHECK(found.difference == Approx(d.at("difference").as_double()).margin(1e-12));
      CHECK(found.interval.low == Approx(d.at("low").as_double()).margin(1e-8));
      CHECK(found.interval.high == Approx(d.at("high").as_double()).margin(1e-8));
      const double units = static_cast<double>(c.at("denominators").items().size());
      CHECK(found.p == Approx(std::max(d.at("p").as_double(), std::exp2(1 - units))).epsilon(1e-6));
    }
  }
}

TEST_CASE("units that are all alike or all right are not taken for certainty", "[evaluation]") {
  const Units alike{std::vector<Ratio>(6, {1, 1}), std::vector<Ratio>(6, {0, 1})};
  const std::vector<Moments> strata{moments_of(alike), moments_of(alike)};
  const auto right = estimate(strata, 0, 0.95);
  CHECK(right.value == 1);
  CHECK(right.interval.low == wilson(12, 12, 0.95).low);
  const auto worse = paired_difference(strata, 0, 1, 0.95);
  CHECK(worse.difference == -1);
  CHECK(worse.p == std::exp2(-11));  // twelve units, all the same way
  CHECK(paired_difference(strata, 0, 0, 0.95).p == 1);
  const Units nothing{std::vector<Ratio>(3), std::vector<Ratio>(3)};
  CHECK(estimate(std::vector<Moments>{moments_of(nothing)}, 1, 0.95).value == 0);
}

TEST_CASE("sums travel as JSON and come back; the pool is weighted by counts and has each site beside it", "[evaluation]") {
  const auto north = sums_of(20, 1.5), south = sums_of(8, 1.0);
  const auto back = site_sums_from_json(Json::parse(to_json(north).dump(), "x").value()).value();
  CHECK(to_json(back).dump() == to_json(north).dump());
  const std::vector<NamedSums> sites{{"north", back}, {"south", south}};
  const Json report = pooled_json(sites).value();
  CHECK(report.at("units").as_int() == 28);
  const auto value = [](const Json& of, std::size_t model) {
    return of.at("models").at(model).at("metrics").at("loss").at("value").as_double();
  };
  CHECK(value(report, 1) == Approx((20 * value(report.at("sites").at(0), 1) + 8 * value(report.at("sites").at(1), 1)) / 28));
  CHECK(report.at("models").at(0).at("metrics").at("perplexity").at("value").as_double() ==
        Approx(std::exp(value(report, 0))));
  CHECK(pooled_text(report).find("site south") != std::string::npos);
  auto other = south;
  other.models[1].weights = std::string(64, 'b');
  CHECK(pooled_json(std::vector<NamedSums>{{"north", north}, {"south", other}})
            .error()
            .message.find("another adapter as 'tuned'") != std::string::npos);
  other = south;
  other.task_sha256 = std::string(64, '1');
  CHECK(pooled_json(std::vector<NamedSums>{{"north", north}, {"south", other}}).error().message.find("another task") !=
        std::string::npos);
}

TEST_CASE("private items have no figures for others, and one unit is too few", "[evaluation]") {
  auto task = task_of(3);
  const std::vector<Outcome> outcomes{{"base", "", {{{"acc", Ratio::of(true)}}}, {}, {}}};
  CHECK(site_sums(task_of(1), outcomes).error().message.find("at least two") != std::string::npos);
  task.outside_the_guarantee.clear();
  CHECK(site_sums(task, {}).error().code == ErrorCode::kUnsupported);
}

TEST_CASE("sums that no units have are refused", "[evaluation]") {
  const std::string good = to_json(sums_of(5, 1)).dump();
  REQUIRE(site_sums_from_json(Json::parse(good, "x").value()).ok());
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    REQUIRE(at != text.npos);
    text.replace(at, from.size(), to);
    return site_sums_from_json(Json::parse(text, "x").value());
  };
  CHECK_FALSE(changed("site-evaluation/1", "site-evaluation/9").ok());
  CHECK_FALSE(changed("\"units\":5", "\"units\":1").ok());
  CHECK_FALSE(changed("\"units\":5", "\"units\":6").ok());
  CHECK_FALSE(changed("\"units\":5", "\"units\":2").ok());  // then the sums are too long for their squares
  CHECK_FALSE(changed("\"tuned\"", "\"other\"").ok());
  CHECK_FALSE(changed("\"tuned\"", "\"base\"").ok());
  CHECK_FALSE(changed("made up for this test", "").ok());
  CHECK_FALSE(changed("\"sums\":[3.0", "\"sums\":[\"nan\"").ok());
  CHECK_FALSE(changed("\"sums\":[3.0,5.0", "\"sums\":[3.0,-5.0").ok());
  CHECK_FALSE(changed("\"sums\":[3.0,", "\"sums\":[").ok());
  CHECK_FALSE(changed("\"confidence\":0.95", "\"confidence\":1.5").ok());
}

}  // namespace sotto::evaluation
