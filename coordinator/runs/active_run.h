// The active run: one Round after the other, from the first adapter to RUN FINISHED. It carries out the actions of the
// rounds: appends to the log (fsynced) before it sends anything that depends on the entry, keeps results, and has the heavy
// work done on another thread. It knows no sockets: messages come in by on(), and messages to send go out as an Outbox. One
// thread.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "audit/log/event_log.h"
#include "coordinator/round/round.h"
#include "coordinator/runs/run_files.h"
#include "coordinator/runs/run_history.h"

namespace sotto::coordinator {

struct Outgoing {
  std::vector<SiteName> to;
  wire::ToSite message;
};
using Outbox = std::vector<Outgoing>;

// What the machine refuses now (kUnavailable) may be had in a moment: waits for it, and says whether to try again.
using Patience = std::function<bool(const Error&)>;

// What all parts of a coordinator write with; everything must outlive its users.
struct RunLog {
  const CoordinatorFolder* folder;
  audit::EventLog* log;
  History* history;
  const Patience* patience = nullptr;  // none: the first refusal is the answer

  // `work` again and again, until it is done or fails for good. It must be repeatable.
  template <class Work>
  auto patiently(Work work) const {
    for (;;) {
      auto done = work();
      if (done.ok() || done.error().code != ErrorCode::kUnavailable || !patience || !*patience || !(*patience)(done.error()))
        return done;
    }
  }
  // On disk, and taken into the history, when it returns.
  Result<void> append(const audit::Event& event) const;
  wire::HeadBytes head() const;  // signed, over the whole log as it stands
  // The signed end of a run that stands finished in the log.
  wire::RunFinished end_of(const RunHistory& run, const Digest& adapter) const;
};

class ActiveRun {
 public:
  // Continues at the point that the log shows. `layout` is the one that all its sites approved.
  static Result<std::unique_ptr<ActiveRun>> start(const RunLog& run_log, const RunId& run, AdapterLayout layout);

  Result<Outbox> on(SiteIndex site, const wire::ToCoordinator& message, TimePoint now);
  Result<Outbox> connected(SiteIndex site, TimePoint now);
  Result<Outbox> gone(SiteIndex site, TimePoint now);
  // Handles deadlines and finished work of the other thread. The first call opens the first round.
  Result<Outbox> tick(TimePoint now);
  // Voids the open round, tells the sites why, and ends the run.
  Result<Outbox> stop(const std::string& reason);

  bool finished() const { return history().finished; }
  bool working() const { return work_.valid(); }  // on another thread: tick soon
  const RunId& run() const { return run_; }
  // The result is one of this run, and the site did not accept it or a later one before.
  bool accepts_for_the_first_time(SiteIndex site, const wire::Accepted& m) const;
  const Round* round() const { return round_.get(); }
  bool wants_report(SiteIndex site, const wire::RoundHeader& header, std::uint64_t bytes) const {
    return round_ && round_->wants_report(site, header, bytes);
  }
  void count(std::uint64_t bytes_up, std::uint64_t bytes_down);
  const RunProgress& progress() const { return progress_; }
  // The outcomes that the site has not accepted yet.
  Result<Outbox> missed_by(SiteIndex site) const;

 private:
  ActiveRun(const RunLog& run_log, const RunId& run, AdapterLayout layout);
  const RunHistory& history() const { return *run_log_.history->find(run_); }
  Result<Bytes> newest_adapter() const;
  Event open_attempt();
  void start_work(std::function<Event()> work);
  Outbox prove_head(SiteIndex site, const wire::FetchHeadProof& m) const;
  Result<Outbox> feed(Event event, TimePoint now);
  Result<void> carry_out(Action& action, Outbox& out, std::vector<Event>& next);
  Result<void> keep_outcome(const std::vector<Action>& actions) const;
  Result<void> open_round(TimePoint now, Outbox& out);
  Result<void> finish(Outbox& out);
  std::vector<SiteName> names(const std::vector<SiteIndex>& sites) const;

  RunLog run_log_;
  RunId run_;
  AdapterLayout layout_;
  RunFiles files_;
  RunProgress progress_;
  std::set<SiteIndex> gone_;  // every new round is told
  std::unique_ptr<Round> round_;
  std::uint64_t head_size_ = 0;  // of the head that the present attempt's descriptor names
  std::optional<UnmaskJob> job_;
  std::future<Event> work_;
};

}  // namespace sotto::coordinator
