// The answers of `sotto-audit epsilon` and `calibrate`: flags become a release, the accountant answers, the answer becomes
// JSON.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "audit/program/epsilon_commands.h"
#include "audit/program/epsilon_json.h"
#include "privacy/accounting/calibrate.h"
#include "privacy/accounting/compose.h"
#include "privacy/accounting/mechanism.h"
#include "privacy/accounting/profile.h"
#include "privacy/accounting/release_losses.h"
#include "privacy/accounting/release_rdp.h"

namespace sotto::audit {
namespace {

// The flags as the release that they name (docs/accountant.md); `sought` is left out there and gets a value that is no
// matter.
Result<privacy::Release> release_of(const SampledSteps& flags, const std::string& sought) {
  for (const double number : {flags.noise_multiplier, flags.sampling_rate}) {
    if (!std::isfinite(number)) return invalid("a noise multiplier or sampling rate is not a number; give one");
  }
  Json json = Json::object({{"mechanism", "gaussian"}, {"sampling", flags.sampling}});
  const auto add = [&](const char* name, const Json& value, bool given) {
    if (given) json.set(name, value);
    if (name == sought) json.set(name, 1);
  };
  const bool epochs = flags.sampling == "random_allocation";
  add("noise_multiplier", flags.noise_multiplier, flags.noise_multiplier != SampledSteps::kNotGiven);
  add("sampling_rate", flags.sampling_rate, flags.sampling_rate != SampledSteps::kNotGiven);
  add(epochs ? "epochs" : "steps", flags.steps, flags.steps != -1);
  add("population", flags.population, flags.population != -1);
  add("batch_size", flags.batch_size, flags.batch_size != -1);
  add("epoch_steps", flags.epoch_steps, flags.epoch_steps != -1);
  add("epoch_selected", flags.epoch_selected, flags.epoch_selected != -1);
  return privacy::release_from_json(json);
}

Result<Json> by_rdp(const privacy::Release& release, const EpsilonQuery& query, privacy::Neighbours neighbours,
                    privacy::Delta delta) {
  if (query.group != 1) {
    return unsupported("groups are not in this version for accountant 'rdp', which bounds one unit; use --accountant pld");
  }
  SOTTO_TRY(const auto bound, privacy::epsilon_of_releases({&release, 1}, neighbours, delta));
  return Json::object({{"epsilon_upper", bound.epsilon.value()},
                       {"delta", delta.value()},
                       {"accountant", "rdp"},
                       {"direction", privacy::to_string(bound.direction)},
                       {"order", bound.order},
                       {"curve", curve_by_rdp({&release, 1}, neighbours)}});
}

// Of a group that has a dominating pair, or of one unit.
Result<privacy::PrivacyProfile> profile_of(const privacy::Release& release, const privacy::Relation& relation,
                                           privacy::Delta delta) {
  const auto gaussian = privacy::gaussian_releases({&release, 1});
  if (gaussian) return privacy::PrivacyProfile::of(gaussian->steps, relation, delta);
  return privacy::PrivacyProfile::of({&release, 1}, relation.neighbours, delta);
}

// The epsilon that was asked for, once the whole curve is known.
Result<privacy::DirectedBracket> epsilon_of(const privacy::Release& release, const privacy::Relation& relation,
                                            privacy::Delta delta, const privacy::PrivacyProfile& profile) {
  privacy::DirectedBracket out = profile.epsilon(delta);
  if (relation.group > 1 && !privacy::gaussian_releases({&release, 1})) {
    SOTTO_TRY(out.bracket, privacy::epsilon_of_group({&release, 1}, relation.neighbours, relation.group, delta));
  }
  return out;
}

Result<Json> by_pld(const privacy::Release& release, const EpsilonQuery& query, const privacy::Relation& relation,
                    privacy::Delta delta) {
  SOTTO_TRY(const auto profile, profile_of(release, relation, delta));
  SOTTO_TRY(const auto found, epsilon_of(release, relation, delta, profile));
  if (!std::isfinite(found.bracket.upper)) {
    return refused(
        "the privacy loss of these steps is too large for the grids of --accountant pld; --accountant rdp bounds it, or use "
        "more noise");
  }
  const bool one_unit = relation.group > 1 && !privacy::gaussian_releases({&release, 1});
  const privacy::GaussianDp gaussian = profile.gaussian_dp();
  const auto rho = profile.zero_concentrated();
  Json out = Json::object({{"epsilon_lower", found.bracket.lower},
                           {"epsilon_upper", found.bracket.upper},
                           {"delta", delta.value()},
                           {"accountant", "pld"},
                           {"direction", privacy::to_string(found.direction)},
                           {"neighbours", query.neighbours},
                           {"group", relation.group},
                           {one_unit ? "curve_of_one_unit" : "curve", curve_json(profile)}});
  if (!one_unit) {
    out.set("trade_off", trade_off_json(profile))
        .set("gaussian_dp", Json::object({{"mu", gaussian.mu}, {"regret", gaussian.regret}}))
        .set("zcdp_rho", rho ? Json(*rho) : Json(nullptr))
        .set("advantage", advantage_json(profile));
  }
  if (query.relations) {
    const std::uint64_t group = std::max<std::uint64_t>(relation.group, 2);
    out.set("relations", relations_json(privacy::relations_of({&release, 1}, delta, group)));
  }
  return out;
}

// What was left out of noise, steps and the sampler's rate: exactly one.
Result<std::string> sought_in(const CalibrateQuery& query) {
  const bool fixed = query.sampling == "fixed_size";
  const bool allocated = query.sampling == "random_allocation";
  std::vector<std::string> left_out;
  if (query.noise_multiplier == CalibrateQuery::kNotGiven) left_out.emplace_back("noise_multiplier");
  if (query.steps == -1) left_out.emplace_back(allocated ? "epochs" : "steps");
  if (query.sampling == "poisson" || query.sampling == "truncated_poisson") {
    if (query.sampling_rate == CalibrateQuery::kNotGiven) left_out.emplace_back("sampling_rate");
  }
  if (fixed && query.batch_size == -1) left_out.emplace_back("batch_size");
  if (allocated && query.epoch_selected == 0) left_out.emplace_back("epoch_selected");
  if (left_out.size() == 1) return left_out.front();
  return invalid(
      "calibrate solves for one of --noise-multiplier, --steps and the sampler's rate (--sampling-rate, --batch-size, "
      "or --epoch-selected 0), but " +
      std::to_string(left_out.size()) + " of them were left out; give two of the three");
}

Json release_json(const privacy::Release& release) {
  const privacy::Sampling& sampling = release.sampling;
  Json out = Json::object({{"noise_multiplier", std::get<privacy::GaussianNoise>(release.mechanism).noise_multiplier}});
  out.set("sampling", sampling.kind ? std::string(privacy::to_string(*sampling.kind)) : "none");
  const bool epochs = sampling.kind == privacy::SamplingKind::kRandomAllocation;
  if (!sampling.kind || sampling.kind == privacy::SamplingKind::kPoisson ||
      sampling.kind == privacy::SamplingKind::kTruncatedPoisson) {
    out.set("sampling_rate", sampling.rate);
  }
  if (sampling.population > 0) out.set("population", sampling.population).set("batch_size", sampling.batch_size);
  if (epochs) out.set("epoch_steps", sampling.epoch_steps).set("epoch_selected", sampling.epoch_selected);
  return out.set(epochs ? "epochs" : "steps", static_cast<std::uint64_t>(release.count));
}

}  // namespace

Result<Json> answer(const EpsilonQuery& query) {
  SOTTO_TRY(const auto accountant, privacy::accountant_from_string(query.accountant));
  SOTTO_TRY(const auto neighbours, privacy::neighbours_from_string(query.neighbours));
  SOTTO_TRY(const auto delta, privacy::Delta::make(query.delta));
  SOTTO_TRY(const auto release, release_of(query, ""));
  if (query.group < 1) return invalid("group = " + std::to_string(query.group) + ", but it must be at least 1");
  const privacy::Relation relation{neighbours, static_cast<std::uint64_t>(query.group)};
  if (accountant == privacy::Accountant::kRdp) return by_rdp(release, query, neighbours, delta);
  auto pld = by_pld(release, query, relation, delta);
  if (accountant == privacy::Accountant::kPld || query.group != 1) return pld;
  const auto rdp = by_rdp(release, query, neighbours, delta);
  if (!pld.ok() || !rdp.ok()) return pld.ok() ? pld : rdp;
  if (rdp->at("epsilon_upper").as_double() < pld->at("epsilon_upper").as_double()) {
    pld->set("epsilon_upper", rdp->at("epsilon_upper")).set("accountant", "rdp");
  }
  pld->set("curve", with_rdp(pld->at("curve"), {&release, 1}, neighbours));
  return pld;
}

Result<Json> answer(const CalibrateQuery& query) {
  SOTTO_TRY(const auto accountant, privacy::accountant_from_string(query.accountant));
  SOTTO_TRY(const auto neighbours, privacy::neighbours_from_string(query.neighbours));
  SOTTO_TRY(const std::string sought, sought_in(query));
  SOTTO_TRY(const auto epsilon, privacy::Epsilon::make(query.epsilon));
  SOTTO_TRY(const auto delta, privacy::Delta::make(query.delta));
  SOTTO_TRY(const auto asked, release_of(query, sought));
  const privacy::PrivacyTarget target{epsilon, delta, accountant, neighbours};
  const auto parameter = sought == "noise_multiplier"              ? privacy::Parameter::kNoise
                         : sought == "steps" || sought == "epochs" ? privacy::Parameter::kSteps
                                                                   : privacy::Parameter::kRate;
  SOTTO_TRY(const auto found, privacy::calibrate(target, asked, parameter));
  Json out = release_json(found);
  const bool rdp = accountant == privacy::Accountant::kRdp;
  privacy::Direction direction = privacy::Direction::kRemove;
  if (rdp) {
    SOTTO_TRY(const auto bound, privacy::epsilon_of_releases({&found, 1}, neighbours, delta));
    direction = bound.direction;
  } else {
    SOTTO_TRY(const auto proven, privacy::proven_epsilon({&found, 1}, delta, neighbours));
    direction = proven.direction;
    out.set("epsilon_lower", proven.lower());
  }
  out.set("epsilon_upper", privacy::epsilon_upper({&found, 1}, target));
  out.set("delta", delta.value()).set("accountant", privacy::to_string(accountant)).set("neighbours", query.neighbours);
  Json curve = curve_of({&found, 1}, neighbours, delta, rdp);
  if (accountant == privacy::Accountant::kBoth) curve = with_rdp(curve, {&found, 1}, neighbours);
  return out.set("direction", privacy::to_string(direction)).set("curve", std::move(curve));
}

}  // namespace sotto::audit
