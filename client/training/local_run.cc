#include "client/training/local_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "audit/ledger/accounting.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/stream_random.h"
#include "plan/plan_json.h"

namespace sotto::client {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t total_steps(const RunPlan& plan) { return std::uint64_t{plan.rounds} * plan.local_steps; }

std::vector<Evaluation>::const_iterator best_of(const std::vector<Evaluation>& all) {
  return std::ranges::min_element(all, {}, &Evaluation::loss);
}

// Tells the other processes, however the first ends, that no step comes any more.
class EndOfSteps {
 public:
  explicit EndOfSteps(model::ProcessGroup* group) : group_(group) {}
  EndOfSteps(const EndOfSteps&) = delete;
  EndOfSteps& operator=(const EndOfSteps&) = delete;
  ~EndOfSteps() {
    if (group_ == nullptr) return;
    try {
      group_->broadcast(as_bytes("end"));
    } catch (const Failure&) {  // NOLINT(bugprone-empty-catch): they are gone
    }
  }

 private:
  model::ProcessGroup* group_;
};

Error stopped(const RunPlan& plan, std::uint64_t steps) {
  const bool goes_on = plan.step.noise == NoiseScheme::kIndependent;
  return refused("stopped after " + std::to_string(steps) + " of " + std::to_string(total_steps(plan)) + " steps; " +
                 (goes_on ? "the same command goes on from there"
                          : "a run with correlated noise does not go on: name another folder with --out to begin anew (what "
                            "was spent stays spent)"));
}

Result<Evaluation> evaluation_of(const model::LanguageModel& model, const data::DataSet& data) {
  SOTTO_TRY(const auto losses, model.evaluate(data.examples));
  double loss = 0, tokens = 0, correct = 0;
  for (const auto& one : losses) {
    loss += one.loss_sum;
    tokens += one.tokens;
    correct += one.correct;
  }
  return Evaluation{0, loss / tokens, correct / tokens, 0};
}

}  // namespace

LocalRun::LocalRun(LocalContext context, RandomSource& random)
    : in_(context),
      budget_(in_.setup->config.policy.budget),
      random_(&random),
      training_(file().plan, SiteIndex(0), *in_.training, in_.data->training, *in_.run_key),
      optimizer_(file().plan.optimizer, in_.training->dimension()) {
  if (in_.mix) training_.mix(*in_.mix);
}

// Without privacy, draws follow from the run's key and the step alone, so that the run can be repeated.
crypto::StreamKey LocalRun::draws_without_privacy() const {
  ByteWriter info;
  info.text("sotto/sampling/v1").text(file().plan.run.value()).u64(at_.steps);
  return crypto::StreamKey(crypto::hkdf_sha256<32>({}, in_.run_key->reveal(), info.view()));
}

// Processes that share a step draw units and noise from one stream, whose key the first gives to all: so each has the same
// noised sum, to which the noise was added once.
Result<std::optional<privacy::DpEvent>> LocalRun::next_step() {
  const bool privacy = file().plan.privacy;
  if (privacy && in_.group == nullptr) return training_.step(at_.steps, optimizer_, *random_);
  auto key = privacy ? crypto::StreamKey::random(*random_) : draws_without_privacy();
  if (in_.group != nullptr) in_.group->broadcast(key.reveal());
  crypto::StreamRandom stream(std::move(key));
  return training_.step(at_.steps, optimizer_, stream);
}

Result<void> LocalRun::serve() {
  SOTTO_TRY_VOID(training_.check_units());
  SOTTO_TRY_VOID(resume());
  in_.group->meet();
  while (true) {
    const Bytes key = in_.group->broadcast({});
    if (key.size() != 32) return {};
    if (at_.steps % file().plan.local_steps == 0) begin(round());
    crypto::StreamRandom shared(crypto::StreamKey::from(key));
    SOTTO_TRY([[maybe_unused]] const auto event, training_.step(at_.steps, optimizer_, shared));
    ++at_.steps;
  }
}

