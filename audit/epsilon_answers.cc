#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "audit/epsilon_commands.h"
#include "privacy/calibrate.h"
#include "privacy/mechanism.h"
#include "privacy/profile.h"
#include "privacy/release_rdp.h"

namespace sotto::audit {
namespace {

Result<std::uint64_t> step_count(std::int64_t steps) {
  if (steps < 1) return invalid("steps = " + std::to_string(steps) + ", but it must be at least 1");
  return static_cast<std::uint64_t>(steps);
}

Json interval(const privacy::Bracket& bracket) {
  return Json::object({{"lower", bracket.lower}, {"upper", bracket.upper}});
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", std::ceil(share * 1e4) / 100);
  return std::string(text) + " %";
}

Json curve(const privacy::PrivacyProfile& profile) {
  Json out = Json::array();
  for (const double delta : {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10}) {
    const privacy::Bracket e = profile.epsilon(privacy::Delta(delta)).bracket;
    out.push(Json::object({{"delta", delta}, {"epsilon_lower", e.lower}, {"epsilon_upper", e.upper}}));
  }
  return out;
}

Json trade_off(const privacy::PrivacyProfile& profile) {
  Json out = Json::array();
  for (const double rate : {0.001, 0.01, 0.05, 0.1, 0.25, 0.5}) {
    out.push(Json::object({{"false_positive_rate", rate}, {"false_negative_rate_lower", profile.trade_off(rate)}}));
  }
  return out;
}

// The largest true-positive rate less false-positive rate, and in plain words.
Json advantage(const privacy::PrivacyProfile& profile) {
  const privacy::Bracket found = profile.advantage();
  Json out = interval(found);
  out.set("text", "Whoever sees every output and guesses whether the protected unit took part, when both are equally likely "
                  "beforehand, is right at most " + percent((1 + found.upper) / 2) + " of the time (50 % is blind guessing).");
  return out;
}

Json relations(const privacy::AllRelations& all) {
  return Json::object({{"remove", interval(all.remove)},
                       {"add", interval(all.add)},
                       {"worse_of_add_and_remove", privacy::to_string(all.worse)},
                       {"replace", interval(all.replace)},
                       {"zero_out", interval(all.zero_out)},
                       {"group", interval(all.group)},
                       {"group_size", all.group_size}});
}

struct Question {
  privacy::GaussianSteps steps;
  privacy::Delta delta;
  privacy::Relation relation;
};

Result<Json> by_rdp(const Question& question) {
  if (question.relation.group != 1) {
    return unsupported("groups are not in this version for accountant 'rdp'; use --accountant pld");
  }
  privacy::Release release;
  release.mechanism = privacy::GaussianNoise{question.steps.sigma.value()};
  release.sampling.kind = privacy::SamplingKind::kPoisson;
  release.sampling.rate = question.steps.rate.value();
  release.count = static_cast<double>(question.steps.steps);
  SOTTO_TRY(const auto bound, privacy::epsilon_of_releases({&release, 1}, question.relation.neighbours, question.delta));
  return Json::object({{"epsilon_upper", bound.epsilon.value()},
                       {"delta", question.delta.value()},
                       {"accountant", "rdp"},
                       {"direction", privacy::to_string(bound.direction)},
                       {"order", bound.order}});
}

Result<Json> by_pld(const Question& question, const EpsilonQuery& query) {
  SOTTO_TRY(const auto profile, privacy::PrivacyProfile::of({&question.steps, 1}, question.relation, question.delta));
  const privacy::DirectedBracket found = profile.epsilon(question.delta);
  if (!std::isfinite(found.bracket.upper)) {
    return refused("the privacy loss of these steps has no finite epsilon at this delta; use more noise");
  }
  const privacy::GaussianDp gaussian = profile.gaussian_dp();
  const auto rho = profile.zero_concentrated();
  Json out = Json::object({{"epsilon_lower", found.bracket.lower},
                           {"epsilon_upper", found.bracket.upper},
                           {"delta", question.delta.value()},
                           {"accountant", "pld"},
                           {"direction", privacy::to_string(found.direction)},
                           {"neighbours", query.neighbours},
                           {"group", question.relation.group},
                           {"curve", curve(profile)},
                           {"trade_off", trade_off(profile)},
                           {"gaussian_dp", Json::object({{"mu", gaussian.mu}, {"regret", gaussian.regret}})},
                           {"zcdp_rho", rho ? Json(*rho) : Json(nullptr)},
                           {"advantage", advantage(profile)}});
  if (query.relations) {
    const std::uint64_t group = std::max<std::uint64_t>(question.relation.group, 2);
    SOTTO_TRY(const auto all, privacy::pld_all_relations({&question.steps, 1}, question.delta, group));
    out.set("relations", relations(all));
  }
  return out;
}

// Which of sigma, q and steps was left out: exactly one.
Result<void> check_sought(const CalibrateQuery& query) {
  const int left_out = (query.noise_multiplier == CalibrateQuery::kSought) + (query.sampling_rate == CalibrateQuery::kSought) +
                       (query.steps == static_cast<std::int64_t>(CalibrateQuery::kSought));
  if (left_out == 1) return {};
  return invalid("calibrate solves for one of --noise-multiplier, --sampling-rate and --steps, but " +
                 std::to_string(left_out) + " of them were left out; give two of the three");
}

}  // namespace

Result<Json> answer(const EpsilonQuery& query) {
  SOTTO_TRY(const auto accountant, privacy::accountant_from_string(query.accountant));
  SOTTO_TRY(const auto neighbours, privacy::neighbours_from_string(query.neighbours));
  SOTTO_TRY(const auto sigma, privacy::NoiseMultiplier::make(query.noise_multiplier));
  SOTTO_TRY(const auto rate, privacy::SamplingRate::make(query.sampling_rate));
  SOTTO_TRY(const auto delta, privacy::Delta::make(query.delta));
  SOTTO_TRY(const std::uint64_t steps, step_count(query.steps));
  if (query.group < 1) return invalid("group = " + std::to_string(query.group) + ", but it must be at least 1");
  const Question question{{sigma, rate, steps}, delta, {neighbours, static_cast<std::uint64_t>(query.group)}};
  return accountant == privacy::Accountant::kRdp ? by_rdp(question) : by_pld(question, query);
}

Result<Json> answer(const CalibrateQuery& query) {
  SOTTO_TRY(const auto accountant, privacy::accountant_from_string(query.accountant));
  SOTTO_TRY_VOID(check_sought(query));
  SOTTO_TRY(const auto epsilon, privacy::Epsilon::make(query.epsilon));
  SOTTO_TRY(const auto delta, privacy::Delta::make(query.delta));
  privacy::GaussianSteps run{privacy::NoiseMultiplier(1), privacy::SamplingRate(1), 1};
  if (query.noise_multiplier != CalibrateQuery::kSought) {
    SOTTO_TRY(run.sigma, privacy::NoiseMultiplier::make(query.noise_multiplier));
  }
  if (query.sampling_rate != CalibrateQuery::kSought) {
    SOTTO_TRY(run.rate, privacy::SamplingRate::make(query.sampling_rate));
  }
  if (query.steps != -1) {
    SOTTO_TRY(run.steps, step_count(query.steps));
  }
  if (query.noise_multiplier == CalibrateQuery::kSought) {
    SOTTO_TRY(run.sigma, privacy::calibrate_noise(epsilon, delta, run.rate, run.steps, accountant));
  } else if (query.sampling_rate == CalibrateQuery::kSought) {
    SOTTO_TRY(run.rate, privacy::calibrate_rate(epsilon, delta, run.sigma, run.steps, accountant));
  } else {
    SOTTO_TRY(run.steps, privacy::calibrate_steps(epsilon, delta, run.rate, run.sigma, accountant));
  }
  Json out = Json::object({{"noise_multiplier", run.sigma.value()}, {"sampling_rate", run.rate.value()}, {"steps", run.steps}});
  if (accountant == privacy::Accountant::kPld) {
    SOTTO_TRY(const auto bound, privacy::pld_epsilon({&run, 1}, delta));
    out.set("epsilon_lower", bound.bracket.lower).set("epsilon_upper", bound.bracket.upper);
  } else {
    out.set("epsilon_upper", privacy::epsilon_upper(run, delta, accountant));
  }
  out.set("delta", delta.value()).set("accountant", privacy::to_string(accountant));
  return out;
}

}  // namespace sotto::audit
