#include "coordinator/runs/run_scheduler.h"

#include <algorithm>

#include "audit/run/run_folder.h"
#include "base/log.h"
#include "coordinator/runs/run_rows.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "wire/codec.h"

namespace sotto::coordinator {
namespace {

void append(Outbox& out, Outbox more) { std::move(more.begin(), more.end(), std::back_inserter(out)); }

constexpr auto kSettleTime = std::chrono::seconds(10);

Outgoing to(const SiteName& site, wire::ToSite message) { return {{site}, std::move(message)}; }

// The site's place in the roster, if this is the site that the roster means: same name and same keys.
std::optional<SiteIndex> place_of(const Roster& roster, const Site& site) {
  for (std::uint32_t i = 0; i < roster.sites.size(); ++i)
    if (roster.sites[i].name == site.name.value() && roster.sites[i].identity == site.identity &&
        roster.sites[i].transport == site.transport)
      return SiteIndex(i);
  return std::nullopt;
}

}  // namespace

Result<RunScheduler> RunScheduler::open(const RunLog& run_log, const SiteList& registry, store::RunIndex& index) {
  RunScheduler out(run_log, registry, index);
  SOTTO_TRY(const auto position, index.position());
  const store::RunIndex::Position here{to_hex(run_log.log->image().id()), static_cast<std::int64_t>(run_log.log->size())};
  if (position != here) log(Level::kInfo, "index_rebuilt", {{"entries", here.entries}});
  SOTTO_TRY(auto transaction, index.begin());
  if (position != here) SOTTO_TRY_VOID(index.clear());
  for (const auto& run : run_log.history->runs()) SOTTO_TRY_VOID(out.index_run(run));
  SOTTO_TRY_VOID(out.refresh_sites());
  SOTTO_TRY_VOID(out.index_position());
  SOTTO_TRY_VOID(transaction.commit());
  return out;
}

Result<void> RunScheduler::refresh_sites() {
  for (const auto& site : registry_->approved())
    SOTTO_TRY_VOID(
        index_->put(store::SiteRow{site.name.value(), site.fingerprint(), static_cast<std::int64_t>(site.declared_size)}));
  return {};
}

Result<void> RunScheduler::index_run(const RunHistory& run) const {
  const RunFiles files(*run_log_.folder, run.run);
  const bool active = active_ && active_->run() == run.run;
  std::string refusal;
  RunProgress progress;
  if (active) {
    progress = active_->progress();
  } else {
    SOTTO_TRY(progress, files.progress());
    for (const auto& site : run.roster.sites) {
      SOTTO_TRY(const auto said, files.refusal(site.name));
      if (said) refusal = "site '" + site.name + "' refused: " + said->reason;
    }
  }
  SOTTO_TRY_VOID(index_->put(run_row(run, progress, unapproved(run), refusal, active ? active_->round() : nullptr)));
  for (const auto& row : round_rows(run)) SOTTO_TRY_VOID(index_->put(row));
  return {};
}

Result<void> RunScheduler::index_position() const {
  return index_->set_position({to_hex(run_log_.log->image().id()), static_cast<std::int64_t>(run_log_.log->size())});
}

// The index follows the log, and shows the phase of the active round. It is made from the log: one that cannot be written now
// is written later, and keeps nobody waiting.
Result<void> RunScheduler::after_change() {
  const auto done = update_index();
  if (!done.ok() && !index_behind_) log(Level::kWarning, "index_behind", {{"reason", done.error().message}});
  index_behind_ = !done.ok();
  return {};
}

Result<void> RunScheduler::update_index() {
  std::string shown;
  if (active_ && active_->round()) {
    shown = std::string(to_string(active_->round()->phase()));
    for (const auto site : active_->round()->waiting_for()) shown += " " + std::to_string(site.value());
  }
  if (indexed_ == run_log_.log->size() && shown == shown_ && changed_.empty()) return {};
  SOTTO_TRY(auto transaction, index_->begin());
  for (const auto& run : run_log_.history->runs())
    if (!run.finished || changed_.contains(run.run) || (active_ && active_->run() == run.run))
      SOTTO_TRY_VOID(index_run(run));
  SOTTO_TRY_VOID(index_position());
  SOTTO_TRY_VOID(transaction.commit());
  indexed_ = run_log_.log->size();
  shown_ = shown;
  changed_.clear();
  return {};
}

std::vector<std::string> RunScheduler::unapproved(const RunHistory& run) const {
  std::vector<std::string> out;
  const RunFiles files(*run_log_.folder, run.run);
  for (const auto& site : run.roster.sites) {
    const auto approval = files.approval(site.name);
    if (!approval.ok() || !*approval) out.push_back(site.name);
  }
  return out;
}

Result<std::optional<AdapterLayout>> RunScheduler::agreed_layout(const RunHistory& run) const {
  const RunFiles files(*run_log_.folder, run.run);
  std::optional<Bytes> first;
  for (const auto& site : run.roster.sites) {
    SOTTO_TRY(const auto refusal, files.refusal(site.name));
    SOTTO_TRY(const auto approval, files.approval(site.name));
    if (refusal || !approval) return std::optional<AdapterLayout>();
    if (!first) first = approval->layout;
    if (*first == approval->layout) continue;
    const wire::RunRefusal differs{
        run.run, "its model gives another adapter layout than the one of site '" + run.roster.sites[0].name + "'"};
    SOTTO_TRY_VOID(files.save(site.name, differs));
    return std::optional<AdapterLayout>();
  }
  SOTTO_TRY(auto layout, decode_layout(*first));
  return std::optional<AdapterLayout>(std::move(layout));
}

Result<Outbox> RunScheduler::tick(TimePoint now) {
  SOTTO_TRY(auto out, settle(now));
  SOTTO_TRY(auto begun, begin_run(now));
  append(out, std::move(begun));
  if (active_) {
    SOTTO_TRY(auto more, active_->tick(now));
    append(out, std::move(more));
  }
  SOTTO_TRY_VOID(after_change());
  return out;
}

// The next run whose sites have all approved, when none is going on.
Result<Outbox> RunScheduler::begin_run(TimePoint now) {
  Outbox out;
  if (active_ && active_->finished()) {
    active_.reset();
    look_for_run_ = true;
  }
  for (const auto& run : run_log_.history->runs()) {
    if (active_ || !look_for_run_) break;
    if (run.finished) continue;
    SOTTO_TRY(auto layout, agreed_layout(run));
    if (!layout) continue;
    SOTTO_TRY(active_, ActiveRun::start(run_log_, run.run, std::move(*layout)));
    for (const auto& site : gone_) {
      SOTTO_TRY(auto more, gone(site, now));
      append(out, std::move(more));
    }
  }
  look_for_run_ = false;
  return out;
}

// After a start, sites have a while to connect; then those that did not are not waited for.
Result<Outbox> RunScheduler::settle(TimePoint now) {
  Outbox out;
  if (!first_tick_) first_tick_ = now;
  if (settled_ || now - *first_tick_ < kSettleTime) return out;
  settled_ = true;
  for (const auto& site : registry_->approved()) {
    if (heard_.contains(site.name)) continue;
    SOTTO_TRY(auto more, gone(site.name, now));
    append(out, std::move(more));
  }
  return out;
}

Result<Outbox> RunScheduler::gone(const SiteName& site, TimePoint now) {
  gone_.insert(site);
  if (!active_) return Outbox{};
  const Site* known = registry_->find(site);
  const auto place = known ? place_of(run_log_.history->find(active_->run())->roster, *known) : std::nullopt;
  if (!place) return Outbox{};
  return active_->gone(*place, now);
}

bool RunScheduler::wants(const Site& site, const wire::Peeked& message) const {
  using Kind = wire::Peeked::Kind;
  constexpr std::uint64_t kLongestShares = std::uint64_t{1} << 20;
  constexpr std::uint64_t kLongestApproval = std::uint64_t{5} << 20;
  const RunHistory* run = run_log_.history->find(message.run);
  const auto place = run && site.state == SiteState::kApproved ? place_of(run->roster, site) : std::nullopt;
  if (!place) return false;
  const bool active = active_ && active_->run() == message.run;
  switch (message.kind) {
    case Kind::kReport: return active && active_->wants_report(*place, message.header, message.size);
    case Kind::kShares: return active && message.size <= kLongestShares;
    case Kind::kRunApproval: return !run->finished && message.size <= kLongestApproval;
    case Kind::kSiteRecord: return run->finished;
    case Kind::kOther: return false;
  }
  return false;
}

Result<Outbox> RunScheduler::on(const Site& site, const wire::ToCoordinator& message, TimePoint now) {
  if (const auto* hello = std::get_if<wire::Hello>(&message)) return take(site, *hello, now);
  if (site.state != SiteState::kApproved)
    return Outbox{
        to(site.name, wire::Rejected{"not_approved", "the coordinator's operator has not approved this site yet"})};
  if (const auto* m = std::get_if<wire::FetchRun>(&message)) return take(site, *m);
  if (const auto* m = std::get_if<wire::RunApproval>(&message)) return take(site, *m);
  if (const auto* m = std::get_if<wire::RunRefusal>(&message)) return take(site, *m);
  if (const auto* m = std::get_if<wire::SiteRecord>(&message)) return take(site, *m);
  return take_round_message(site, message, now);
}

Result<Outbox> RunScheduler::take(const Site& site, const wire::Hello& m, TimePoint now) {
  gone_.erase(site.name);
  heard_.insert(site.name);
  // Of a site that nobody approved nothing is kept.
  if (site.state != SiteState::kApproved) return Outbox{to(site.name, wire::Welcome{run_log_.head(), {}})};
  SOTTO_TRY_VOID(keep_head(site, m.head));
  wire::Welcome welcome{run_log_.head(), {}};
  SOTTO_TRY(const auto newest, newest_head_of(site));
  if (newest) welcome.last_head_of_site = audit::encode(*newest);
  Outbox out{to(site.name, std::move(welcome))};
  for (const auto& run : run_log_.history->runs()) {
    const auto place = place_of(run.roster, site);
    if (!place) continue;
    const bool active = active_ && active_->run() == run.run;
    SOTTO_TRY(auto more, active ? active_->connected(*place, now) : remind(site, run));
    append(out, std::move(more));
  }
  SOTTO_TRY_VOID(after_change());
  return out;
}

// A run that waits: its offer, until the site has said yes. One that is over: its last word, until the site's record is
// here.
Result<Outbox> RunScheduler::remind(const Site& site, const RunHistory& run) const {
  Outbox out;
  const RunFiles files(*run_log_.folder, run.run);
  if (!run.finished) {
    SOTTO_TRY(const auto approval, files.approval(site.name.value()));
    if (!approval) out.push_back(to(site.name, wire::RunOffer{encode(run.plan), encode(run.roster)}));
    return out;
  }
  if (run.rounds.empty() || files.has_record(site.name.value())) return out;
  SOTTO_TRY(const auto progress, files.progress());
  const auto next = progress.next_round.find(site.name.value());
  for (std::uint32_t i = next == progress.next_round.end() ? 0 : next->second; i < run.rounds_over(); ++i) {
    SOTTO_TRY(auto outcome, files.outcome(RoundId(i)));
    out.push_back(to(site.name, std::move(outcome)));
  }
  SOTTO_TRY(const Bytes adapter, read_binary_file(files.path() + "/adapter/adapter.bin"));
  out.push_back(to(site.name, run_log_.end_of(run, crypto::sha256(adapter))));
  return out;
}

Result<Outbox> RunScheduler::take(const Site& site, const wire::FetchRun& m) {
  const auto& runs = run_log_.history->runs();
  for (auto run = runs.rbegin(); run != runs.rend(); ++run)
    if ((m.run.empty() || run->run.value() == m.run) && place_of(run->roster, site))
      return Outbox{to(site.name, wire::RunOffer{encode(run->plan), encode(run->roster)})};
  return Outbox{
      to(site.name, wire::Rejected{"unknown_run", "there is no run " + (m.run.empty() ? std::string("for this site")
                                                                                      : "'" + m.run + "' for this site")})};
}

Result<Outbox> RunScheduler::take(const Site& site, const wire::RunApproval& m) {
  const auto reject = [&](const char* code, const std::string& reason) -> Result<Outbox> {
    log(Level::kWarning, "approval_rejected", {{"run", m.run.value()}, {"site", site.name.value()}, {"reason", reason}});
    return Outbox{to(site.name, wire::Rejected{code, reason})};
  };
  const RunHistory* run = run_log_.history->find(m.run);
  if (!run || !place_of(run->roster, site))
    return reject("unknown_run", "there is no run '" + m.run.value() + "' for this site");
  if (m.plan != run->plan_hash || m.roster != run->roster_hash)
    return reject("wrong_plan", "the approval is for another plan or roster than the one of run '" + m.run.value() + "'");
  if (!decode_layout(m.layout).ok()) return reject("bad_layout", "the adapter layout in the approval cannot be read");
  const crypto::Statement statement{wire::label_of(m),
                                    site.name.value(),
                                    m.run,
                                    RoundId(0),
                                    AttemptId(0),
                                    run->roster_hash,
                                    crypto::sha256(wire::body(m))};
  if (const auto ok = crypto::verify_statement(crypto::VerifyKey(site.identity), statement, m.signature); !ok.ok())
    return reject("bad_signature", ok.error().message);
  const RunFiles files(*run_log_.folder, m.run);
  SOTTO_TRY_VOID(files.make_folders());
  SOTTO_TRY(const auto before, files.approval(site.name.value()));
  SOTTO_TRY(const auto refusal, files.refusal(site.name.value()));
  // Once a run has begun its layout stands: another one would keep it from going on after a restart.
  SOTTO_TRY(const auto begun, files.initial_adapter());
  if (begun && before && before->layout != m.layout)
    return reject("layout_stands", "run '" + m.run.value() +
                                       "' has begun with the adapter layout that this site approved first; its model "
                                       "must not change during a run");
  if (!before || before->layout != m.layout || refusal) {
    SOTTO_TRY_VOID(log_head(site, m.head));
    SOTTO_TRY_VOID(files.forget_refusal(site.name.value()));
    SOTTO_TRY_VOID(files.save(site.name.value(), m));
    log(Level::kInfo, "run_approved", {{"run", m.run.value()}, {"site", site.name.value()}});
    changed_.insert(m.run);
    look_for_run_ = true;
  }
  SOTTO_TRY_VOID(after_change());
  return Outbox{};
}

Result<Outbox> RunScheduler::take(const Site& site, const wire::RunRefusal& m) {
  const RunHistory* run = run_log_.history->find(m.run);
  if (!run || !place_of(run->roster, site) || run->finished || (active_ && active_->run() == m.run)) return Outbox{};
  log(Level::kWarning, "run_refused", {{"run", m.run.value()}, {"site", site.name.value()}, {"reason", m.reason}});
  const RunFiles files(*run_log_.folder, m.run);
  SOTTO_TRY_VOID(files.make_folders());
  SOTTO_TRY_VOID(files.save(site.name.value(), m));
  changed_.insert(m.run);
  SOTTO_TRY_VOID(after_change());
  return Outbox{};
}

Result<Outbox> RunScheduler::take(const Site& site, const wire::SiteRecord& m) {
  const RunHistory* run = run_log_.history->find(m.run);
  const auto place = run ? place_of(run->roster, site) : std::nullopt;
  if (!place || !run->finished)
    return Outbox{to(site.name, wire::Rejected{"not_finished", "run '" + m.run.value() + "' is not finished"})};
  if (const auto ok = check_record(m, run->roster.sites[place->value()]); !ok.ok()) {
    log(Level::kError, "record_rejected",
        {{"run", m.run.value()}, {"site", site.name.value()}, {"reason", ok.error().message}});
    return Outbox{to(site.name, wire::Rejected{"bad_record", ok.error().message})};
  }
  const RunFiles files(*run_log_.folder, m.run);
  // The permanent log takes the head of a site's first record of a run; a later record replaces the files.
  SOTTO_TRY_VOID(files.has_record(site.name.value()) ? keep_head(site, m.head) : log_head(site, m.head));
  SOTTO_TRY_VOID(files.save(site.name.value(), m));
  SOTTO_TRY_VOID(files.publish(run->plan, run->roster, *run_log_.log, run_log_.folder->identity_key()));
  log(Level::kInfo, "record_received", {{"run", m.run.value()}, {"site", site.name.value()}});
  SOTTO_TRY_VOID(after_change());
  return Outbox{};
}

Result<Outbox> RunScheduler::take_round_message(const Site& site, const wire::ToCoordinator& message, TimePoint now) {
  const auto run = std::visit(
      [](const auto& m) -> std::optional<RunId> {
        if constexpr (requires { m.header.run; })
          return m.header.run;
        else
          return std::nullopt;
      },
      message);
  if (!run) return Outbox{to(site.name, wire::Rejected{"wrong_type", "this message is not expected now"})};
  if (!active_ || active_->run() != *run) {
    if (std::holds_alternative<wire::Accepted>(message)) return Outbox{};  // late, and of no more use
    return Outbox{to(site.name, wire::Rejected{"not_running", "run '" + run->value() + "' is not running"})};
  }
  const auto place = place_of(run_log_.history->find(*run)->roster, site);
  if (!place)
    return Outbox{
        to(site.name, wire::Rejected{"unknown_sender", "this site is not in the roster of run '" + run->value() + "'"})};
  if (const auto* accepted = std::get_if<wire::Accepted>(&message)) {
    // One entry of the permanent log for each result that a site accepts.
    const bool first = active_->accepts_for_the_first_time(*place, *accepted);
    SOTTO_TRY_VOID(first ? log_head(site, accepted->head) : keep_head(site, accepted->head));
  }
  SOTTO_TRY(auto out, active_->on(*place, message, now));
  SOTTO_TRY(auto more, tick(now));
  append(out, std::move(more));
  return out;
}

// The newest head of the site that was shown here, in the log or in its file.
Result<std::optional<audit::SignedHead>> RunScheduler::newest_head_of(const Site& site) const {
  std::optional<audit::SignedHead> out;
  if (const auto* logged = run_log_.history->head_of(site.name.value())) out = *logged;
  const std::string path = run_log_.folder->head_path(site.name);
  if (!file_exists(path)) return out;
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  const auto kept = audit::decode_head(bytes);
  if (!kept.ok()) return out;
  if (!out || (kept->key == site.identity && (out->key != kept->key || kept->size > out->size))) out = *kept;
  return out;
}

// Whether the head is the site's, and newer than what is known. One that is older or of another past is said aloud: the site
// itself refuses to work from it once WELCOME shows it what it signed before.
Result<bool> RunScheduler::is_newer(const Site& site, const wire::HeadBytes& bytes) const {
  const auto head = audit::decode_head(bytes);
  if (!head.ok() || head->party != site.name.value() || head->key != site.identity || !audit::signature_holds(*head)) {
    log(Level::kWarning, "bad_head", {{"site", site.name.value()}});
    return false;
  }
  SOTTO_TRY(const auto known, newest_head_of(site));
  if (known && *known == *head) return false;
  if (known && known->key == head->key && (known->log != head->log || known->size >= head->size)) {
    log(Level::kError, "head_went_back",
        {{"site", site.name.value()}, {"known", known->size}, {"shown", head->size}, {"same_log", known->log == head->log}});
    return false;
  }
  return true;
}

// In a file that the next one replaces: what a site may show at any time must not make the log grow.
Result<void> RunScheduler::keep_head(const Site& site, const wire::HeadBytes& bytes) const {
  SOTTO_TRY(const bool newer, is_newer(site, bytes));
  if (!newer) return {};
  SOTTO_TRY_VOID(make_folder(run_log_.folder->path() + "/heads", FileMode::kPrivate));
  return write_file_atomically(run_log_.folder->head_path(site.name), bytes, FileMode::kPrivate);
}

// In the log, which keeps it for ever: for the steps of a run alone.
Result<void> RunScheduler::log_head(const Site& site, const wire::HeadBytes& bytes) const {
  SOTTO_TRY(const bool newer, is_newer(site, bytes));
  return newer ? run_log_.append(audit::HeadSeen{bytes}) : Result<void>{};
}

Result<Outbox> RunScheduler::submit(const RunPlan& plan, const Roster& roster) {
  if (run_log_.history->find(plan.run))
    return refused("there is a run '" + plan.run.value() + "' already; give the new one another name");
  SOTTO_TRY_VOID(validate(plan, roster));
  const Bytes plan_bytes = encode(plan);
  const Bytes roster_bytes = encode(roster);
  SOTTO_TRY_VOID(RunFiles(*run_log_.folder, plan.run).make_folders());
  SOTTO_TRY_VOID(run_log_.append(
      audit::RunSubmitted{plan.run, crypto::sha256(plan_bytes), crypto::sha256(roster_bytes), plan_bytes, roster_bytes}));
  SOTTO_TRY_VOID(after_change());
  Outbox out;
  for (const auto& site : roster.sites) out.push_back(to(SiteName(site.name), wire::RunOffer{plan_bytes, roster_bytes}));
  return out;
}

Result<Outbox> RunScheduler::stop(const RunId& run) {
  const RunHistory* history = run_log_.history->find(run);
  if (!history) return not_found("there is no run '" + run.value() + "'; 'sotto-coordinator runs' lists them");
  if (history->finished) return refused("run '" + run.value() + "' is over already");
  Outbox out;
  if (active_ && active_->run() == run) {
    SOTTO_TRY(out, active_->stop("stopped by the coordinator's operator"));
  } else {
    SOTTO_TRY_VOID(run_log_.append(audit::RunFinished{run, history->adapter.value_or(Digest{})}));
  }
  changed_.insert(run);
  SOTTO_TRY_VOID(after_change());
  return out;
}

void RunScheduler::count(std::uint64_t bytes_up, std::uint64_t bytes_down) {
  if (active_) active_->count(bytes_up, bytes_down);
}

}  // namespace sotto::coordinator
