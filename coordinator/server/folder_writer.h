// Writes the coordinator's folder: log, site list, index and runs. One process at a time holds it (a lock). The operator's
// commands are requests to it, as JSON objects with a "command". `serve` takes them from the command queue
// (command_queue.h); when no `serve` runs, the command's own process opens the writer and asks directly. One thread.
#pragma once

#include <memory>

#include "coordinator/runs/run_scheduler.h"

namespace sotto::coordinator {

class FolderWriter {
 public:
  // Refused while another process has the folder. `folder` and `random` must outlive the writer.
  static Result<std::unique_ptr<FolderWriter>> open(const CoordinatorFolder& folder, RandomSource& random);

  // {"command": "invite" | "approve" | "revoke", "site": NAME}, {"command": "submit", "plan": HEX, "roster": HEX},
  // {"command": "stop", "run": NAME}. The answer's members depend on the command. Messages to send are added to `out`;
  // `shut_out` names sites that may not connect any more.
  struct Answer {
    Json json;
    Outbox out;
    std::optional<SiteName> shut_out;
  };
  Result<Answer> execute(const Json& request);

  // What is written waits for the machine as `patience` says.
  void wait_with(Patience patience) { patience_ = std::move(patience); }
  const Patience& patience() const { return patience_; }

  RunScheduler& scheduler() { return *scheduler_; }
  SiteList& registry() { return *registry_; }

 private:
  FolderWriter(const CoordinatorFolder& folder, RandomSource& random, FileLock lock, audit::EventLog log)
      : folder_(&folder), random_(&random), lock_(std::move(lock)), log_(std::move(log)) {}
  Result<Answer> invite(const SiteName& site);
  Result<Answer> approve(const SiteName& site);
  Result<Answer> revoke(const SiteName& site);
  Result<Answer> submit(const Json& request);
  RunLog run_log() { return {folder_, &log_, &history_, &patience_}; }

  const CoordinatorFolder* folder_;
  RandomSource* random_;
  FileLock lock_;
  audit::EventLog log_;
  History history_;
  Patience patience_;
  std::optional<SiteList> registry_;
  std::optional<store::RunIndex> index_;
  std::optional<RunScheduler> scheduler_;
};

}  // namespace sotto::coordinator
