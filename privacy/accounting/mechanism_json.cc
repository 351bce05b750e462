// Reading releases as docs/accountant.md writes them. Everything that the page does not list is refused by its name.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"
#include "privacy/accounting/mechanism.h"

namespace sotto::privacy {
namespace {

constexpr double kLargestCount = 0x1p53;  // the last whole number up to which doubles hold every one

// Checked reads of one object's members, which remember what was asked for: the rest is refused.
class Members {
 public:
  explicit Members(const Json& json) : json_(json) {}

  bool has(std::string_view name) const { return json_.find(name) != nullptr; }

  // lowest <= value <= highest
  Result<double> number(std::string_view name, double lowest, double highest) {
    used_.emplace_back(name);
    SOTTO_TRY(const double value, json_.get_double(name));
    if (!(value >= lowest && value <= highest)) return outside(name, value, lowest, highest);
    return value;
  }
  Result<double> number_or(std::string_view name, double otherwise, double lowest, double highest) {
    if (!has(name)) return otherwise;
    return number(name, lowest, highest);
  }
  Result<std::uint64_t> count(std::string_view name, double lowest = 1) {
    SOTTO_TRY(const double value, number(name, lowest, kLargestCount));
    if (value != std::floor(value)) return invalid("member '" + std::string(name) + "' must be a whole number");
    return static_cast<std::uint64_t>(value);
  }
  Result<std::uint64_t> count_or(std::string_view name, std::uint64_t otherwise) {
    if (!has(name)) return otherwise;
    return count(name);
  }
  // At least one number, each in range; a number alone is a list of one.
  Result<std::vector<double>> numbers(std::string_view name, double lowest, double highest) {
    used_.emplace_back(name);
    const Json* at = json_.find(name);
    if (at != nullptr && at->is_number()) {
      SOTTO_TRY(const double value, number(name, lowest, highest));
      return std::vector<double>{value};
    }
    SOTTO_TRY(const Json::Array* items, json_.get_array(name));
    std::vector<double> out;
    for (const Json& item : *items) {
      if (!item.is_number()) return invalid("member '" + std::string(name) + "' must hold numbers");
      out.push_back(item.as_double());
      if (!(out.back() >= lowest && out.back() <= highest)) return outside(name, out.back(), lowest, highest);
    }
    if (out.empty()) return invalid("member '" + std::string(name) + "' is an empty list; give at least one number");
    return out;
  }
  Result<std::string> text(std::string_view name) {
    used_.emplace_back(name);
    return json_.get_string(name);
  }
  const Json* any(std::string_view name) {
    used_.emplace_back(name);
    return json_.find(name);
  }

  Result<void> nothing_else(std::string_view what) const {
    for (const auto& [name, value] : json_.members()) {
      if (std::find(used_.begin(), used_.end(), name) == used_.end())
        return unsupported("member '" + name + "' is not known for " + std::string(what));
    }
    return {};
  }

