#include "client/train_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/log.h"
#include "base/progress.h"
#include "crypto/hash.h"

namespace sotto::client {
namespace {

using Clock = std::chrono::steady_clock;

audit::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::uint64_t total_steps(const RunPlan& plan) { return std::uint64_t{plan.rounds} * plan.local_steps; }

std::vector<Evaluation>::const_iterator best_of(const std::vector<Evaluation>& all) {
  return std::ranges::min_element(all, {}, &Evaluation::loss);
}

}  // namespace

TrainRun::TrainRun(TrainContext context, RandomSource& random)
    : in_(std::move(context)),
      random_(&random),
      training_(in_.file->plan, SiteIndex(0), *in_.trainer, *in_.data, *in_.run_key),
      optimizer_(in_.file->plan.optimizer, in_.trainer->dimension()) {}

Result<void> TrainRun::resume() {
  const RunPlan& plan = in_.file->plan;
  const Digest digest = crypto::sha256(encode(plan));
  SOTTO_TRY(auto stored, load_checkpoint(in_.out + "/checkpoint", digest));
  if (!stored) {
    at_.plan = digest;
    at_.adapter = in_.trainer->adapter();
    return {};
  }
  at_ = std::move(*stored);
  log(Level::kInfo, "training_resumed", {{"run", plan.run.value()}, {"steps_taken", at_.steps}});
  SOTTO_TRY_VOID(in_.trainer->set_adapter(at_.adapter));
  training_.set_threshold(at_.threshold);
  return optimizer_.restore(at_.optimizer);
}

// The rounds to come, all at once: a run that could not be ended is not begun. Without privacy nothing is charged: there is no
// guarantee to keep, and the adapter is not for release.
Result<void> TrainRun::check_budget() const {
  const RunPlan& plan = in_.file->plan;
  if (!plan.privacy) return {};
  const std::string& budget = in_.policy->budget;
  if (!in_.ledger->spending().binding_of(plan.run))
    SOTTO_TRY_VOID(in_.ledger->bind({plan.run, budget, audit::to_string(plan.unit), in_.policy->epsilon_limit, in_.policy->delta}, now()));
  SOTTO_TRY_VOID(note_elsewhere({in_.book, in_.log, in_.ledger}, budget, now()));
  std::vector<privacy::DpEvent> to_come;
  for (std::uint32_t r = 0; r < plan.rounds; ++r) {
    if (in_.ledger->spending().rounds().contains({plan.run, RoundId(r)})) continue;
    SOTTO_TRY(const auto planned, audit::planned_round(plan, plan.sites.front(), in_.trainer->dimension(), RoundId(r)));
    to_come.insert(to_come.end(), planned.begin(), planned.end());
  }
  if (to_come.empty()) return {};
  return in_.ledger->can_afford(audit::merged(to_come), {in_.policy->epsilon_limit, in_.policy->delta}, budget);
}

Result<void> TrainRun::reserve(RoundId round) {
  const RunPlan& plan = in_.file->plan;
  if (in_.ledger->spending().rounds().contains({plan.run, round})) return {};  // by the part of the run that was killed
  SOTTO_TRY(auto planned, audit::planned_round(plan, plan.sites.front(), in_.trainer->dimension(), round));
  if (!plan.privacy) return in_.ledger->reserve(plan.run, round, std::move(planned), std::nullopt, now());
  const audit::BudgetLimit limit{in_.policy->epsilon_limit, in_.policy->delta};
  return client::reserve({in_.book, in_.log, in_.ledger}, {plan.run, round, std::move(planned), limit}, now());
}

// Committed after the checkpoint that holds the round's last step: a kill between the two is made good by the next part.
Result<void> TrainRun::commit(RoundId round) {
  const auto& rounds = in_.ledger->spending().rounds();
  const auto spent = rounds.find({in_.file->plan.run, round});
  if (spent == rounds.end())
    return refused("'" + in_.out + "/log' does not know round " + std::to_string(round.value()) +
                   ", which the checkpoint beside it has: they are not of one run; name another folder with --out");
  if (spent->second.state == audit::RoundSpend::State::kReserved)
    SOTTO_TRY_VOID(in_.ledger->commit(in_.file->plan.run, round, at_.events, now()));
  at_.events.clear();
  return {};
}

Result<void> TrainRun::evaluate() {
  if (in_.validation->examples.empty()) return {};
  SOTTO_TRY(const auto losses, in_.model->evaluate(in_.validation->examples));
  double loss = 0, tokens = 0, correct = 0;
  for (const auto& one : losses) {
    loss += one.loss_sum;
    tokens += one.tokens;
    correct += one.correct;
  }
  at_.evaluations.push_back({at_.steps, loss / tokens, correct / tokens});
  const bool is_best = best_of(at_.evaluations) == std::prev(at_.evaluations.end());
  if (is_best && in_.file->alone.patience > 0) at_.best = in_.trainer->adapter();
  log(Level::kInfo, "evaluated", {{"steps", at_.steps}, {"loss", loss / tokens}, {"token_accuracy", correct / tokens}});
  return {};
}

bool TrainRun::out_of_patience() const {
  const auto patience = in_.file->alone.patience;
  if (patience == 0 || at_.evaluations.empty()) return false;
  return at_.evaluations.end() - best_of(at_.evaluations) > static_cast<std::ptrdiff_t>(patience);
}

Result<void> TrainRun::checkpoint() {
  at_.adapter = in_.trainer->adapter();
  at_.optimizer = optimizer_.state();
  at_.threshold = training_.threshold();
  saved_seconds_ = at_.seconds;
  return save_checkpoint(in_.out + "/checkpoint", at_);
}

Result<TrainOutcome> TrainRun::go(const std::function<bool()>& stop) {
  const RunPlan& plan = in_.file->plan;
  SOTTO_TRY_VOID(training_.check_units());
  SOTTO_TRY_VOID(resume());
  // A kill between a round's checkpoint and its commit is made good here.
  if (at_.steps > 0 && at_.steps % plan.local_steps == 0)
    SOTTO_TRY_VOID(commit(RoundId(static_cast<std::uint32_t>(at_.steps / plan.local_steps - 1))));
  SOTTO_TRY_VOID(check_budget());
  if (at_.evaluations.empty() && at_.steps == 0) SOTTO_TRY_VOID(evaluate());
  Progress progress("training " + plan.run.value() + ", steps", total_steps(plan) - at_.steps);
  bool done = out_of_patience();
  while (!done && at_.steps < total_steps(plan)) {
    const auto began = Clock::now();
    const RoundId round(static_cast<std::uint32_t>(at_.steps / plan.local_steps));
    SOTTO_TRY_VOID(reserve(round));
    const auto event = training_.step(at_.steps, optimizer_, *random_);
    if (!event.ok()) return event.error();
    if (*event) at_.events.push_back(**event);
    ++at_.steps;
    progress.advance();
    const bool round_over = at_.steps % plan.local_steps == 0;
    if (round_over && (round.value() + 1) % in_.file->alone.evaluate_every == 0) SOTTO_TRY_VOID(evaluate());
    at_.seconds += std::chrono::duration<double>(Clock::now() - began).count();
    const bool last = at_.steps == total_steps(plan), stopping = stop && stop();
    if (round_over || last || stopping || at_.seconds - saved_seconds_ >= in_.file->alone.checkpoint_s) SOTTO_TRY_VOID(checkpoint());
    if (round_over) SOTTO_TRY_VOID(commit(round));
    if (stopping && !last) return refused("stopped after " + std::to_string(at_.steps) + " of " + std::to_string(total_steps(plan)) +
                                          " steps; the same command goes on from there");
    done = round_over && out_of_patience();
  }
  progress.finish();
  const double epsilon = plan.privacy ? audit::composed_epsilon(in_.ledger->spending().of_run(plan.run), plan.delta) : INFINITY;
  return TrainOutcome{at_.best ? *at_.best : in_.trainer->adapter(), at_.steps, at_.evaluations, epsilon, at_.seconds, done};
}

Json to_json(const TrainOutcome& outcome, const RunPlan& plan) {
  Json::Array evaluations;
  for (const auto& e : outcome.evaluations)
    evaluations.push_back(Json::object({{"steps", e.step}, {"loss", e.loss}, {"token_accuracy", e.accuracy}}));
  const auto& site = plan.sites.front();
  Json out = Json::object({{"run", plan.run.value()},
                           {"privacy", plan.privacy},
                           {"unit", plan.unit == PrivacyUnit::kPatient ? "patient" : "record"},
                           {"trained", plan.trained == TrainedPart::kB ? "B" : "AB"},
                           {"steps", outcome.steps},
                           {"stopped_early", outcome.stopped_early},
                           {"expected_batch", plan.expected_batch},
                           {"sampling_rate", site.sampling_rate},
                           {"clip_norm", plan.clip_norm},
                           {"noise_multiplier", site.noise_multiplier},
                           {"delta", plan.delta},
                           {"seconds", outcome.seconds},
                           {"evaluations", evaluations}});
  out.set("epsilon", std::isfinite(outcome.epsilon) ? Json(outcome.epsilon) : Json("none"));
  return out;
}

std::string text_of(const TrainOutcome& outcome, const RunPlan& plan) {
  char line[200];
  std::string out = "run " + plan.run.value() + ": " + std::to_string(outcome.steps) + " steps, ";
  if (std::isfinite(outcome.epsilon))
    std::snprintf(line, sizeof line, "epsilon %.4f at delta %g (add or remove one %s)\n", outcome.epsilon, plan.delta,
                  plan.unit == PrivacyUnit::kPatient ? "patient" : "record");
  else
    std::snprintf(line, sizeof line, "without privacy: no guarantee\n");
  out += line;
  if (!outcome.evaluations.empty()) {
    const auto& first = outcome.evaluations.front();
    const auto& last = outcome.evaluations.back();
    std::snprintf(line, sizeof line, "loss on data outside the guarantee: %.4f -> %.4f nats a token, token accuracy %.4f -> %.4f\n",
                  first.loss, last.loss, first.accuracy, last.accuracy);
    out += line;
  }
  return out;
}

}  // namespace sotto::client
