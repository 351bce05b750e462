// Everything that writes in a coordinator's folder, held by one process at a time (a lock): log, registry, index and runs.
// The operator's commands are requests to it, as JSON objects with a "command": `serve` takes them from the spool
// (command_queue.h), and where no `serve` runs the command's own process opens the writer and asks directly. One thread.
#pragma once

#include <memory>

#include "coordinator/runs/run_scheduler.h"

namespace sotto::coordinator {

class FolderWriter {
 public:
  // Refused while another process has the folder. `folder` and `random` must outlive the writer.
  static Result<std::unique_ptr<FolderWriter>> open(const CoordinatorFolder& folder, RandomSource& random);

  // {"command": "invite" | "approve" | "revoke", "site": NAME}, {"command": "submit", "plan": HEX, "roster": HEX},
  // {"command": "stop", "run": NAME}. The answer's members depend on the command. What is to be sent is added to `out`;
  // sites whose admission ended are named in `shut_out`.
  struct Answer {
    Json json;
    Outbox out;
    std::optional<SiteName> shut_out;
  };
  Result<Answer> execute(const Json& request);

  RunScheduler& scheduler() { return *scheduler_; }
  SiteList& registry() { return *registry_; }

 private:
  FolderWriter(const CoordinatorFolder& folder, RandomSource& random, FileLock lock, audit::EventLog log)
      : folder_(&folder), random_(&random), lock_(std::move(lock)), log_(std::move(log)) {}
  Result<Answer> invite(const SiteName& site);
  Result<Answer> approve(const SiteName& site);
  Result<Answer> revoke(const SiteName& site);
  Result<Answer> submit(const Json& request);
  RunLog run_log() { return {folder_, &log_, &history_}; }

  const CoordinatorFolder* folder_;
  RandomSource* random_;
  FileLock lock_;
  audit::EventLog log_;
  History history_;
  std::optional<SiteList> registry_;
  std::optional<store::RunIndex> index_;
  std::optional<RunScheduler> scheduler_;
};

}  // namespace sotto::coordinator
