#include "audit/ledger.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "privacy/compose.h"
#include "privacy/noise.h"

namespace sotto::audit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string short_number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

std::string round_name(const RunId& run, RoundId round) {
  return "round " + std::to_string(round.value()) + " of run '" + run.value() + "'";
}

}  // namespace

std::vector<privacy::DpEvent> merged(const std::vector<privacy::DpEvent>& events) {
  std::vector<privacy::DpEvent> out;
  for (const auto& event : events) {
    if (!out.empty()) {
      auto same = event;
      same.count = out.back().count;
      if (same == out.back() && event.count <= std::numeric_limits<std::uint64_t>::max() - same.count) {
        out.back().count += event.count;
        continue;
      }
    }
    out.push_back(event);
  }
  return out;
}

Result<std::vector<privacy::DpEvent>> planned_round(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension) {
  std::vector<privacy::DpEvent> out;
  if (!plan.privacy) return out;
  SOTTO_TRY(const auto clip, privacy::ClipNorm::make(plan.clip_norm));
  SOTTO_TRY(const auto rate, privacy::SamplingRate::make(site.sampling_rate));
  SOTTO_TRY(const auto sigma, privacy::NoiseMultiplier::make(site.noise_multiplier));
  if (dimension == 0) return invalid("plan: no trained coordinates");
  const auto unit = plan.unit == PrivacyUnit::kRecord ? privacy::Unit::kRecord : privacy::Unit::kPatient;
  const privacy::Grid grid(clip, static_cast<std::size_t>(dimension));
  out.push_back(privacy::planned_event(unit, rate, sigma, grid, plan.local_steps));
  return out;
}

double composed_epsilon(const Spent& spent, double delta) {
  if (spent.without_privacy) return kInfinity;
  const auto checked = privacy::Delta::make(delta);
  if (!checked.ok()) return kInfinity;
  const auto bound = privacy::compose(merged(spent.events), *checked);
  return bound.ok() ? bound->epsilon.value() : kInfinity;
}

bool RoundSpend::as_planned() const { return state == State::kCommitted && merged(taken) == merged(planned); }

void RoundSpend::add_to(Spent& total) const {
  if (state == State::kRefunded) return;
  const auto add = [&](const std::vector<privacy::DpEvent>& events) {
    if (events.empty()) total.without_privacy = true;
    total.events.insert(total.events.end(), events.begin(), events.end());
  };
  if (state == State::kCommitted) add(taken);
  if (!as_planned()) add(planned);
}

Result<void> Spending::apply(const Event& event) {
  if (const auto* e = std::get_if<Reserved>(&event)) {
    const auto [at, made] = rounds_.try_emplace({e->run, e->round});
    if (!made && at->second.state != RoundSpend::State::kRefunded) {
      return invalid(round_name(e->run, e->round) + " is reserved already");
    }
    at->second = RoundSpend{};
    at->second.planned = e->planned;
    return {};
  }
  const auto find = [&](const auto& e) -> Result<RoundSpend*> {
    const auto at = rounds_.find({e.run, e.round});
    if (at == rounds_.end() || at->second.state == RoundSpend::State::kRefunded) {
      return invalid(round_name(e.run, e.round) + " is not reserved");
    }
    return &at->second;
  };
  if (const auto* e = std::get_if<Committed>(&event)) {
    SOTTO_TRY(RoundSpend * spend, find(*e));
    if (spend->state != RoundSpend::State::kReserved) return invalid(round_name(e->run, e->round) + " is committed already");
    spend->state = RoundSpend::State::kCommitted;
    spend->taken = e->taken;
  } else if (const auto* r = std::get_if<ReportSent>(&event)) {
    SOTTO_TRY(RoundSpend * spend, find(*r));
    if (spend->state != RoundSpend::State::kCommitted) {
      return invalid(round_name(r->run, r->round) + " is not committed, so it may not be reported");
    }
    if (!spend->as_planned()) {
      return refused(round_name(r->run, r->round) + " did not run as it was reserved, so it may not be reported");
    }
    spend->reported = true;
  } else if (const auto* f = std::get_if<Refunded>(&event)) {
    SOTTO_TRY(RoundSpend * spend, find(*f));
    if (spend->reported) return refused(round_name(f->run, f->round) + " was reported; what was sent cannot be refunded");
    spend->state = RoundSpend::State::kRefunded;
  }
  return {};
}