 private:
  static Error outside(std::string_view name, double value, double lowest, double highest) {
    return invalid("member '" + std::string(name) + "' is " + Json(value).dump() + "; give a number from " +
                   Json(lowest).dump() + " to " + Json(highest).dump());
  }
  const Json& json_;
  std::vector<std::string> used_;
};

Result<double> sigma(Members& in) { return in.number("noise_multiplier", 1e-3, 1e6); }

Result<Mechanism> read_gaussian_mixture(Members& in) {
  GaussianMixtureNoise out;
  SOTTO_TRY(out.noise_multiplier, sigma(in));
  SOTTO_TRY(out.sensitivities, in.numbers("sensitivities", 0, 1e6));
  SOTTO_TRY(out.probabilities, in.numbers("probabilities", 0, 1));
  double sum = 0;
  for (const double p : out.probabilities) sum += p;
  if (out.probabilities.size() != out.sensitivities.size() || !(std::abs(sum - 1) <= 1e-9))
    return invalid("'probabilities' must be as many as 'sensitivities' and sum to 1");
  return Mechanism(std::move(out));
}

Result<Mechanism> read_discrete(Members& in, const std::string& name) {
  if (name == "discrete_laplace") {
    SOTTO_TRY(const double parameter, in.number("parameter", 1e-4, 50));
    return Mechanism(DiscreteLaplaceNoise{parameter});
  }
  SOTTO_TRY(const std::uint64_t dimension, in.count_or("dimension", 1));
  if (name == "discrete_gaussian") {
    SOTTO_TRY(const double stddev, in.number("stddev", 0.05, 1e15));
    SOTTO_TRY(const std::uint64_t shares, in.count_or("shares", 1));
    return Mechanism(DiscreteGaussianNoise{stddev, dimension, shares});
  }
  SOTTO_TRY(const double variance, in.number("variance", 0.01, 1e30));
  SOTTO_TRY(const double l1, in.number_or("l1_distance", 0, 0, 1e15));
  return Mechanism(SkellamNoise{variance, dimension, l1});
}

Result<Mechanism> read_tree(Members& in) {
  TreeAggregation out;
  SOTTO_TRY(out.noise_multiplier, sigma(in));
  SOTTO_TRY(const auto counts, in.numbers("step_counts", 1, kLargestCount));
  for (const double count : counts) {
    if (count != std::floor(count)) return invalid("'step_counts' must hold whole numbers");
    out.step_counts.push_back(static_cast<std::uint64_t>(count));
  }
  return Mechanism(std::move(out));
}

Result<Mechanism> read_matrix(Members& in) {
  MatrixMechanism out;
  SOTTO_TRY(out.noise_multiplier, sigma(in));
  SOTTO_TRY(out.strategy, in.numbers("strategy", 0, 1e6));
  if (!std::is_sorted(out.strategy.rbegin(), out.strategy.rend()) || out.strategy.front() == 0)
    return invalid("'strategy' must be the coefficients c_0 >= c_1 >= .. of a Toeplitz matrix, c_0 above 0");
  SOTTO_TRY(out.steps, in.count("matrix_steps"));
  SOTTO_TRY(out.participations, in.count_or("participations", 1));
  SOTTO_TRY(out.min_separation, in.count_or("min_separation", 1));
  constexpr std::uint64_t kMostSteps = 10'000'000;
  constexpr double kMostWork = 1e9;
  if (out.steps > kMostSteps) return invalid("'matrix_steps' must be at most 10000000");
  const double columns = std::ceil(static_cast<double>(out.steps) / static_cast<double>(out.min_separation));
  if (columns * static_cast<double>(out.strategy.size()) > kMostWork)
    return invalid("'strategy' is too long for so many participations; give at most 1e9 coefficients times columns");
  return Mechanism(std::move(out));
}

Result<std::vector<Release>> read_run(const Json* run, const char* member) {
  if (run == nullptr || !run->is_array() || run->items().empty())
    return invalid("member '" + std::string(member) + "' must be the list of what one run releases");
  std::vector<Release> out;
  for (const Json& item : run->items()) {
    SOTTO_TRY(Release release, release_from_json(item));
    if (std::holds_alternative<RepeatAndSelect>(release.mechanism))
      return unsupported("a run of 'repeat_and_select' cannot hold another in this version");
    out.push_back(std::move(release));
  }
  return out;
}

Result<Mechanism> read_repeat_and_select(Members& in) {
  RepeatAndSelect out;
  SOTTO_TRY(out.mean, in.number("mean", 1, 1e9));
  const Json* shape = in.any("shape");
  if (shape == nullptr) return invalid("member 'shape' is missing; give \"poisson\", or a number of 0 or more");
  const bool poisson = shape->is_string() && (shape->as_string() == "poisson" || shape->as_string() == "inf");
  if (!poisson) {
    SOTTO_TRY(out.shape, in.number("shape", 0, 1e6));
  }
  SOTTO_TRY(out.run, read_run(in.any("run"), "run"));
  const Json* others = in.any("or_runs");
  if (others != nullptr && !others->is_array())
    return invalid("member 'or_runs' must be a list of lists of what one run may release instead");
  if (others != nullptr) {
    if (others->items().size() >= kMostChoices) return invalid("member 'or_runs' has more than 63 entries");
    for (const Json& other : others->items()) {
      SOTTO_TRY(out.or_runs.emplace_back(), read_run(&other, "or_runs"));
    }
  }
  return Mechanism(std::move(out));
}

Result<Mechanism> read_mechanism(const std::string& name, Members& in) {
  if (name == "gaussian") {
    SOTTO_TRY(const double s, sigma(in));
    return Mechanism(GaussianNoise{s});
  }
  if (name == "gaussian_mixture") return read_gaussian_mixture(in);
  if (name == "laplace") {
    SOTTO_TRY(const double scale, in.number("scale", 1e-3, 1e6));
    return Mechanism(LaplaceNoise{scale});
  }
  if (name == "discrete_gaussian" || name == "discrete_laplace" || name == "skellam") return read_discrete(in, name);
  if (name == "randomized_response") {
    SOTTO_TRY(const double noise, in.number("noise_parameter", 1e-12, 1));
    SOTTO_TRY(const std::uint64_t buckets, in.count("buckets", 2));
    return Mechanism(RandomizedResponse{noise, buckets});
  }
  if (name == "zcdp") {
    SOTTO_TRY(const double rho, in.number("rho", 0, 1e6));
    SOTTO_TRY(const double xi, in.number_or("xi", 0, 0, 1e6));
    return Mechanism(ZeroConcentrated{rho, xi});
  }
  if (name == "approximate_dp") {
    SOTTO_TRY(const double epsilon, in.number("epsilon", 0, 600));
    SOTTO_TRY(const double delta, in.number_or("delta", 0, 0, 1 - 1e-9));
    return Mechanism(ApproximateDp{epsilon, delta});
  }
  if (name == "tree") return read_tree(in);
  if (name == "matrix") return read_matrix(in);
  if (name == "repeat_and_select") return read_repeat_and_select(in);
  return unsupported("mechanism '" + name + "' is not known to this version; docs/accountant.md lists those that are");
}

Result<Sampling> read_sampling(const std::string& name, Members& in) {
  Sampling out;
  if (name == "none") return out;
  if (name == "poisson" || name == "truncated_poisson") {
    out.kind = name == "poisson" ? SamplingKind::kPoisson : SamplingKind::kTruncatedPoisson;
    SOTTO_TRY(out.rate, in.number("sampling_rate", 0x1p-64, 1));
  }
  if (name == "fixed_size") out.kind = SamplingKind::kFixedSize;
  if (name == "fixed_size" || name == "truncated_poisson") {
    SOTTO_TRY(out.population, in.count("population"));
    SOTTO_TRY(out.batch_size, in.count("batch_size"));
    if (out.batch_size > out.population) return invalid("'batch_size' is above 'population'");
    constexpr std::uint64_t kMostUnits = 1'000'000'000;
    if (out.population > kMostUnits) return invalid("'population' must be at most 1000000000");
  }
  if (name == "random_allocation") {
    out.kind = SamplingKind::kRandomAllocation;
    SOTTO_TRY(out.epoch_steps, in.count("epoch_steps"));
    SOTTO_TRY(out.epoch_selected, in.count_or("epoch_selected", 1));
    if (out.epoch_selected > out.epoch_steps) return invalid("'epoch_selected' is above 'epoch_steps'");
  }
  if (!out.kind) {
    return unsupported("sampling '" + name +
                       "' is not known to this version; use none, poisson, truncated_poisson, fixed_size or "
                       "random_allocation");
  }
  return out;
}

}  // namespace

std::string_view name_of(const Mechanism& mechanism) {
  static constexpr std::array<std::string_view, std::variant_size_v<Mechanism>> kNames = {
      "gaussian",         "gaussian_mixture",    "laplace", "discrete_gaussian", "skellam",
      "discrete_laplace", "randomized_response", "zcdp",    "approximate_dp",    "tree",
      "matrix",           "repeat_and_select"};
  return kNames[mechanism.index()];
}

Result<Release> release_from_json(const Json& json) {
  if (!json.is_object()) return invalid("a release is a JSON object with a member 'mechanism'");
  Members in(json);
  std::string mechanism = "gaussian";
  if (in.has("mechanism")) {
    SOTTO_TRY(mechanism, in.text("mechanism"));
  }
  std::string sampling = in.has("sampling_rate") ? "poisson" : "none";
  if (in.has("sampling")) {
    SOTTO_TRY(sampling, in.text("sampling"));
  }
  Release out;
  SOTTO_TRY(out.mechanism, read_mechanism(mechanism, in));
  SOTTO_TRY(out.sampling, read_sampling(sampling, in));
  if (in.has("sensitivity")) {
    SOTTO_TRY(out.sensitivity, in.number("sensitivity", 1e-9, 1e12));
  }
  const bool epochs = out.sampling.kind == SamplingKind::kRandomAllocation;
  const bool once = std::holds_alternative<RepeatAndSelect>(out.mechanism);  // a search is one, unless it says otherwise
  SOTTO_TRY(const std::uint64_t count, once ? in.count_or("steps", 1) : in.count(epochs ? "epochs" : "steps"));
  out.count = static_cast<double>(count);
  SOTTO_TRY_VOID(in.nothing_else("mechanism '" + mechanism + "' with sampling '" + sampling + "'"));
  return out;
}

}  // namespace sotto::privacy