Result<void> LocalRun::resume() {
  const RunPlan& plan = file().plan;
  const Digest digest = digest_of(*in_.setup);
  SOTTO_TRY(auto stored, load_checkpoint(in_.setup->out + "/checkpoint", digest));
  if (!stored) {
    at_.plan = digest;
    return {};
  }
  at_ = std::move(stored->at);
  if (plan.step.noise != NoiseScheme::kIndependent && at_.steps < total_steps(plan) && !must_stop())
    return refused("'" + in_.setup->out +
                   "/checkpoint': a run with correlated noise that was interrupted does not go on, because what its noise "
                   "is combined with was kept in memory alone; name another folder with --out to begin anew (what was spent "
                   "stays spent)");
  log(Level::kInfo, "training_resumed", {{"run", plan.run.value()}, {"steps_taken", at_.steps}});
  SOTTO_TRY_VOID(in_.training->set_state(stored->state));
  training_.set_threshold(at_.threshold);
  begin(round());
  const bool goes_on = plan.trained != TrainedPart::kAlternating || at_.steps % plan.local_steps != 0;
  return goes_on ? optimizer_.restore(std::move(stored->optimizer)) : Result<void>();
}

RoundId LocalRun::round() const { return RoundId(static_cast<std::uint32_t>(at_.steps / file().plan.local_steps)); }

// Where rounds alternate, each begins with moments of its own, as in a federated run.
void LocalRun::begin(RoundId round) {
  const RunPlan& plan = file().plan;
  if (plan.trained != TrainedPart::kAlternating) return;
  in_.training->begin_round(round);
  optimizer_ = model::Optimizer(plan.optimizer, in_.training->dimension());
}

// The rounds to come, all at once: a run that could not be ended is not begun. Without privacy nothing is charged: there is
// no guarantee to keep, and the adapter is not for release.
Result<void> LocalRun::check_budget() {
  const RunPlan& plan = file().plan;
  if (!plan.privacy || in_.setup->covered) return {};
  const Policy& policy = in_.setup->config.policy;
  if (!in_.ledger->spending().binding_of(plan.run))
    SOTTO_TRY_VOID(in_.ledger->bind({plan.run, budget_, audit::to_string(plan.unit), policy.epsilon_limit, policy.delta},
                                    wall_clock()));
  SOTTO_TRY_VOID(note_elsewhere({in_.book, in_.log, in_.ledger}, budget_, wall_clock()));
  std::vector<privacy::DpEvent> to_come;
  for (std::uint32_t r = 0; r < plan.rounds; ++r) {
    if (in_.ledger->spending().rounds().contains({plan.run, RoundId(r)})) continue;
    SOTTO_TRY(const auto planned,
              audit::planned_round(plan, plan.sites.front(), in_.training->dimension_in(RoundId(r)), RoundId(r)));
    to_come.insert(to_come.end(), planned.begin(), planned.end());
  }
  if (to_come.empty()) return {};
  return in_.ledger->can_afford(audit::merged(to_come), {policy.epsilon_limit, policy.delta}, budget_);
}

// What the part of a run that was killed had reserved pays for the same steps once: not for those of another plan, nor again
// for steps whose result has left.
Result<void> LocalRun::reserve(RoundId round) {
  const RunPlan& plan = file().plan;
  SOTTO_TRY(auto planned, audit::planned_round(plan, plan.sites.front(), in_.training->dimension_in(round), round));
  const auto& rounds = in_.ledger->spending().rounds();
  if (const auto known = rounds.find({plan.run, round}); known != rounds.end()) {
    const auto& spent = known->second;
    if (spent.state == audit::RoundSpend::State::kReserved && spent.planned.same_as(audit::RoundCost(planned))) return {};
    return refused("'" + in_.setup->out + "/log' counts round " + std::to_string(round.value()) + " of run '" +
                   plan.run.value() + "' already, " +
                   (spent.state == audit::RoundSpend::State::kReserved
                        ? "with other noise, sampling or steps than the plan's"
                        : "and the checkpoint beside it does not hold its result") +
                   "; name another folder with --out to begin anew (what was spent stays spent)");
  }
  if (!plan.privacy || in_.setup->covered)
    return in_.ledger->reserve(plan.run, round, std::move(planned), std::nullopt, wall_clock());
  const audit::BudgetLimit limit{in_.setup->config.policy.epsilon_limit, in_.setup->config.policy.delta};
  return client::reserve({in_.book, in_.log, in_.ledger}, {plan.run, round, std::move(planned), limit}, wall_clock());
}

