#include "audit/program/epsilon_json.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "privacy/accounting/release_rdp.h"

namespace sotto::audit {
namespace {

constexpr double kDeltas[] = {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10};

Json interval(const privacy::Bracket& bracket) { return Json::object({{"lower", bracket.lower}, {"upper", bracket.upper}}); }

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", std::ceil(share * 1e4) / 100);
  return std::string(text) + " %";
}

}  // namespace

Json curve_json(const privacy::PrivacyProfile& profile) {
  Json out = Json::array();
  for (const double delta : kDeltas) {
    const privacy::Bracket e = profile.epsilon(privacy::Delta(delta)).bracket;
    out.push(Json::object({{"delta", delta}, {"epsilon_lower", e.lower}, {"epsilon_upper", e.upper}}));
  }
  return out;
}

Json curve_by_rdp(std::span<const privacy::Release> releases, privacy::Neighbours neighbours) {
  Json out = Json::array();
  for (const double delta : kDeltas) {
    const auto bound = privacy::epsilon_of_releases(releases, neighbours, privacy::Delta(delta));
    if (bound.ok()) out.push(Json::object({{"delta", delta}, {"epsilon_upper", bound->epsilon.value()}}));
  }
  return out;
}

Json curve_of(std::span<const privacy::Release> releases, privacy::Neighbours neighbours, privacy::Delta delta,
              bool by_rdp) {
  if (by_rdp) return curve_by_rdp(releases, neighbours);
  const auto profile = privacy::PrivacyProfile::of(releases, neighbours, delta);
  const bool known = profile.ok() && std::isfinite(profile->epsilon(delta).bracket.upper);
  return known ? curve_json(*profile) : curve_by_rdp(releases, neighbours);
}

Json with_rdp(const Json& curve, std::span<const privacy::Release> releases, privacy::Neighbours neighbours) {
  Json out = Json::array();
  for (const Json& point : curve.items()) {
    Json copy = point;
    const auto bound = privacy::epsilon_of_releases(releases, neighbours, privacy::Delta(point.at("delta").as_double()));
    if (bound.ok() && bound->epsilon.value() < point.at("epsilon_upper").as_double()) {
      copy.set("epsilon_upper", bound->epsilon.value());
    }
    out.push(std::move(copy));
  }
  return out;
}

Json trade_off_json(const privacy::PrivacyProfile& profile) {
  Json out = Json::array();
  for (const double rate : {0.001, 0.01, 0.05, 0.1, 0.25, 0.5}) {
    out.push(Json::object({{"false_positive_rate", rate}, {"false_negative_rate_lower", profile.trade_off(rate)}}));
  }
  return out;
}

Json advantage_json(const privacy::PrivacyProfile& profile) {
  const privacy::Bracket found = profile.advantage();
  Json out = interval(found);
  out.set("text",
          "Whoever sees every output and guesses whether the protected unit took part, when both are equally likely "
          "beforehand, is right at most " +
              percent((1 + found.upper) / 2) + " of the time (50 % is blind guessing).");
  return out;
}

Json relations_json(const privacy::Relations& all) {
  const auto either = [](const Result<privacy::Bracket>& found) {
    return found.ok() ? interval(*found) : Json::object({{"refused", found.error().message}});
  };
  return Json::object({{"remove", either(all.remove)},
                       {"add", either(all.add)},
                       {"worse_of_add_and_remove", privacy::to_string(all.worse)},
                       {"replace", either(all.replace)},
                       {"zero_out", either(all.zero_out)},
                       {"group", either(all.group)},
                       {"group_size", all.group_size}});
}

}  // namespace sotto::audit
