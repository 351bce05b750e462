#include "aggregation/server_step.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "aggregation/fedsvd.h"

namespace sotto::aggregation {
namespace {

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

bool all_finite(const AdapterState& state) {
  return all_finite(state.prompt) && std::all_of(state.factors.begin(), state.factors.end(),
                                                 [](const LoraFactors& f) { return all_finite(f.a) && all_finite(f.b); });
}

// parameters += learning_rate * the next parameters.size() entries of the update; what is left of it is returned.
std::span<const float> advance(std::vector<float>& parameters, std::span<const float> update, double learning_rate) {
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    parameters[k] = static_cast<float>(static_cast<double>(parameters[k]) + learning_rate * static_cast<double>(update[k]));
  }
  return update.subspan(parameters.size());
}

double relative_distance(const std::vector<float>& expected, const std::vector<float>& other) {
  double difference = 0, whole = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = static_cast<double>(expected[i]), d = static_cast<double>(other[i]) - e;
    difference += d * d;
    whole += e * e;
  }
  return difference == 0 ? 0 : std::sqrt(difference / whole);
}

std::string short_text(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", v);
  return text;
}

}  // namespace

ServerStep step_in_round(TrainedPart trained, RoundId round) {
  return {part_in_round(trained, round), 1.0, trained == TrainedPart::kB};
}

Result<AdapterState> server_step(const AdapterState& current, std::span<const float> mean_update, const ServerStep& step) {
  SOTTO_CHECK(std::isfinite(step.learning_rate) && step.learning_rate > 0);
  const std::size_t expected = current.layout.trained_size(step.trained);
  if (mean_update.size() != expected) {
    return invalid("the mean update has " + std::to_string(mean_update.size()) + " entries; the adapter's layout trains " +
                   std::to_string(expected));
  }
  if (!all_finite(mean_update)) return invalid("the mean update has an entry that is not finite: the round cannot be used");
  AdapterState next = current;
  std::span<const float> left = mean_update;
  for (LoraFactors& factors : next.factors) {
    if (step.trained != TrainedPart::kB) left = advance(factors.a, left, step.learning_rate);
    if (step.trained != TrainedPart::kA) left = advance(factors.b, left, step.learning_rate);
  }
  if (step.trained == TrainedPart::kPrompt) advance(next.prompt, left, step.learning_rate);
  if (!all_finite(next)) return invalid("the adapter overflows after the mean update: the round cannot be used");
  if (!step.fedsvd) return next;
  return refactor(next);
}

Result<void> adapters_agree(const AdapterState& expected, const AdapterState& published, double tolerance) {
  SOTTO_CHECK(tolerance > 0 && tolerance < 1);
  if (published.layout != expected.layout || published.factors.size() != expected.factors.size()) {
    return protocol_error("the published adapter has another layout than the run's");
  }
  for (std::size_t i = 0; i < expected.factors.size(); ++i) {
    if (published.factors[i].a.size() != expected.factors[i].a.size() ||
        published.factors[i].b.size() != expected.factors[i].b.size()) {
      return protocol_error("the published adapter's factors of '" + expected.layout.modules[i].path +
                            "' have the wrong size");
    }
  }
  if (published.prompt.size() != expected.prompt.size()) return protocol_error("the published prompt has the wrong size");
  if (!all_finite(published)) return protocol_error("the published adapter has entries that are not finite");
  const auto differs = [&](const std::string& measure, double value, double limit) {
    return protocol_error("the published adapter is not the step that follows from the round's sum: " + measure + " is " +
                          short_text(value) + ", at most " + short_text(limit) + " is rounding; do not train on it");
  };
  if (!expected.prompt.empty()) {
    const double prompt = relative_distance(expected.prompt, published.prompt);
    if (!(prompt <= tolerance)) return differs("relative distance of the prompts", prompt, tolerance);
    return {};
  }
  const double product = product_distance(expected, published);
  if (!(product <= tolerance)) return differs("relative distance of the products B A", product, tolerance);
  const double rows = row_space_distance(expected, published);
  if (!(rows <= tolerance)) return differs("distance of the row spaces of A", rows, tolerance);
  const double orthonormality = orthonormality_error(published);
  const double limit = orthonormality_error(expected) + tolerance;
  if (!(orthonormality <= limit)) return differs("deviation of A's rows from orthonormal", orthonormality, limit);
  return {};
}

}  // namespace sotto::aggregation