// Committed after the checkpoint that holds the round's last step: a kill between the two is made good by the next part.
Result<void> LocalRun::commit(RoundId round) {
  const auto& rounds = in_.ledger->spending().rounds();
  const auto spent = rounds.find({file().plan.run, round});
  if (spent == rounds.end())
    return refused("'" + in_.setup->out + "/log' does not know round " + std::to_string(round.value()) +
                   ", which the checkpoint beside it has: they are not of one run; name another folder with --out");
  if (spent->second.state == audit::RoundSpend::State::kReserved)
    SOTTO_TRY_VOID(in_.ledger->commit(file().plan.run, round, at_.events, wall_clock()));
  at_.events.clear();
  return {};
}

Result<void> LocalRun::evaluate() {
  const bool validates = !in_.data->validation.examples.empty(), watches = !in_.data->general.examples.empty();
  if (!validates && !watches) return {};
  Evaluation found;
  if (validates) {
    SOTTO_TRY(found, evaluation_of(*in_.model, in_.data->validation));
  }
  if (watches) {
    SOTTO_TRY(const auto general, evaluation_of(*in_.model, in_.data->general));
    found.general = general.loss;
  }
  if (!std::isfinite(found.loss) || !std::isfinite(found.general))
    return ran_away("the loss on data outside the guarantee is not a finite number");
  found.step = at_.steps;
  at_.evaluations.push_back(found);
  const bool is_best = best_of(at_.evaluations) == std::prev(at_.evaluations.end());
  if (validates && is_best && file().alone.patience > 0) at_.best = in_.training->state();
  if (file().alone.forgetting_stops && !forgets(found)) at_.within = in_.training->state();
  return {};
}

// What the last steps came to: not before their checkpoint, for until then they may be taken again, with other noise.
void LocalRun::tell() {
  training_.tell_clipped();
  if (at_.evaluations.empty() || at_.evaluations.back().step != at_.steps) return;
  const Evaluation& found = at_.evaluations.back();
  if (found.loss > 0)
    log(Level::kInfo, "evaluated", {{"steps", found.step}, {"loss", found.loss}, {"token_accuracy", found.accuracy}});
  if (in_.data->general.examples.empty()) return;
  const double risen_by = found.general - at_.evaluations.front().general;
  log(Level::kInfo, "general_text", {{"steps", found.step}, {"loss", found.general}, {"risen_by", risen_by}});
  if (forgets(found))
    log(Level::kWarning, "forgetting",
        {{"steps", found.step},
         {"risen_by", risen_by},
         {"limit", file().alone.forgetting_limit},
         {"next_step", file().alone.forgetting_stops ? "training stops at the last adapter within the limit"
                                                     : "mix general text in ([[train.mixture]]), or lower the rate"}});
}

bool LocalRun::forgets(const Evaluation& evaluation) const {
  return !in_.data->general.examples.empty() &&
         evaluation.general - at_.evaluations.front().general > file().alone.forgetting_limit;
}

bool LocalRun::out_of_patience() const {
  const auto patience = file().alone.patience;
  if (patience == 0 || at_.evaluations.empty()) return false;
  return at_.evaluations.end() - best_of(at_.evaluations) > static_cast<std::ptrdiff_t>(patience);
}