Spent Spending::total() const {
  Spent out;
  for (const auto& [key, spend] : rounds_) spend.add_to(out);
  return out;
}

Spent Spending::of_run(const RunId& run) const {
  Spent out;
  for (const auto& [key, spend] : rounds_) {
    if (key.first == run) spend.add_to(out);
  }
  return out;
}

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

double Ledger::spent(double delta) const { return composed_epsilon(spending_.total(), delta); }

double Ledger::reserved(double delta) const {
  Spent open;
  for (const auto& [key, spend] : spending_.rounds()) {
    if (spend.state == RoundSpend::State::kReserved) spend.add_to(open);
  }
  return composed_epsilon(open, delta);
}

double Ledger::left(const BudgetLimit& limit) const { return std::max(0.0, limit.epsilon - spent(limit.delta)); }

Result<void> Ledger::can_afford(const std::vector<privacy::DpEvent>& events, const BudgetLimit& limit) const {
  Spent after = spending_.total();
  const double before = composed_epsilon(after, limit.delta);
  if (events.empty()) after.without_privacy = true;
  after.events.insert(after.events.end(), events.begin(), events.end());
  const double epsilon = composed_epsilon(after, limit.delta);
  if (epsilon <= limit.epsilon) return {};
  if (std::isinf(before)) {
    return over_budget(
        "this site's patients were in a run without privacy, or in rounds of which no finite epsilon can be given: "
        "no limit holds for them any more, and no further private run is allowed");
  }
  if (std::isinf(epsilon)) {
    return over_budget("this run gives no privacy guarantee, and this site's limit is epsilon " +
                       short_number(limit.epsilon) + " at delta " + short_number(limit.delta) +
                       ": ask for a run with noise");
  }
  return over_budget("with this the site's patients would have spent epsilon " + short_number(epsilon) + " at delta " +
                     short_number(limit.delta) + ", but this site allows " + short_number(limit.epsilon) +
                     " (spent so far: " + short_number(before) +
                     "): ask for a run with more noise or fewer steps, or raise the site's limit");
}

Result<void> Ledger::write(const Event& event, Time now) {
  // On a copy first: an event that does not fit must not reach the disk.
  Spending after = spending_;
  SOTTO_TRY_VOID(after.apply(event));
  SOTTO_TRY([[maybe_unused]] const std::uint64_t index, log_->append(event, now));
  spending_ = std::move(after);
  return {};
}

Result<void> Ledger::reserve(const RunId& run, RoundId round, std::vector<privacy::DpEvent> planned,
                             const std::optional<BudgetLimit>& limit, Time now) {
  if (limit) SOTTO_TRY_VOID(can_afford(planned, *limit));
  return write(Reserved{run, round, std::move(planned)}, now);
}

Result<void> Ledger::commit(const RunId& run, RoundId round, std::vector<privacy::DpEvent> taken, Time now) {
  SOTTO_TRY_VOID(write(Committed{run, round, merged(taken)}, now));
  if (spending_.rounds().at({run, round}).as_planned()) return {};
  return refused(
      round_name(run, round) +
      ": the sampler and the noise did not run as reserved; the ledger counts both what was planned and what ran, "
      "and nothing of the round may leave this site");
}

Result<void> Ledger::refund(const RunId& run, RoundId round, const std::string& reason, Time now) {
  return write(Refunded{run, round, reason}, now);
}

Result<void> Ledger::note_report(const ReportSent& report, Time now) { return write(report, now); }

}  // namespace sotto::audit
