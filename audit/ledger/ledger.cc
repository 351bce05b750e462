#include "audit/ledger/ledger.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "privacy/accounting/compose.h"

namespace sotto::audit {
namespace {

std::string short_number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

std::string why_not(const std::vector<privacy::DpEvent>& events, double delta) {
  const auto bound = privacy::proven_epsilon(merged(events), privacy::Delta(delta), privacy::neighbours_of(events));
  return bound.ok() ? "its noise is too small" : bound.error().message;
}

Result<void> check_curve(const Spent& before, const Spent& after, const BudgetLimit& limit, Curve curve) {
  const bool own = curve == Curve::kOwnShareAlone;
  const double most = own ? *limit.own_share_epsilon : limit.epsilon;
  const double spent = composed_epsilon(before, limit.delta, curve);
  const double epsilon = composed_epsilon(after, limit.delta, curve);
  if (epsilon <= most) return {};
  if (std::isinf(spent)) {
    return over_budget(
        "this site's patients were in a run without privacy, or in rounds of which no finite epsilon can be given: "
        "no limit holds for them any more, and no further private run is allowed");
  }
  if (std::isinf(epsilon) && !after.without_privacy) {
    return over_budget("this run has no finite epsilon together with what this site's patients have spent (" +
                       why_not(after.on(curve), limit.delta) + "), and this site's limit is epsilon " + short_number(most) +
                       " at delta " + short_number(limit.delta) +
                       ": ask for a run with more noise, or with the sampling and the unit of the earlier ones");
  }
  if (std::isinf(epsilon)) {
    return over_budget("this run gives no privacy guarantee, and this site's limit is epsilon " + short_number(most) +
                       " at delta " + short_number(limit.delta) + ": ask for a run with noise");
  }
  return over_budget("with this the site's patients would have spent epsilon " + short_number(epsilon) + " at delta " +
                     short_number(limit.delta) + (own ? " by this site's own noise alone" : "") + ", but this site allows " +
                     short_number(most) + " (spent so far: " + short_number(spent) +
                     "): ask for a run with more noise or fewer steps, or raise the site's limit");
}

}  // namespace

Result<Ledger> Ledger::open(EventLog& log) {
  Ledger ledger(log);
  for (std::uint64_t i = 0; i < log.size(); ++i) {
    const auto applied = ledger.spending_.apply(log.event(i));
    if (!applied.ok()) {
      return invalid("log '" + log.path() + "': entry " + std::to_string(i) + " is bad: " + applied.error().message);
    }
  }
  return ledger;
}

double Ledger::spent(double delta, const std::string& budget) const {
  return composed_epsilon(spending_.total(budget), delta);
}

double Ledger::reserved(double delta, const std::string& budget) const {
  return composed_epsilon(spending_.reserved(budget), delta);
}

double Ledger::left(const BudgetLimit& limit, const std::string& budget) const {
  return std::max(0.0, limit.epsilon - spent(limit.delta, budget));
}

Result<void> Ledger::can_afford(const RoundCost& cost, const BudgetLimit& limit, const std::string& budget) const {
  const Spent before = spending_.total(budget);
  Spent after = before;
  after.add(cost);
  SOTTO_TRY_VOID(check_curve(before, after, limit, Curve::kAgainstColluders));
  if (limit.own_share_epsilon) SOTTO_TRY_VOID(check_curve(before, after, limit, Curve::kOwnShareAlone));
  return {};
}

Result<void> Ledger::write(const Event& event, Time now) {
  SOTTO_TRY_VOID(spending_.check(event));  // an event that does not fit must not reach the disk
  SOTTO_TRY([[maybe_unused]] const std::uint64_t index, log_->append(event, now));
  return spending_.apply(event);
}

Result<void> Ledger::bind(const BudgetBound& binding, Time now) { return write(binding, now); }

Result<void> Ledger::note_elsewhere(const std::string& budget, const Spent& spent, Time now) {
  const Spent& known = spending_.elsewhere(budget);
  const SpentElsewhere event{budget, spent.without_privacy ? 1U : 0U, merged(spent.events), merged(spent.own_share)};
  if (known.without_privacy == spent.without_privacy && known.events == event.events && known.own_share == event.own_share) {
    return {};
  }
  return write(event, now);
}

Result<void> Ledger::reserve(const RunId& run, RoundId round, RoundCost planned, const std::optional<BudgetLimit>& limit,
                             Time now) {
  if (limit) SOTTO_TRY_VOID(can_afford(planned, *limit, spending_.budget_of(run)));
  return write(Reserved{run, round, std::move(planned.events), std::move(planned.own_share)}, now);
}

Result<void> Ledger::commit(const RunId& run, RoundId round, RoundCost taken, Time now) {
  SOTTO_TRY_VOID(write(Committed{run, round, merged(taken.events), merged(taken.own_share)}, now));
  if (spending_.rounds().at({run, round}).as_planned()) return {};
  return refused("round " + std::to_string(round.value()) + " of run '" + run.value() +
                 "': the sampler and the noise did not run as reserved; the ledger counts both what was planned and what "
                 "ran, and nothing of the round may leave this site");
}

Result<void> Ledger::refund(const RunId& run, RoundId round, const std::string& reason, Time now) {
  return write(Refunded{run, round, reason}, now);
}

Result<void> Ledger::note_report(const ReportSent& report, Time now) { return write(report, now); }

}  // namespace sotto::audit