bool LocalRun::must_stop() const {
  return out_of_patience() || (file().alone.forgetting_stops && !at_.evaluations.empty() && forgets(at_.evaluations.back()));
}

Error LocalRun::ran_away(const std::string& what) const {
  if (at_.steps == 0)
    return invalid("'" + in_.setup->config.model + "': before the first step " + what + "; check the model's files");
  return refused("after " + std::to_string(at_.steps) + " steps " + what +
                 ": training has run away; lower optimizer.learning_rate and begin "
                 "anew with another --out (what was spent stays spent)");
}

Result<void> LocalRun::checkpoint() {
  const auto state = in_.training->state();
  if (!std::ranges::all_of(state, [](float v) { return std::isfinite(v); }))
    return ran_away("a trained number is not finite");
  at_.threshold = training_.threshold();
  saved_seconds_ = at_.seconds;
  return save_checkpoint(in_.setup->out + "/checkpoint", at_, state, optimizer_.state());
}

LocalOutcome LocalRun::outcome(bool stopped) const {
  const RunPlan& plan = file().plan;
  const std::string unit = audit::to_string(plan.unit);
  LocalOutcome out{.state = in_.training->state(),
                   .steps = at_.steps,
                   .evaluations = at_.evaluations,
                   .epsilon = INFINITY,
                   .relation = audit::relation_text({}, unit),
                   .epsilon_with_earlier_runs = INFINITY,
                   .relation_with_earlier_runs = audit::relation_text({}, unit),
                   .seconds = at_.seconds,
                   .stopped_early = stopped};
  out.forgetting = std::ranges::any_of(at_.evaluations, [&](const Evaluation& e) { return forgets(e); });
  if (at_.best) out.state = *at_.best;
  if (at_.within && !at_.evaluations.empty() && forgets(at_.evaluations.back())) out.state = *at_.within;
  if (!plan.privacy) return out;
  const auto& spending = in_.ledger->spending();
  const auto own = spending.of_run(plan.run), all = spending.total(budget_);
  out.relation = audit::relation_text(own.events, unit);
  if (const auto& covered = in_.setup->covered) {
    out.epsilon = covered->epsilon;
    out.epsilon_with_earlier_runs = covered->epsilon_with_earlier_runs;
    out.relation_with_earlier_runs = covered->relation_with_earlier_runs;
    return out;
  }
  out.epsilon = audit::composed_epsilon(own, plan.delta);
  out.epsilon_with_earlier_runs = audit::composed_epsilon(all, plan.delta);
  out.relation_with_earlier_runs = audit::relation_text(all.events, unit);
  return out;
}

Result<LocalOutcome> LocalRun::go(const std::function<bool()>& stop) {
  const RunPlan& plan = file().plan;
  const auto& alone = file().alone;
  SOTTO_TRY_VOID(training_.check_units());
  SOTTO_TRY_VOID(resume());
  if (in_.group != nullptr) in_.group->meet();
  const EndOfSteps end(in_.group);
  // A kill between a round's checkpoint and its commit is made good here.
  if (at_.steps > 0 && at_.steps % plan.local_steps == 0)
    SOTTO_TRY_VOID(commit(RoundId(static_cast<std::uint32_t>(at_.steps / plan.local_steps - 1))));
  bool done = must_stop() || at_.steps == total_steps(plan);  // a finished run asks for nothing more
  if (!done) SOTTO_TRY_VOID(check_budget());
  if (at_.evaluations.empty() && at_.steps == 0) {
    SOTTO_TRY_VOID(evaluate());
    tell();
  }
  Progress progress("training " + plan.run.value() + ", steps", total_steps(plan) - at_.steps);
  while (!done) {
    const auto began = Clock::now();
    const RoundId round = this->round();
    SOTTO_TRY_VOID(reserve(round));
    if (at_.steps % plan.local_steps == 0) begin(round);
    const auto event = next_step();
    if (!event.ok()) return event.error();
    if (*event) at_.events.push_back(**event);
    ++at_.steps;
    progress.advance();
    at_.seconds += std::chrono::duration<double>(Clock::now() - began).count();
    const bool round_over = at_.steps % plan.local_steps == 0;
    if (round_over && (round.value() + 1) % alone.evaluate_every == 0) SOTTO_TRY_VOID(evaluate());
    const bool last = at_.steps == total_steps(plan), stopping = stop && stop();
    if (round_over || last || stopping || at_.seconds - saved_seconds_ >= alone.checkpoint_s) {
      SOTTO_TRY_VOID(checkpoint());
      tell();
    }
    if (round_over) SOTTO_TRY_VOID(commit(round));
    if (stopping && !last) return stopped(plan, at_.steps);
    done = last || (round_over && must_stop());
  }
  progress.finish();
  return outcome(must_stop());
}

