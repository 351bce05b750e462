#include "client/search/repeat_and_select.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "audit/ledger/accounting.h"
#include "audit/ledger/ledger.h"
#include "base/clock.h"
#include "client/site/own_log.h"
#include "client/site/site_spending.h"
#include "client/text/text_model.h"
#include "crypto/system_random.h"
#include "model/adapter/lora.h"
#include "plan/plan_json.h"
#include "privacy/accounting/repeat_select.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFreeKeys = {"training.max_tokens", "lora.alpha", "lora.dropout", "lora.rslora", "train.public_share"};

// Settings under which a run's events stay what they are.
bool costs_the_same(const std::string& key) {
  return key.starts_with("optimizer.") || std::ranges::find(kFreeKeys, key) != kFreeKeys.end();
}

// Every combination of the settings that may change what a run costs.
Result<std::vector<Settings>> priced_settings(const TunePlan& plan) {
  std::vector<Settings> out{{}};
  for (const auto& p : plan.parameters) {
    if (p.key == "train.config")
      return refused(plan.path + ": 'train.config' is another site's data, and not a setting of one search");
    if (costs_the_same(p.key)) continue;
    if (p.values.empty())
      return refused(
          plan.path + ": '" + p.key +
          "' changes what a run costs, and a range has no dearest value to charge; give 'values', or repeat = \"fixed\"");
    out = with_each_value(out, p);
    if (out.size() > privacy::kMostChoices)
      return refused(plan.path +
                     ": the settings have more than 64 different costs; leave some out, or use repeat = \"fixed\"");
  }
  return out;
}

Result<privacy::DpEvent> event_of(const LocalSetup& in) {
  const RunPlan& plan = in.file.plan;
  if (!plan.privacy) return refused(in.file.path + ": a run without privacy has no cost that a selection could bound");
  if (plan.canaries > 0)
    return unsupported(
        in.file.path +
        ": canaries in a search whose best run alone is told are not in this version; leave audit.canaries out");
  if (plan.trained != TrainedPart::kB && plan.trained != TrainedPart::kAB)
    return unsupported(in.file.path + ": repeat-and-select is for lora.train = \"B\" or \"AB\" in this version");
  SOTTO_TRY(const auto shape, read_model_config(in.config.model));
  SOTTO_TRY(const auto layout, model::adapter_layout(shape, plan));
  SOTTO_TRY(const auto events, audit::planned_run(plan, plan.sites.front(), layout.trained_size(plan.trained)));
  const auto all = audit::merged(events);
  if (all.size() != 1 || all.front().run_steps > 0 || all.front().epoch_steps > 0)
    return unsupported(in.file.path +
                       ": repeat-and-select is for privacy.sampling = \"poisson\", \"truncated_poisson\" or \"fixed_size\" "
                       "in this version");
  return all.front();
}

double epsilon_of(std::vector<privacy::DpEvent> events, const audit::Spent& before, double delta) {
  audit::Spent all = before;
  all.add(audit::RoundCost(std::move(events)));
  return audit::composed_epsilon(all, delta);
}

// The trial's own log tells what ran: one of the choices, or the beginning of one (a run may stop early).
Result<void> check_ran(const std::string& folder, const SearchCost& cost) {
  SOTTO_TRY(auto log, audit::EventLog::open(folder + "/log"));
  SOTTO_TRY(const auto ledger, audit::Ledger::open(log));
  std::vector<privacy::DpEvent> ran;
  for (const auto& [key, round] : ledger.spending().rounds())
    ran.insert(ran.end(), round.taken.events.begin(), round.taken.events.end());
  ran = audit::merged(ran);
  const bool reserved = ran.size() == 1 && std::ranges::any_of(cost.events, [&](const privacy::DpEvent& choice) {
                          auto same = ran.front();
                          same.count = choice.count;
                          same.trials = choice.trials;
                          return same == choice && ran.front().count <= choice.count;
                        });
  if (reserved) return {};
  return refused("'" + folder + "': the run did not do what the search had reserved, so nothing of it may be kept");
}

// A selection's own book-keeping: one round of one run, in OUT/log.
class SearchLedger {
 public:
  static Result<SearchLedger> open(const std::string& folder, const SiteConfig& config) {
    crypto::SystemRandom random;
    SOTTO_TRY(auto key, own_key(folder, random));
    SOTTO_TRY(auto log, audit::EventLog::open(folder + "/log"));
    auto kept = std::make_unique<audit::EventLog>(std::move(log));
    SOTTO_TRY_VOID(begin_own_log(*kept, key, random));
    SOTTO_TRY(auto ledger, audit::Ledger::open(*kept));
    SOTTO_TRY(auto book, PatientBook::open(config.budget_folder));
    SOTTO_TRY(auto mine, take_up({&book, kept.get(), &ledger}));
    return SearchLedger(std::move(key), std::move(kept), std::move(ledger), std::move(book), std::move(mine));
  }

