#include "audit/program/epsilon_commands.h"

#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "audit/program/epsilon_json.h"
#include "privacy/accounting/compose.h"
#include "privacy/accounting/mechanism.h"
#include "privacy/accounting/online.h"
#include "privacy/accounting/release_losses.h"
#include "privacy/accounting/release_rdp.h"

namespace sotto::audit {
namespace {

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
Result<Json> composed_json(std::span<const privacy::Release> releases, privacy::Neighbours neighbours, privacy::Delta delta,
                           bool curve) {
  const auto rdp = privacy::epsilon_of_releases(releases, neighbours, delta);
  auto pld = privacy::bracket_of_releases(releases, neighbours, delta);
  if (pld.ok() && !std::isfinite(pld->epsilon.upper)) pld = refused("the privacy losses are too large for its grids");
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
  if (curve) out.set("curve", curve_of(releases, neighbours, delta, !pld.ok()));
  out.set("rdp", std::move(by_rdp));
  out.set("pld", std::move(by_pld));
  return out;
}

// One event of the list as what it adds: nothing for a later step of a random allocation, whose first step stands for all.
Result<std::optional<privacy::Release>> release_in(const Json& json) {
  if (json.find("unit") == nullptr) {
    SOTTO_TRY(auto release, privacy::release_from_json(json));
    return std::optional(std::move(release));
  }
  SOTTO_TRY(auto event, privacy::event_from_json(json));
  if (event.epoch_step > 1) return std::optional<privacy::Release>();
  event.epoch_step = 0;
  SOTTO_TRY(auto release, privacy::release_of(event));
  return std::optional(std::move(release));
}

Result<Json> after_each(const Json& list, privacy::Neighbours neighbours, privacy::Delta delta) {
  privacy::OnlineProfile profile(delta, neighbours);
  privacy::Bracket epsilon;
  Json out = Json::array();
  for (std::size_t i = 0; i < list.items().size(); ++i) {
    SOTTO_TRY(const auto release, release_in(list.items()[i]));
    if (release) {
      const auto found = profile.append(*release);
      if (!found.ok()) return Error{found.error().code, "event " + std::to_string(i) + ": " + found.error().message};
      epsilon = found->epsilon;
    }
    out.push(Json::object({{"event", i}, {"epsilon_lower", epsilon.lower}, {"epsilon_upper", epsilon.upper}}));
  }
  return out;
}

}  // namespace

Result<Json> compose_file(const std::string& path, const std::optional<double>& delta, const ComposeExtras& with) {
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
  SOTTO_TRY(Json out, composed_json(releases, *neighbours, checked_delta, with.curve));
  out.set("neighbours", neighbours_name);
  out.set("events", list->items().size());
  if (with.each) {
    auto course = after_each(*list, *neighbours, checked_delta);
    if (!course.ok()) return Error{course.error().code, path + ": " + course.error().message};
    out.set("each", *std::move(course));
  }
  return out;
}

}  // namespace sotto::audit
