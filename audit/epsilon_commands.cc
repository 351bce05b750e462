#include "audit/epsilon_commands.h"

#include <vector>

#include "privacy/calibrate.h"
#include "privacy/compose.h"

namespace sotto::audit {
namespace {

Result<void> check_accountant(const std::string& name) {
  if (name == "rdp") return {};
  if (name == "pld") return unsupported("accountant 'pld' is not in this version; use --accountant rdp");
  return invalid("accountant '" + name + "' is not known; use rdp");
}

Result<void> check_neighbours(const std::string& name) {
  if (name == "add-remove") return {};
  if (name == "replace") return unsupported("neighbours 'replace' is not in this version; use --neighbours add-remove");
  return invalid("neighbours '" + name + "' is not known; use add-remove");
}

Result<std::uint64_t> step_count(std::int64_t steps) {
  if (steps < 1) return invalid("steps = " + std::to_string(steps) + ", but it must be at least 1");
  return static_cast<std::uint64_t>(steps);
}

Json bound_json(const privacy::EpsilonBound& bound, double delta) {
  return Json::object({{"epsilon_upper", bound.epsilon.value()},
                       {"delta", delta},
                       {"accountant", "rdp"},
                       {"direction", privacy::to_string(bound.direction)}});
}

// What a file's events amount to for the accountant.
struct Released {
  std::vector<privacy::GaussianSteps> steps;
  double max_divergence = 0;
  std::optional<privacy::Unit> unit;
};

Result<void> add_simple(Released& out, const Json& json) {
  for (const auto& [name, value] : json.members()) {
    if (name != "noise_multiplier" && name != "sampling_rate" && name != "steps") {
      return unsupported("member '" + name + "' is not known; an event has noise_multiplier, sampling_rate and steps");
    }
  }
  SOTTO_TRY(const double sigma, json.get_double("noise_multiplier"));
  SOTTO_TRY(const double rate, json.get_double("sampling_rate"));
  SOTTO_TRY(const std::int64_t steps, json.get_int("steps"));
  SOTTO_TRY(const auto checked_sigma, privacy::NoiseMultiplier::make(sigma));
  SOTTO_TRY(const auto checked_rate, privacy::SamplingRate::make(rate));
  SOTTO_TRY(const std::uint64_t count, step_count(steps));
  out.steps.push_back({checked_sigma, checked_rate, count});
  return {};
}

Result<void> add_event(Released& out, const Json& json) {
  SOTTO_TRY(const auto event, privacy::event_from_json(json));
  if (out.unit && *out.unit != event.unit) return refused("events of different units of privacy have no common epsilon");
  out.unit = event.unit;
  if (event.sampling != privacy::SamplingKind::kPoisson) {
    return unsupported("the accountant has no epsilon for sampling '" + std::string(to_string(event.sampling)) +
                       "' in this version; use poisson");
  }
  SOTTO_TRY(const auto sigma, privacy::effective_noise_multiplier(event));
  out.steps.push_back({sigma, event.sampling_rate, event.count});
  out.max_divergence += static_cast<double>(event.count) * privacy::certificate_log_ratio(event);
  return {};
}

}  // namespace

Result<Json> answer(const EpsilonQuery& query) {
  SOTTO_TRY_VOID(check_accountant(query.accountant));
  SOTTO_TRY_VOID(check_neighbours(query.neighbours));
  SOTTO_TRY(const auto sigma, privacy::NoiseMultiplier::make(query.noise_multiplier));
  SOTTO_TRY(const auto rate, privacy::SamplingRate::make(query.sampling_rate));
  SOTTO_TRY(const auto delta, privacy::Delta::make(query.delta));
  SOTTO_TRY(const std::uint64_t steps, step_count(query.steps));
  const std::vector<privacy::GaussianSteps> all = {{sigma, rate, steps}};
  SOTTO_TRY(const auto bound, privacy::epsilon_of_steps(all, delta));
  return bound_json(bound, query.delta);
}

Result<Json> answer(const CalibrateQuery& query) {
  SOTTO_TRY_VOID(check_accountant(query.accountant));
  SOTTO_TRY(const auto epsilon, privacy::Epsilon::make(query.epsilon));
  SOTTO_TRY(const auto rate, privacy::SamplingRate::make(query.sampling_rate));
  SOTTO_TRY(const auto delta, privacy::Delta::make(query.delta));
  SOTTO_TRY(const std::uint64_t steps, step_count(query.steps));
  SOTTO_TRY(const auto sigma, privacy::calibrate_noise(epsilon, delta, rate, steps));
  const std::vector<privacy::GaussianSteps> all = {{sigma, rate, steps}};
  SOTTO_TRY(const auto bound, privacy::epsilon_of_steps(all, delta));
  return Json::object(
      {{"noise_multiplier", sigma.value()}, {"epsilon_upper", bound.epsilon.value()}, {"accountant", "rdp"}});
}

Result<Json> compose_file(const std::string& path, const std::optional<double>& delta) {
  SOTTO_TRY(const Json json, Json::read_file(path));
  const Json* list = json.is_array() ? &json : json.find("events");
  if (!list || !list->is_array()) return invalid(path + ": neither a list of events nor an object with the list 'events'");
  double at = 1e-5;
  if (json.find("delta")) {
    const auto named = json.get_double("delta");
    if (!named.ok()) return invalid(path + ": " + named.error().message);
    at = *named;
  }
  if (delta) at = *delta;
  SOTTO_TRY(const auto checked_delta, privacy::Delta::make(at));
  Released released;
  for (std::size_t i = 0; i < list->items().size(); ++i) {
    const Json& item = list->items()[i];
    const auto added = item.find("noise_multiplier") ? add_simple(released, item) : add_event(released, item);
    if (!added.ok()) return Error{added.error().code, path + ": event " + std::to_string(i) + ": " + added.error().message};
  }
  SOTTO_TRY(const auto bound, privacy::epsilon_of_steps(released.steps, checked_delta, released.max_divergence));
  Json out = bound_json(bound, at);
  out.set("events", list->items().size());
  return out;
}

}  // namespace sotto::audit
