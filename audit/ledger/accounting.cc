#include "audit/ledger/accounting.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <mutex>

#include "privacy/accounting/compose.h"

namespace sotto::audit {
namespace {

constexpr double kDecimals = 1e4;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A report and its checks ask the same of one site's events again and again, and composing them is the dear part: the last
// few answers of each kind, by the question itself.
template <class Answer, std::size_t kKept = 16, class Compute>  // a profile takes megabytes
Answer recall(const Spent& spent, double delta, const Compute& compute) {
  struct Known {
    std::vector<privacy::DpEvent> events;
    bool without_privacy = false;
    double delta = 0;
    Answer answer;
  };
  static std::mutex mutex;
  static std::deque<Known> known;
  auto events = merged(spent.events);
  const auto find = [&]() -> const Known* {
    const auto at = std::find_if(known.begin(), known.end(), [&](const Known& k) {
      return k.delta == delta && k.without_privacy == spent.without_privacy && k.events == events;
    });
    return at == known.end() ? nullptr : &*at;
  };
  {
    const std::lock_guard lock(mutex);
    if (const Known* same = find()) return same->answer;
  }
  Answer answer = compute();
  const std::lock_guard lock(mutex);
  if (!find()) known.push_back({std::move(events), spent.without_privacy, delta, answer});
  if (known.size() > kKept) known.pop_front();
  return answer;
}

}  // namespace

Json rounded_up(double value) {
  if (!std::isfinite(value)) return "none";
  return std::ceil(value * kDecimals) / kDecimals;
}

Json rounded_down(double value) {
  if (!std::isfinite(value)) return "none";
  return std::floor(value * kDecimals) / kDecimals;
}

double Accounted::proven() const { return pld ? std::min(rdp, pld->upper) : rdp; }

std::shared_ptr<const privacy::PrivacyProfile> profile_of(const Spent& spent, double delta) {
  using Shared = std::shared_ptr<const privacy::PrivacyProfile>;
  return recall<Shared>(spent, delta, [&]() -> Shared {
    const auto checked = privacy::Delta::make(delta);
    if (spent.without_privacy || !checked.ok()) return nullptr;
    const auto releases = privacy::releases_of(merged(spent.events));
    if (!releases.ok()) return nullptr;
    auto profile = privacy::PrivacyProfile::of(*releases, privacy::neighbours_of(spent.events), *checked);
    return profile.ok() ? std::make_shared<const privacy::PrivacyProfile>(std::move(profile).value()) : nullptr;
  });
}

Accounted account(const Spent& spent, double delta) {
  constexpr std::size_t kKept = 256;  // a round asks what was spent with it and without it, run by run
  return recall<Accounted, kKept>(spent, delta, [&]() -> Accounted {
    const auto checked = privacy::Delta::make(delta);
    const auto events = merged(spent.events);
    if (spent.without_privacy || !checked.ok()) return {};
    if (events.empty()) return {0, std::nullopt};
    const auto found = privacy::proven_epsilon(events, *checked, privacy::neighbours_of(events));
    return found.ok() ? Accounted{found->rdp, found->pld} : Accounted();
  });
}

std::string relation_text(const std::vector<privacy::DpEvent>& events, const std::string& unit) {
  return (privacy::neighbours_of(events) == privacy::Neighbours::kReplace ? "replace one " : "add or remove one ") + unit;
}

std::optional<privacy::Relations> relations_of(const Spent& spent, double delta) {
  return recall<std::optional<privacy::Relations>>(spent, delta, [&]() -> std::optional<privacy::Relations> {
    const auto releases = privacy::releases_of(merged(spent.events));
    if (spent.without_privacy || !releases.ok()) return std::nullopt;
    return privacy::relations_of(*releases, privacy::Delta(delta), 2);
  });
}

std::vector<CurvePoint> curve_of(const Spent& spent, double plan_delta) {
  if (spent.without_privacy) return {};
  return recall<std::vector<CurvePoint>>(spent, plan_delta, [&] {
    std::vector<CurvePoint> out;
    const auto profile = profile_of(spent, plan_delta);
    std::vector<double> deltas = {0.5,  0.4,  0.3,  0.25, 0.2,  0.15, 0.1,  0.05, 3e-2, 1e-2, 3e-3,  1e-3,  3e-4,  1e-4,
                                  3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8, 3e-9, 1e-9, 3e-10, 1e-10, 1e-11, 1e-12};
    if (std::find(deltas.begin(), deltas.end(), plan_delta) == deltas.end()) deltas.push_back(plan_delta);
    std::sort(deltas.begin(), deltas.end(), std::greater<>());
    for (const double delta : deltas) {
      const auto rdp = privacy::compose(merged(spent.events), privacy::Delta(delta), privacy::neighbours_of(spent.events));
      Accounted epsilon{rdp.ok() ? rdp->epsilon.value() : kInfinity, std::nullopt};
      if (delta == plan_delta)
        epsilon = account(spent, delta);
      else if (profile)
        epsilon.pld = profile->epsilon(privacy::Delta(delta)).bracket;
      if (epsilon.pld && !std::isfinite(epsilon.pld->upper)) epsilon.pld.reset();
      if (!std::isfinite(epsilon.proven())) continue;
      out.push_back({delta, epsilon});
    }
    return out;
  });
}

std::vector<TradeOffPoint> trade_off_of(const std::vector<CurvePoint>& curve) {
  std::vector<TradeOffPoint> out;
  for (const double alpha : {0.0, 1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}) {
    double beta = 0;
    for (const auto& point : curve) {
      const double delta = point.delta;
      const double epsilon = point.epsilon.proven();
      beta = std::max({beta, 1 - delta - std::exp(epsilon) * alpha, std::exp(-epsilon) * (1 - delta - alpha)});
    }
    out.push_back({alpha, beta});
  }
  return curve.empty() ? std::vector<TradeOffPoint>() : out;
}

double advantage_of(const std::vector<CurvePoint>& curve) {
  double least = 1;
  for (const auto& [delta, accounted] : curve) {
    const double e = std::exp(-accounted.proven());
    least = std::min(least, (1 - e + 2 * delta * e) / (1 + e));
  }
  return least;
}

double posterior_of(double prior, double epsilon) {
  if (!std::isfinite(epsilon)) return 1;
  return prior / (prior + (1 - prior) * std::exp(-epsilon));
}

}  // namespace sotto::audit