  Result<void> reserve(const RunPlan& plan, const Policy& policy, const std::vector<privacy::DpEvent>& events) {
    run_ = plan.run;
    while (ledger_.spending().rounds().contains({run_, round_})) round_ = RoundId(round_.value() + 1);
    SOTTO_TRY_VOID(
        ledger_.bind({run_, policy.budget, audit::to_string(plan.unit), policy.epsilon_limit, policy.delta}, wall_clock()));
    return client::reserve(shared(), {run_, round_, events, audit::BudgetLimit{policy.epsilon_limit, policy.delta}},
                           wall_clock());
  }

  Result<void> commit(const std::string& folder, const std::vector<privacy::DpEvent>& events) {
    SOTTO_TRY_VOID(client::commit(shared(), {run_, round_, events, {}}, wall_clock()));
    return write_own_head(folder, *log_, key_);
  }

 private:
  SearchLedger(RunKey key, std::unique_ptr<audit::EventLog> log, audit::Ledger ledger, PatientBook book, FileLock mine)
      : key_(std::move(key)),
        log_(std::move(log)),
        ledger_(std::move(ledger)),
        book_(std::move(book)),
        mine_(std::move(mine)) {}
  SharedLedger shared() { return {&book_, log_.get(), &ledger_}; }
  RunKey key_;
  std::unique_ptr<audit::EventLog> log_;
  audit::Ledger ledger_;
  PatientBook book_;
  FileLock mine_;
  RunId run_;
  RoundId round_{0};
};

void remove(const std::string& folder) {
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

}  // namespace

Result<SearchCost> cost_of(const TrialRunner& tuner) {
  const TunePlan& plan = tuner.plan();
  SOTTO_TRY(const auto priced, priced_settings(plan));
  SearchCost out;
  audit::Spent before;
  double delta = 0;
  for (const auto& settings : priced) {
    SOTTO_TRY(const auto in, tuner.set_up_with(settings));
    SOTTO_TRY(auto event, event_of(in));
    if (delta == 0) {
      delta = in.file.plan.delta;
      SOTTO_TRY(const auto book, PatientBook::open(in.config.budget_folder));
      SOTTO_TRY(const LockedBook open, book.lock());
      before = open.elsewhere(in.config.policy.budget, Digest{});
    }
    auto fixed = event;
    fixed.count *= static_cast<std::uint64_t>(plan.trials);
    out.composed = std::max(out.composed, epsilon_of({fixed}, {}, delta));
    out.composed_with_earlier = std::max(out.composed_with_earlier, epsilon_of({fixed}, before, delta));
    event.trials = {plan.repeat, static_cast<double>(plan.trials), 0};
    if (std::ranges::find(out.events, event) == out.events.end()) out.events.push_back(event);
  }
  for (auto& event : out.events) event.trials.choices = out.events.size();
  out.selection = epsilon_of(out.events, {}, delta);
  out.selection_with_earlier = epsilon_of(out.events, before, delta);
  auto all = out.events;
  all.insert(all.end(), before.events.begin(), before.events.end());
  out.relation_with_earlier = audit::relation_text(all, std::string(privacy::to_string(all.front().unit)));
  return out;
}

Result<Selected> select_best(TrialRunner& tuner, const SearchCost& cost, const std::function<bool()>& stop) {
  const TunePlan& plan = tuner.plan();
  SOTTO_TRY(const auto in, tuner.set_up_with({}));
  SOTTO_TRY(auto ledger, SearchLedger::open(plan.out, in.config));
  SOTTO_TRY_VOID(ledger.reserve(in.file.plan, in.config.policy, cost.events));
  crypto::SystemRandom random;
  const std::uint64_t number = privacy::draw_number(cost.events.front().trials, random);
  const Covered covered{cost.selection, cost.selection_with_earlier, cost.relation_with_earlier};
  const std::string kept = plan.out + "/best";
  remove(kept);
  Trial best;
  for (std::uint64_t i = 0; i < number; ++i) {
    if (stop()) return refused("stopped; the search stays charged as a whole");
    Trial trial{draw_settings(plan, random), i + 1, "", INFINITY, nullptr, ""};
    remove(plan.out + "/tuned");  // of a search that was killed
    SOTTO_TRY_VOID(tuner.run(trial, 0, covered));
    if (!trial.error.empty()) continue;
    SOTTO_TRY_VOID(check_ran(trial.folder, cost));
    if (trial.loss < best.loss) {
      remove(kept);
      fs::rename(trial.folder, kept);
      trial.folder = kept;
      best = std::move(trial);
    } else {
      remove(trial.folder);
    }
  }
  SOTTO_TRY_VOID(ledger.commit(plan.out, cost.events));
  if (best.folder.empty())
    return refused(
        "the search ended without a model that could be trained (a Poisson number of trials may be 0); what it costs stays "
        "charged");
  return Selected{best, tuner.text_with(best.settings)};
}

}  // namespace sotto::client
