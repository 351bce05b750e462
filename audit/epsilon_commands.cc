#include "audit/epsilon_commands.h"

#include <span>
#include <vector>

#include "privacy/calibrate.h"
#include "privacy/compose.h"
#include "privacy/mechanism.h"
#include "privacy/release_losses.h"
#include "privacy/release_rdp.h"

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

// A file's events in the accountant's vocabulary: a DpEvent names its unit, a release does not.
struct Released {
  std::vector<privacy::Release> releases;
  std::vector<privacy::DpEvent> events;
};

Result<void> add(Released& out, const Json& json) {
  if (json.find("unit") != nullptr) {
    SOTTO_TRY(const auto event, privacy::event_from_json(json));
    out.events.push_back(event);
    if (event.unit != out.events.front().unit) return refused("events of different units of privacy have no common epsilon");
    return {};
  }
  SOTTO_TRY(auto release, privacy::release_from_json(json));
  out.releases.push_back(std::move(release));
  return {};
}

Result<std::vector<privacy::Release>> read_releases(const std::string& path, const Json& list) {
  Released released;
  for (std::size_t i = 0; i < list.items().size(); ++i) {
    const auto added = add(released, list.items()[i]);
    if (!added.ok()) return Error{added.error().code, path + ": event " + std::to_string(i) + ": " + added.error().message};
  }
  SOTTO_TRY(auto releases, privacy::releases_of(released.events));
  for (auto& release : released.releases) privacy::add_release(releases, std::move(release));
  return releases;
}

// Both accountants' answers, and the smaller upper end of them first. An accountant that has none says why; when neither has
// one, that is the error.
Result<Json> composed_json(std::span<const privacy::Release> releases, privacy::Neighbours neighbours,
                           privacy::Delta delta) {
  const auto rdp = privacy::epsilon_of_releases(releases, neighbours, delta);
  const auto pld = privacy::bracket_of_releases(releases, neighbours, delta);
  if (!rdp.ok() && !pld.ok()) return rdp.error();
  Json by_rdp = rdp.ok() ? Json::object({{"epsilon_upper", rdp->epsilon.value()},
                                         {"order", rdp->order},
                                         {"direction", privacy::to_string(rdp->direction)}})
                         : Json::object({{"refused", rdp.error().message}});
  Json by_pld = pld.ok() ? Json::object({{"epsilon_lower", pld->epsilon.lower},
                                         {"epsilon_upper", pld->epsilon.upper},
                                         {"direction", privacy::to_string(pld->direction)}})
                         : Json::object({{"refused", pld.error().message}});
  const bool use_pld = pld.ok() && (!rdp.ok() || pld->epsilon.upper < rdp->epsilon.value());
  Json out = Json::object({{"epsilon_upper", use_pld ? pld->epsilon.upper : rdp->epsilon.value()}});
  if (pld.ok()) out.set("epsilon_lower", pld->epsilon.lower);
  out.set("delta", delta.value());
  out.set("accountant", use_pld ? "pld" : "rdp");
  out.set("direction", privacy::to_string(use_pld ? pld->direction : rdp->direction));
  out.set("rdp", std::move(by_rdp));
  out.set("pld", std::move(by_pld));
  return out;
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
  std::string neighbours_name = "add-remove";
  if (json.find("neighbours")) {
    const auto named = json.get_string("neighbours");
    if (!named.ok()) return invalid(path + ": " + named.error().message);
    neighbours_name = *named;
  }
  const auto neighbours = privacy::neighbours_from_string(neighbours_name);
  if (!neighbours.ok()) return Error{neighbours.error().code, path + ": " + neighbours.error().message};
  SOTTO_TRY(const auto releases, read_releases(path, *list));
  SOTTO_TRY(Json out, composed_json(releases, *neighbours, checked_delta));
  out.set("neighbours", neighbours_name);
  out.set("events", list->items().size());
  return out;
}

}  // namespace sotto::audit
