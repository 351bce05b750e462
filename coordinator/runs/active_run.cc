#include "coordinator/runs/active_run.h"

#include <system_error>

#include "aggregation/fedsvd.h"
#include "aggregation/ring.h"
#include "aggregation/server_step.h"
#include "audit/log/running_program.h"
#include "audit/log/statements.h"
#include "audit/run/run_folder.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/overloaded.h"
#include "coordinator/runs/parent.h"
#include "crypto/hash.h"

namespace sotto::coordinator {
namespace {

void append(Outbox& out, Outbox more) { std::move(more.begin(), more.end(), std::back_inserter(out)); }

// The step that every site repeats: the mean of the survivors' updates, added to the adapter, factored anew where B alone is
// trained.
Result<Bytes> next_adapter(const RunPlan& plan, ByteSpan adapter, const StartServerStep& step) {
  SOTTO_TRY(const auto ring, aggregation::Ring::make(plan.ring, static_cast<std::uint32_t>(plan.sites.size())));
  SOTTO_TRY(const auto current, decode_adapter(adapter));
  const auto weights = aggregation::relative_weights(plan.sites);
  double total = 0;
  for (const auto site : step.survivors) total += weights.at(site.value());
  const auto mean = aggregation::dequantize_mean(step.sum, total, ring);
  SOTTO_TRY(const auto next, aggregation::server_step(current, mean, aggregation::step_in_round(plan.trained, step.round)));
  return encode(next);
}

}  // namespace

Result<void> RunLog::append(const audit::Event& event) const {
  const auto now = wall_clock();
  auto appended = log->append(event, now);
  while (!appended.ok() && appended.error().code == ErrorCode::kUnavailable && patience && *patience &&
         (*patience)(appended.error()))
    appended = log->append(event, now);
  if (!appended.ok()) return appended.error();
  return history->apply(event, now);
}

wire::HeadBytes RunLog::head() const {
  return audit::encode(audit::sign_head(log->image(), audit::kCoordinatorParty, folder->identity_key()));
}

wire::RunFinished RunLog::end_of(const RunHistory& run, const Digest& adapter) const {
  wire::RunFinished message{run.run, adapter, head(), run.rounds_over(), run.stopped(), {}};
  message.signature = crypto::sign_statement(
      folder->identity_key(), {wire::label_of(message), wire::kCoordinatorName, run.run, RoundId(message.rounds),
                               AttemptId(0), run.roster_hash, crypto::sha256(wire::body(message))});
  return message;
}

ActiveRun::ActiveRun(const RunLog& run_log, const RunId& run, AdapterLayout layout)
    : run_log_(run_log), run_(run), layout_(std::move(layout)), files_(*run_log.folder, run) {}

Result<std::unique_ptr<ActiveRun>> ActiveRun::start(const RunLog& run_log, const RunId& run, AdapterLayout layout) {
  std::unique_ptr<ActiveRun> active(new ActiveRun(run_log, run, std::move(layout)));
  SOTTO_TRY_VOID(active->files_.make_folders());
  SOTTO_TRY(active->progress_, active->files_.progress());
  SOTTO_TRY(const auto initial, active->files_.initial_adapter());
  if (!initial) {
    const RunPlan& plan = active->history().plan;
    SOTTO_TRY(const auto adapter, plan.parent
                                      ? adapter_with(*run_log.folder, *run_log.history, *plan.parent, active->layout_)
                                      : aggregation::initial_adapter(active->layout_, plan.seed));
    SOTTO_TRY_VOID(active->files_.save_initial_adapter(encode(adapter)));
  }
  const auto& history = active->history();
  if (!history.rounds.empty() && history.rounds.back().state == RoundHistory::State::kOpen &&
      !history.rounds.back().attempt_closed) {
    const auto& last = history.rounds.back();
    const RoundId round(history.rounds_over());
    SOTTO_TRY_VOID(run_log.append(audit::AttemptClosed{run, round, last.attempt, "the coordinator was restarted"}));
  }
  SOTTO_TRY(const auto program, audit::this_program(run));
  SOTTO_TRY_VOID(run_log.append(program));
  log(Level::kInfo, "run_started",
      {{"run", run.value()}, {"round", history.rounds_over()}, {"rounds", history.plan.rounds}});
  return active;
}

Result<Bytes> ActiveRun::newest_adapter() const {
  for (std::size_t i = history().rounds.size(); i-- > 0;) {
    if (history().rounds[i].state != RoundHistory::State::kDone) continue;
    SOTTO_TRY(auto message, files_.outcome(RoundId(static_cast<std::uint32_t>(i))));
    auto* result = std::get_if<wire::RoundResult>(&message);
    if (!result || crypto::sha256(result->adapter) != history().rounds[i].adapter)
      return invalid("the kept result of round " + std::to_string(i) + " of run '" + run_.value() +
                     "' is not the one in the log");
    return std::move(result->adapter);
  }
  SOTTO_TRY(auto initial, files_.initial_adapter());
  SOTTO_CHECK(initial.has_value());
  return std::move(*initial);
}

Result<void> ActiveRun::open_round(TimePoint now, Outbox& out) {
  const auto& past = history();
  RoundInput input{past.plan, past.roster, RoundId(past.rounds_over()), layout_, {}, past.transcript, AttemptId(1), false};
  SOTTO_TRY(input.adapter, newest_adapter());
  if (past.rounds.size() > input.round.value()) {
    input.first_attempt = AttemptId(past.rounds.back().attempt.value() + 1);
    input.opened_before = past.rounds.back().confirmed;
  }
  round_ = std::make_unique<Round>(std::move(input), run_log_.folder->identity_key());
  SOTTO_TRY(auto more, feed(open_attempt(), now));
  append(out, std::move(more));
  for (const auto site : gone_) {
    SOTTO_TRY(more, feed(SiteGone{site}, now));
    append(out, std::move(more));
  }
  return {};
}

Event ActiveRun::open_attempt() {
  head_size_ = run_log_.log->size();
  return Open{run_log_.head()};
}

// Any earlier size will do: a site may have been away, or have seen its last head in another run.
Outbox ActiveRun::prove_head(SiteIndex site, const wire::FetchHeadProof& m) const {
  const bool current = round_ && m.header == wire::RoundHeader{run_, RoundId(history().rounds_over()), round_->attempt()};
  if (!current || m.from == 0 || m.from > head_size_)
    return {{names({site}), wire::Rejected{"no_head_proof", "there is no head of this attempt that continues one of " +
                                                                std::to_string(m.from) + " entries"}}};
  return {
      {names({site}), wire::HeadProof{m.header, m.from, run_log_.log->image().tree.consistency_proof(m.from, head_size_)}}};
}

// An outcome is kept before the log names it: after a crash in between the file is overwritten or never looked at.
Result<void> ActiveRun::keep_outcome(const std::vector<Action>& actions) const {
  for (const auto& action : actions) {
    if (const auto* done = std::get_if<Release>(&action))
      SOTTO_TRY_VOID(run_log_.patiently([&] { return files_.save_outcome(done->result.header.round, done->result); }));
    if (const auto* none = std::get_if<VoidRound>(&action))
      SOTTO_TRY_VOID(run_log_.patiently([&] { return files_.save_outcome(none->message.header.round, none->message); }));
  }
  return {};
}

Result<Outbox> ActiveRun::feed(Event event, TimePoint now) {
  Outbox out;
  std::vector<Event> events;
  events.push_back(std::move(event));
  while (!events.empty()) {
    auto actions = round_->on(events.front(), now);
    events.erase(events.begin());
    SOTTO_TRY_VOID(keep_outcome(actions));
    for (auto& action : actions) SOTTO_TRY_VOID(carry_out(action, out, events));
  }
  return out;
}

Result<void> ActiveRun::carry_out(Action& action, Outbox& out, std::vector<Event>& next) {
  return std::visit(
      Overloaded{
          [&](Send& a) -> Result<void> {
            out.push_back({names(a.to), std::move(a.message)});
            return {};
          },
          [&](Append& a) { return run_log_.append(a.event); },
          [&](Drop& a) -> Result<void> {
            const std::string site =
                a.site.value() < history().roster.sites.size() ? history().roster.sites[a.site.value()].name : "?";
            log(Level::kWarning, "message_dropped",
                {{"run", run_.value()}, {"site", site}, {"code", a.code}, {"reason", a.reason}, {"excluded", a.excluded}});
            out.push_back({{SiteName(site)}, wire::Rejected{a.code, a.reason}});
            return {};
          },
          [&](KeepProof& a) -> Result<void> {
            const std::string& site = history().roster.sites.at(a.against.value()).name;
            log(Level::kError, "proof_kept", {{"run", run_.value()}, {"site", site}, {"reason", a.reason}});
            return run_log_.patiently([&] { return files_.save_proof(a, site, RoundId(history().rounds_over())); });
          },
          [&](CatchUp& a) -> Result<void> {
            SOTTO_TRY(auto missed, missed_by(a.site));
            append(out, std::move(missed));
            next.push_back(SiteConnected{a.site});
            return {};
          },
          [&](CloseAttempt& a) -> Result<void> {
            log(Level::kWarning, "attempt_closed",
                {{"run", run_.value()}, {"attempt", a.attempt.value()}, {"reason", a.reason}});
            return {};
          },
          [&](NewAttempt&) -> Result<void> {
            next.push_back(open_attempt());
            return {};
          },
          [&](StartUnmask& a) -> Result<void> {
            // A std::function is copied, and a job is not: it stays here until its work is started.
            job_.emplace(std::move(a.job));
            start_work([this]() -> Event { return Unmasked{coordinator::run(std::move(*job_))}; });
            return {};
          },
          [&](StartServerStep& a) -> Result<void> {
            SOTTO_TRY(Bytes adapter, run_log_.patiently([&] { return newest_adapter(); }));
            start_work([plan = history().plan, adapter = std::move(adapter), step = std::move(a)]() -> Event {
              return Stepped{next_adapter(plan, adapter, step)};
            });
            return {};
          },
          [&](Release& a) -> Result<void> {
            log(Level::kInfo, "round_done",
                {{"run", run_.value()}, {"round", a.result.header.round.value()}, {"sites", a.result.survivors.size()}});
            return run_log_.patiently([&] { return files_.save(progress_); });
          },
          [&](VoidRound& a) -> Result<void> {
            log(Level::kWarning, "round_void",
                {{"run", run_.value()}, {"round", a.message.header.round.value()}, {"reason", a.message.reason}});
            return run_log_.patiently([&] { return files_.save(progress_); });
          },
          [&](Finished&) -> Result<void> { return {}; }},
      action);
}

// Beside this thread, or, where the machine has no thread to give, on it.
void ActiveRun::start_work(std::function<Event()> work) {
  try {
    work_ = std::async(std::launch::async, work);
  } catch (const std::system_error& error) {
    log(Level::kWarning, "no_thread", {{"run", run_.value()}, {"reason", error.what()}});
    std::promise<Event> done;
    work_ = done.get_future();
    done.set_value(work());
  }
}

bool ActiveRun::accepts_for_the_first_time(SiteIndex site, const wire::Accepted& m) const {
  const auto round = m.header.round.value();
  const auto& rounds = history().rounds;
  const auto next = progress_.next_round.find(history().roster.sites.at(site.value()).name);
  return round < rounds.size() && rounds[round].state == RoundHistory::State::kDone && rounds[round].adapter == m.adapter &&
         (next == progress_.next_round.end() || next->second <= round);
}

Result<Outbox> ActiveRun::on(SiteIndex site, const wire::ToCoordinator& message, TimePoint now) {
  if (const auto* accepted = std::get_if<wire::Accepted>(&message)) {
    const auto round = accepted->header.round.value();
    auto& next = progress_.next_round[history().roster.sites.at(site.value()).name];
    const auto& rounds = history().rounds;
    const bool known = round < rounds.size() && rounds[round].state == RoundHistory::State::kDone &&
                       rounds[round].adapter == accepted->adapter;
    if (known) next = std::max(next, round + 1);
    // Late for a round that is over already: noted, and nothing more is wanted.
    if (known && (!round_ || round_->over() || round + 1 < rounds.size())) return Outbox{};
  }
  if (const auto* fetch = std::get_if<wire::FetchHeadProof>(&message)) return prove_head(site, *fetch);
  if (!round_ || finished()) return Outbox{};
  return feed(FromSite{site, message}, now);
}

Result<Outbox> ActiveRun::connected(SiteIndex site, TimePoint now) {
  gone_.erase(site);
  if (!round_ || finished()) return Outbox{};
  return feed(SiteConnected{site}, now);
}

Result<Outbox> ActiveRun::gone(SiteIndex site, TimePoint now) {
  gone_.insert(site);
  if (!round_ || finished()) return Outbox{};
  return feed(SiteGone{site}, now);
}

Result<Outbox> ActiveRun::tick(TimePoint now) {
  Outbox out;
  if (finished()) return out;
  if (!round_) SOTTO_TRY_VOID(open_round(now, out));
  if (work_.valid()) {
    if (work_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return out;
    SOTTO_TRY(auto more, feed(work_.get(), now));
    append(out, std::move(more));
  } else {
    SOTTO_TRY(auto more, feed(Tick{}, now));
    append(out, std::move(more));
  }
  while (round_->over()) {
    round_.reset();
    SOTTO_TRY_VOID(run_log_.patiently([&] { return files_.save(progress_); }));
    if (history().rounds_over() == history().plan.rounds) {
      SOTTO_TRY_VOID(finish(out));
      return out;
    }
    SOTTO_TRY_VOID(open_round(now, out));
  }
  return out;
}

Result<void> ActiveRun::finish(Outbox& out) {
  SOTTO_TRY(const Bytes adapter, newest_adapter());
  SOTTO_TRY_VOID(run_log_.patiently([&] { return files_.save_final_adapter(adapter); }));
  const Digest hash = crypto::sha256(adapter);
  SOTTO_TRY_VOID(run_log_.append(audit::RunFinished{run_, hash}));
  SOTTO_TRY_VOID(run_log_.patiently(
      [&] { return files_.publish(history().plan, history().roster, *run_log_.log, run_log_.folder->identity_key()); }));
  log(Level::kInfo, "run_finished", {{"run", run_.value()}, {"adapter", to_hex(hash)}, {"folder", files_.path()}});
  const wire::RunFinished message = run_log_.end_of(history(), hash);
  for (std::uint32_t i = 0; i < history().roster.sites.size(); ++i) {
    SOTTO_TRY(auto missed, missed_by(SiteIndex(i)));
    append(out, std::move(missed));
    out.push_back({names({SiteIndex(i)}), message});
  }
  return {};
}

Result<Outbox> ActiveRun::stop(const std::string& reason) {
  Outbox out;
  if (work_.valid()) work_.wait();  // its outcome is dropped with the round
  work_ = {};
  const auto& rounds = history().rounds;
  if (!rounds.empty() && rounds.back().state == RoundHistory::State::kOpen) {
    const RoundId round(history().rounds_over());
    const AttemptId attempt = rounds.back().attempt;
    wire::RoundVoid message{{run_, round, attempt}, reason, {}};
    message.signature = crypto::sign_statement(run_log_.folder->identity_key(),
                                               {wire::label_of(message), wire::kCoordinatorName, run_, round, attempt,
                                                history().roster_hash, crypto::sha256(wire::body(message))});
    SOTTO_TRY_VOID(files_.save_outcome(round, message));
    if (!rounds.back().attempt_closed) SOTTO_TRY_VOID(run_log_.append(audit::AttemptClosed{run_, round, attempt, reason}));
    SOTTO_TRY_VOID(run_log_.append(audit::RoundVoid{run_, round, reason}));
  }
  round_.reset();
  SOTTO_TRY_VOID(finish(out));
  return out;
}

void ActiveRun::count(std::uint64_t bytes_up, std::uint64_t bytes_down) {
  progress_.bytes_up += bytes_up;
  progress_.bytes_down += bytes_down;
}

Result<Outbox> ActiveRun::missed_by(SiteIndex site) const {
  Outbox out;
  const auto next = progress_.next_round.find(history().roster.sites.at(site.value()).name);
  for (std::uint32_t i = next == progress_.next_round.end() ? 0 : next->second; i < history().rounds_over(); ++i) {
    SOTTO_TRY(auto message, files_.outcome(RoundId(i)));
    out.push_back({names({site}), std::move(message)});
  }
  return out;
}

std::vector<SiteName> ActiveRun::names(const std::vector<SiteIndex>& sites) const {
  std::vector<SiteName> out;
  for (const auto site : sites) out.emplace_back(history().roster.sites.at(site.value()).name);
  return out;
}

}  // namespace sotto::coordinator
