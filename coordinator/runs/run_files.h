// What the coordinator keeps of a run beside its log, under runs/RUN: under state/ what it needs to go on after a crash, and
// in the layout of audit/run/run_folder.h what the parties publish. Files are written whole; one thread.
//   state/approvals/SITE, state/refusals/SITE   messages as received      state/initial_adapter   encode(AdapterState)
//   state/outcomes/ROUND   the RoundResult or RoundVoid that was sent       state/proofs/        what equivocation leaves
//   state/progress.json    traffic, and the round that each site is to hear of next
//   adapter/adapter.bin    encode(AdapterState) after the last round
#pragma once

#include <map>
#include <optional>
#include <string>

#include "audit/log/event_log.h"
#include "coordinator/folder/coordinator_folder.h"
#include "coordinator/round/round.h"
#include "wire/messages.h"

namespace sotto::coordinator {

struct RunProgress {
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::map<std::string, std::uint32_t> next_round;  // of each site that accepted a result: the round after it
};

class RunFiles {
 public:
  RunFiles(const CoordinatorFolder& folder, const RunId& run)
      : path_(folder.run_path(run)), state_(folder.state_path(run)) {}
  Result<void> make_folders() const;

  Result<void> save(const std::string& site, const wire::RunApproval& approval) const;
  Result<void> save(const std::string& site, const wire::RunRefusal& refusal) const;
  // Forgets what the site said before.
  Result<void> forget_refusal(const std::string& site) const;
  Result<std::optional<wire::RunApproval>> approval(const std::string& site) const;
  Result<std::optional<wire::RunRefusal>> refusal(const std::string& site) const;

  Result<void> save_initial_adapter(ByteSpan adapter) const;
  Result<std::optional<Bytes>> initial_adapter() const;
  // Written before the log names the outcome: a result in the log can always be sent again.
  Result<void> save_outcome(RoundId round, const wire::ToSite& message) const;
  Result<wire::ToSite> outcome(RoundId round) const;
  Result<void> save_proof(const KeepProof& proof, const std::string& site, RoundId round) const;

  Result<void> save(const RunProgress& progress) const;
  Result<RunProgress> progress() const;

  Result<void> save_final_adapter(ByteSpan adapter) const;
  // A site's log and head, after check_record below.
  Result<void> save(const std::string& site, const wire::SiteRecord& record) const;
  bool has_record(const std::string& site) const;
  // run.json, roster, the coordinator's log as it is now and its head.
  Result<void> publish(const RunPlan& plan, const Roster& roster, const audit::EventLog& log,
                       const crypto::SigningKey& key) const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::string state_;
};

// The log is whole, belongs to this site, and the head is the site's own over all of it.
Result<void> check_record(const wire::SiteRecord& record, const RosterSite& site);

}  // namespace sotto::coordinator
