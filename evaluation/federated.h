// What one site publishes of a task on data outside the guarantee, and the pooled figures of several sites. No record leaves
// a site. For each metric the sums over units are sent, and the sums of products of any two of them; value, interval and
// paired difference follow from these exactly as from the units. docs/evaluation.md, "Over several sites". Pure functions.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "evaluation/task_report.h"

namespace sotto::evaluation {

// Of vectors with two coordinates a model, numerator and denominator of one unit's ratio.
struct Moments {
  std::uint64_t units = 0;
  std::vector<double> sums;      // [2 models]
  std::vector<double> products;  // sum of x_i x_j for i <= j, row by row: [models (2 models + 1)]
  double product(std::size_t i, std::size_t j) const;
};
// units[model][unit]; all models have the same units.
Moments moments_of(std::span<const std::vector<Ratio>> units);

// A ratio of sums over several strata (sites), each sampled by itself. Interval: Student's t with (units - strata) degrees
// of freedom and the variance of the linearised ratio (Cochran, Sampling Techniques, 3rd ed., 6.11); Wilson's where every
// unit is right or wrong. In each stratum at least two units.
struct Estimate {
  double value = 0;
  Interval interval;
};
Estimate estimate(std::span<const Moments> strata, std::size_t model, double confidence);
// Value of `to` minus value of `from`, on the same units. p: two-sided t test, never below what swapping the models within
// every unit could show (2^(1 - units)).
Paired paired_difference(std::span<const Moments> strata, std::size_t from, std::size_t to, double confidence);

struct SiteModel {
  std::string name;     // base, tuned or local
  std::string weights;  // in hexadecimal; empty: the base
};

struct SiteSums {
  std::string task, domain, kind, declaration;  // declaration: why the data are outside the guarantee
  std::string task_sha256, base_sha256;
  double confidence = 0.95;
  std::int64_t items = 0;
  std::uint64_t units = 0;
  std::vector<SiteModel> models;
  std::map<std::string, Moments> metrics;
};
// Refused: a task whose data are not declared, fewer than two units.
Result<SiteSums> site_sums(const Task& task, const std::vector<Outcome>& outcomes);
Json to_json(const SiteSums& sums);
// Of anybody's bytes: every number is checked for what sums of ratios can be.
Result<SiteSums> site_sums_from_json(const Json& json);

struct NamedSums {
  std::string site;
  SiteSums sums;
};
// The report of task_json (task_report.h) for all sites as one, with "sites": the same of each. Refused, by the site's name:
// another task, base or tuned model, or other models and metrics, than the first site's.
Result<Json> pooled_json(std::span<const NamedSums> sites);
std::string pooled_text(const Json& report);

}  // namespace sotto::evaluation
