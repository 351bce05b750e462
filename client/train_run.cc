#include "client/train_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/log.h"
#include "base/progress.h"
#include "audit/plan_json.h"
#include "crypto/hash.h"

namespace sotto::client {
namespace {

using Clock = std::chrono::steady_clock;

audit::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::uint64_t total_steps(const RunPlan& plan) { return std::uint64_t{plan.rounds} * plan.local_steps; }

// Of what the checkpoint belongs to. DoRA is no part of a plan that travels.
Digest digest_of(const audit::PlanFile& file) {
  ByteWriter out;
  out.raw(encode(file.plan)).u8(file.alone.dora);
  return crypto::sha256(out.view());
}

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
    } catch (const Failure&) {  // they are gone
    }
  }

 private:
  model::ProcessGroup* group_;
};

}  // namespace

TrainRun::TrainRun(TrainContext context, RandomSource& random)
    : in_(std::move(context)),
      random_(&random),
      training_(in_.file->plan, SiteIndex(0), *in_.training, *in_.data, *in_.run_key),
      optimizer_(in_.file->plan.optimizer, in_.training->dimension()) {}

// Processes that share a step draw units and noise from one stream, whose key the first gives to all: so each has the same
// noised sum, to which the noise was added once.
Result<std::optional<privacy::DpEvent>> TrainRun::next_step() {
  if (in_.group == nullptr) return training_.step(at_.steps, optimizer_, *random_);
  auto key = crypto::StreamKey::random(*random_);
  in_.group->broadcast(key.reveal());
  crypto::StreamRandom shared(std::move(key));
  return training_.step(at_.steps, optimizer_, shared);
}

Result<void> TrainRun::serve() {
  SOTTO_TRY_VOID(training_.check_units());
  SOTTO_TRY_VOID(resume());
  in_.group->meet();
  while (true) {
    const Bytes key = in_.group->broadcast({});
    if (key.size() != 32) return {};
    if (at_.steps % in_.file->plan.local_steps == 0) begin(round());
    crypto::StreamRandom shared(crypto::StreamKey::from(key));
    SOTTO_TRY([[maybe_unused]] const auto event, training_.step(at_.steps, optimizer_, shared));
    ++at_.steps;
  }
}

Result<void> TrainRun::resume() {
  const RunPlan& plan = in_.file->plan;
  const Digest digest = digest_of(*in_.file);
  SOTTO_TRY(auto stored, load_checkpoint(in_.out + "/checkpoint", digest));
  if (!stored) {
    at_.plan = digest;
    at_.state = in_.training->state();
    return {};
  }
  if (plan.step.noise != NoiseScheme::kIndependent && stored->steps < total_steps(plan))
    return refused("'" + in_.out + "/checkpoint': a run with correlated noise that was interrupted does not go on, because what its noise "
                   "is combined with was kept in memory alone; name another folder with --out to begin anew (what was spent stays spent)");
  at_ = std::move(*stored);
  log(Level::kInfo, "training_resumed", {{"run", plan.run.value()}, {"steps_taken", at_.steps}});
  SOTTO_TRY_VOID(in_.training->set_state(at_.state));
  training_.set_threshold(at_.threshold);
  begin(round());
  const bool goes_on = plan.trained != TrainedPart::kAlternating || at_.steps % plan.local_steps != 0;
  return goes_on ? optimizer_.restore(at_.optimizer) : Result<void>();
}

RoundId TrainRun::round() const { return RoundId(static_cast<std::uint32_t>(at_.steps / in_.file->plan.local_steps)); }

// Where rounds alternate, each begins with moments of its own, as in a federated run.
void TrainRun::begin(RoundId round) {
  const RunPlan& plan = in_.file->plan;
  if (plan.trained != TrainedPart::kAlternating) return;
  in_.training->begin_round(round);
  optimizer_ = model::Optimizer(plan.optimizer, in_.training->dimension());
}

