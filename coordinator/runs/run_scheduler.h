// All runs of a coordinator: offers them to sites, collects approvals and refusals, starts one when every site of its roster
// has approved, one after the other, and collects the sites' records at the end. It is the server without its socket and
// command queue: messages of authenticated sites come in, messages to send go out. An Error means a failure of the machine
// (disk full, damaged files): the caller stops, and a restart continues from the log. One thread.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/folder/site_list.h"
#include "coordinator/runs/active_run.h"
#include "store/run_index.h"
#include "wire/codec.h"

namespace sotto::coordinator {

class RunScheduler {
 public:
  // `run_log.history` is the replay of `run_log.log`. The index is brought up to date. All outlive the scheduler.
  static Result<RunScheduler> open(const RunLog& run_log, const SiteList& registry, store::RunIndex& index);

  Result<Outbox> on(const Site& site, const wire::ToCoordinator& message, TimePoint now);
  Result<Outbox> gone(const SiteName& site, TimePoint now);
  Result<Outbox> tick(TimePoint now);
  // Whether a long message of this kind and size is expected of the site now.
  bool wants(const Site& site, const wire::Peeked& message) const;
  bool working() const { return active_ && active_->working(); }

  // Adds a new run: writes it to the log and offers it to its sites.
  Result<Outbox> submit(const RunPlan& plan, const Roster& roster);
  Result<Outbox> stop(const RunId& run);
  // Call this after a site was approved or revoked.
  Result<void> refresh_sites();
  void count(std::uint64_t bytes_up, std::uint64_t bytes_down);

 private:
  RunScheduler(const RunLog& run_log, const SiteList& registry, store::RunIndex& index)
      : run_log_(run_log), registry_(&registry), index_(&index) {}

  Result<Outbox> take(const Site& site, const wire::Hello& m, TimePoint now);
  Result<Outbox> take(const Site& site, const wire::FetchRun& m);
  Result<Outbox> take(const Site& site, const wire::RunApproval& m);
  Result<Outbox> take(const Site& site, const wire::RunRefusal& m);
  Result<Outbox> take(const Site& site, const wire::SiteRecord& m);
  Result<Outbox> take_round_message(const Site& site, const wire::ToCoordinator& m, TimePoint now);
  Result<Outbox> begin_run(TimePoint now);
  Result<Outbox> settle(TimePoint now);
  Result<Outbox> remind(const Site& site, const RunHistory& run) const;  // what the site owes to a run that is not active
  Result<void> keep_head(const Site& site, const wire::HeadBytes& bytes) const;
  Result<void> log_head(const Site& site, const wire::HeadBytes& bytes) const;
  Result<bool> is_newer(const Site& site, const wire::HeadBytes& bytes) const;
  Result<std::optional<audit::SignedHead>> newest_head_of(const Site& site) const;
  std::vector<std::string> unapproved(const RunHistory& run) const;

  // Approvals of all sites with one layout; nothing while any is missing.
  Result<std::optional<AdapterLayout>> agreed_layout(const RunHistory& run) const;
  Result<void> index_run(const RunHistory& run) const;
  Result<void> index_position() const;
  Result<void> after_change();
  Result<void> update_index();

  RunLog run_log_;
  const SiteList* registry_;
  store::RunIndex* index_;
  std::unique_ptr<ActiveRun> active_;
  std::set<SiteName> gone_;   // sites that were connected and are not
  std::set<SiteName> heard_;  // sites that have been connected since the start
  std::optional<TimePoint> first_tick_;
  bool settled_ = false;       // sites had the time to connect: those that did not are gone
  bool look_for_run_ = true;   // something changed that may let a waiting run start
  std::uint64_t indexed_ = 0;  // entries of the log that the index has
  std::set<RunId> changed_;    // runs whose state beside the log changed since
  bool index_behind_ = false;  // it could not be written
  std::string shown_;          // what the index last said about the active run's phase
};

}  // namespace sotto::coordinator