Json evaluations_json(const std::vector<Evaluation>& evaluations) {
  Json::Array out;
  for (const auto& e : evaluations) {
    out.push_back(Json::object({{"steps", e.step}}));
    if (e.loss > 0) out.back().set("loss", e.loss).set("token_accuracy", e.accuracy);
    if (e.general > 0) out.back().set("general_loss", e.general);
  }
  return Json(std::move(out));
}

Json to_json(const LocalOutcome& outcome, const RunPlan& plan) {
  const auto& site = plan.sites.front();
  Json out = Json::object({{"run", plan.run.value()},
                           {"privacy", plan.privacy},
                           {"unit", plan.unit == PrivacyUnit::kPatient ? "patient" : "record"},
                           {"trained", audit::to_string(plan.trained)},
                           {"steps", outcome.steps},
                           {"stopped_early", outcome.stopped_early},
                           {"expected_batch", plan.expected_batch},
                           {"sampling_rate", site.sampling_rate},
                           {"clip_norm", plan.clip_norm},
                           {"noise_multiplier", site.noise_multiplier},
                           {"delta", plan.delta},
                           {"seconds", outcome.seconds},
                           {"evaluations", evaluations_json(outcome.evaluations)},
                           {"forgetting", outcome.forgetting}});
  out.set("epsilon", std::isfinite(outcome.epsilon) ? Json(outcome.epsilon) : Json("none"));
  out.set("neighbours", outcome.relation);
  out.set("epsilon_with_earlier_runs",
          std::isfinite(outcome.epsilon_with_earlier_runs) ? Json(outcome.epsilon_with_earlier_runs) : Json("none"));
  out.set("neighbours_with_earlier_runs", outcome.relation_with_earlier_runs);
  return out;
}

std::string text_of(const LocalOutcome& outcome, const RunPlan& plan) {
  char line[200];
  std::string out = "run " + plan.run.value() + ": " + std::to_string(outcome.steps) + " steps, ";
  if (std::isfinite(outcome.epsilon))
    std::snprintf(line, sizeof line, "epsilon %.4f at delta %g (%s)\n", outcome.epsilon, plan.delta,
                  outcome.relation.c_str());
  else
    std::snprintf(line, sizeof line, "without privacy: no guarantee\n");
  out += line;
  if (outcome.evaluations.empty()) return out;
  const auto& first = outcome.evaluations.front();
  const auto& last = outcome.evaluations.back();
  if (first.loss > 0) {
    std::snprintf(line, sizeof line,
                  "loss on data outside the guarantee: %.4f -> %.4f nats a token, token accuracy %.4f -> %.4f\n", first.loss,
                  last.loss, first.accuracy, last.accuracy);
    out += line;
  }
  if (first.general > 0) {
    std::snprintf(line, sizeof line, "loss on general text: %.4f -> %.4f nats a token%s\n", first.general, last.general,
                  outcome.forgetting ? "; FORGETTING: it rose above the limit" : "");
    out += line;
  }
  return out;
}

}  // namespace sotto::client
