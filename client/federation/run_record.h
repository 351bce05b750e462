// The site's event log as one run writes it: each event once, however often the run is taken up again. One thread.
#pragma once

#include <set>
#include <string>

#include "audit/ledger/ledger.h"
#include "client/protocol/participant.h"
#include "client/site/site_folder.h"
#include "wire/messages.h"

namespace sotto::client {

class RunRecord {
 public:
  // Everything outlives this. `ledger` writes the same log.
  RunRecord(const SiteFolder& folder, audit::EventLog& log, audit::Ledger& ledger);

  // Writes the event, unless it stands in the log already.
  Result<void> append(const audit::Event& event);
  wire::HeadBytes own_head() const;  // signed, of the log as it stands
  const audit::EventLog& log() const { return *log_; }

 private:
  const SiteFolder* folder_;
  audit::EventLog* log_;
  audit::Ledger* ledger_;
  std::set<Digest> logged_;  // hashes of the events that stand in the log
};

// The head of the last attempt that this site joined, in whichever run: what the coordinator signs next must continue it. (A
// head that was logged and not joined under was refused.) Empty when there is none.
Result<wire::HeadBytes> newest_coordinator_head(const audit::EventLog& log);

// A proof of misconduct for the site's operator, as a file of `folder`: {"code", "reason", "first", "second"}, the two in
// hexadecimal. The same proof is one file.
Result<void> keep_proof(const std::string& folder, const Proof& proof);

}  // namespace sotto::client