// The rounds to come, all at once: a run that could not be ended is not begun.
Result<void> TrainRun::check_budget() const {
  const RunPlan& plan = in_.file->plan;
  if (!plan.privacy) return {};
  std::vector<privacy::DpEvent> to_come;
  for (std::uint32_t r = 0; r < plan.rounds; ++r) {
    if (in_.ledger->spending().rounds().contains({plan.run, RoundId(r)})) continue;
    SOTTO_TRY(const auto planned, audit::planned_round(plan, plan.sites.front(), in_.training->dimension_in(RoundId(r)), RoundId(r)));
    to_come.insert(to_come.end(), planned.begin(), planned.end());
  }
  if (to_come.empty()) return {};
  return in_.ledger->can_afford(audit::merged(to_come), {in_.policy->epsilon_limit, in_.policy->delta});
}

Result<void> TrainRun::reserve(RoundId round) {
  const RunPlan& plan = in_.file->plan;
  if (in_.ledger->spending().rounds().contains({plan.run, round})) return {};  // by the part of the run that was killed
  std::optional<audit::BudgetLimit> limit;
  if (plan.privacy) limit = audit::BudgetLimit{in_.policy->epsilon_limit, in_.policy->delta};
  SOTTO_TRY(auto planned, audit::planned_round(plan, plan.sites.front(), in_.training->dimension_in(round), round));
  return in_.ledger->reserve(plan.run, round, std::move(planned), limit, now());
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
  if (is_best && in_.file->alone.patience > 0) at_.best = in_.training->state();
  log(Level::kInfo, "evaluated", {{"steps", at_.steps}, {"loss", loss / tokens}, {"token_accuracy", correct / tokens}});
  return {};
}

bool TrainRun::out_of_patience() const {
  const auto patience = in_.file->alone.patience;
  if (patience == 0 || at_.evaluations.empty()) return false;
  return at_.evaluations.end() - best_of(at_.evaluations) > static_cast<std::ptrdiff_t>(patience);
}

Result<void> TrainRun::checkpoint() {
  at_.state = in_.training->state();
  at_.optimizer = optimizer_.state();
  at_.threshold = training_.threshold();
  saved_seconds_ = at_.seconds;
  return save_checkpoint(in_.out + "/checkpoint", at_);
}

Result<TrainOutcome> TrainRun::go(const std::function<bool()>& stop) {
  const RunPlan& plan = in_.file->plan;
  SOTTO_TRY_VOID(training_.check_units());
  SOTTO_TRY_VOID(resume());
  if (in_.group != nullptr) in_.group->meet();
  const EndOfSteps end(in_.group);
  // A kill between a round's checkpoint and its commit is made good here.
  if (at_.steps > 0 && at_.steps % plan.local_steps == 0)
    SOTTO_TRY_VOID(commit(RoundId(static_cast<std::uint32_t>(at_.steps / plan.local_steps - 1))));
  SOTTO_TRY_VOID(check_budget());
  if (at_.evaluations.empty() && at_.steps == 0) SOTTO_TRY_VOID(evaluate());
  Progress progress("training " + plan.run.value() + ", steps", total_steps(plan) - at_.steps);
  bool done = out_of_patience();
  while (!done && at_.steps < total_steps(plan)) {
    const auto began = Clock::now();
    const RoundId round = this->round();
    SOTTO_TRY_VOID(reserve(round));
    if (at_.steps % plan.local_steps == 0) begin(round);
    const auto event = next_step();
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
  return TrainOutcome{at_.best ? *at_.best : in_.training->state(), at_.steps, at_.evaluations, epsilon, at_.seconds, done};
}

Json to_json(const TrainOutcome& outcome, const RunPlan& plan) {
  Json::Array evaluations;
  for (const auto& e : outcome.evaluations)
    evaluations.push_back(Json::object({{"steps", e.step}, {"loss", e.loss}, {"token_accuracy", e.accuracy}}));
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
