#include "audit/ledger/spending.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "audit/ledger/accounting.h"
#include "privacy/accounting/compose.h"
#include "privacy/mechanism/noise.h"

namespace sotto::audit {
namespace {

std::string round_name(const RunId& run, RoundId round) {
  return "round " + std::to_string(round.value()) + " of run '" + run.value() + "'";
}

// Run and round of the four events of a round; nullopt for all others.
std::optional<Spending::Key> key_of(const Event& event) {
  return std::visit(
      [](const auto& e) -> std::optional<Spending::Key> {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, Reserved> || std::is_same_v<E, Committed> || std::is_same_v<E, ReportSent> ||
                      std::is_same_v<E, Refunded>) {
          return Spending::Key{e.run, e.round};
        } else {
          return std::nullopt;
        }
      },
      event);
}

}  // namespace

bool RoundCost::same_as(const RoundCost& other) const {
  return merged(events) == merged(other.events) && merged(own_share) == merged(other.own_share);
}

void Spent::add(const RoundCost& cost) {
  if (cost.events.empty()) without_privacy = true;
  const auto& own = cost.own_share.empty() ? cost.events : cost.own_share;
  events.insert(events.end(), cost.events.begin(), cost.events.end());
  own_share.insert(own_share.end(), own.begin(), own.end());
}

void Spent::add(const Spent& other) {
  without_privacy |= other.without_privacy;
  events.insert(events.end(), other.events.begin(), other.events.end());
  own_share.insert(own_share.end(), other.own_share.begin(), other.own_share.end());
}

double composed_epsilon(const Spent& spent, double delta, Curve curve) {
  const Spent on_curve{spent.on(curve), {}, spent.without_privacy};
  return account(on_curve, delta).proven();
}

bool RoundSpend::as_planned() const { return state == State::kCommitted && taken.same_as(planned); }

void RoundSpend::add_to(Spent& total) const {
  if (state == State::kRefunded) return;
  if (state == State::kCommitted) total.add(taken);
  if (!as_planned()) total.add(planned);
}

// The round's state after one of its events.
Result<RoundSpend> Spending::after(const Event& event) const {
  const Key key = *key_of(event);
  const std::string name = round_name(key.first, key.second);
  const auto at = rounds_.find(key);
  const bool open = at != rounds_.end() && at->second.state != RoundSpend::State::kRefunded;
  if (const auto* e = std::get_if<Reserved>(&event)) {
    if (open) return invalid(name + " is reserved already");
    RoundSpend fresh;
    fresh.planned = {e->planned, e->own_share};
    return fresh;
  }
  if (!open) return invalid(name + " is not reserved");
  RoundSpend spend = at->second;
  if (const auto* e = std::get_if<Committed>(&event)) {
    if (spend.state != RoundSpend::State::kReserved) return invalid(name + " is committed already");
    spend.state = RoundSpend::State::kCommitted;
    spend.taken = {e->taken, e->own_share};
  } else if (std::holds_alternative<ReportSent>(event)) {
    if (spend.state != RoundSpend::State::kCommitted) return invalid(name + " is not committed, so it may not be reported");
    if (!spend.as_planned()) return refused(name + " did not run as it was reserved, so it may not be reported");
    spend.reported = true;
  } else {
    if (spend.reported) return refused(name + " was reported; what was sent cannot be refunded");
    spend.state = RoundSpend::State::kRefunded;
  }
  return spend;
}

Result<void> Spending::check_bound(const BudgetBound& event) const {
  if (!is_valid_name(event.budget)) return invalid("'" + event.budget + "' is not a budget's name ([a-z0-9-], up to 64)");
  const auto at = bound_.find(event.run);
  if (at != bound_.end() && (at->second.budget != event.budget || at->second.unit != event.unit)) {
    return refused("run '" + event.run.value() + "' spends from the budget '" + at->second.budget + "' already");
  }
  const bool spent = std::any_of(rounds_.begin(), rounds_.end(), [&](const auto& r) { return r.first.first == event.run; });
  if (spent && budget_of(event.run) != event.budget) {
    return refused("run '" + event.run.value() + "' has spent from the budget '" + budget_of(event.run) + "' already");
  }
  const auto unit = unit_of(event.budget);
  if (unit && *unit != event.unit) {
    return refused("the budget '" + event.budget + "' is kept in units of one " + *unit + "; a run whose unit is one " +
                   event.unit + " cannot be added to it");
  }
  return {};
}

Result<void> Spending::check(const Event& event) const {
  if (const auto* e = std::get_if<BudgetBound>(&event)) return check_bound(*e);
  if (const auto* e = std::get_if<SpentElsewhere>(&event); e && !is_valid_name(e->budget)) {
    return invalid("'" + e->budget + "' is not a budget's name ([a-z0-9-], up to 64)");
  }
  if (key_of(event)) SOTTO_TRY_VOID(after(event));
  return {};
}

Result<void> Spending::apply(const Event& event) {
  SOTTO_TRY_VOID(check(event));
  if (const auto* e = std::get_if<BudgetBound>(&event)) {
    bound_[e->run] = *e;
  } else if (const auto* s = std::get_if<SpentElsewhere>(&event)) {
    elsewhere_[s->budget] = {s->events, s->own_share, s->without_privacy != 0};
  } else if (const auto key = key_of(event)) {
    SOTTO_TRY(rounds_[*key], after(event));
  }
  return {};
}

const BudgetBound* Spending::binding_of(const RunId& run) const {
  const auto at = bound_.find(run);
  return at == bound_.end() ? nullptr : &at->second;
}

std::string Spending::budget_of(const RunId& run) const {
  const BudgetBound* bound = binding_of(run);
  return bound ? bound->budget : kDefaultBudget;
}

std::optional<std::string> Spending::unit_of(const std::string& budget) const {
  for (const auto& [run, bound] : bound_) {
    if (bound.budget == budget) return bound.unit;
  }
  return std::nullopt;
}

std::set<std::string> Spending::budgets() const {
  std::set<std::string> out;
  for (const auto& [run, bound] : bound_) out.insert(bound.budget);
  for (const auto& [key, spend] : rounds_) out.insert(budget_of(key.first));
  for (const auto& [budget, spent] : elsewhere_) out.insert(budget);
  return out;
}

const Spent& Spending::elsewhere(const std::string& budget) const {
  static const Spent nothing;
  const auto at = elsewhere_.find(budget);
  return at == elsewhere_.end() ? nothing : at->second;
}

Spent Spending::here(const std::string& budget) const {
  Spent out;
  for (const auto& [key, spend] : rounds_) {
    if (budget_of(key.first) == budget) spend.add_to(out);
  }
  return out;
}

Spent Spending::total(const std::string& budget) const {
  Spent out = here(budget);
  out.add(elsewhere(budget));
  return out;
}

Spent Spending::reserved(const std::string& budget) const {
  Spent out;
  for (const auto& [key, spend] : rounds_) {
    if (budget_of(key.first) == budget && spend.state == RoundSpend::State::kReserved) spend.add_to(out);
  }
  return out;
}

Spent Spending::of_run(const RunId& run) const {
  Spent out;
  for (const auto& [key, spend] : rounds_) {
    if (key.first == run) spend.add_to(out);
  }
  return out;
}

}  // namespace sotto::audit
