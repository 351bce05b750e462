// The single checks that verify() runs, for audit's own files. Each returns a short sentence about what holds, or an Error
// whose message names file and entry. Those about the run expect folder.facts and logs that parse and decode; what would
// have to be compared with a log that was not delivered is not compared (check_chain fails for such a log).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "audit/log/proof.h"
#include "audit/run/run_folder.h"

namespace sotto::audit {

using Finding = Result<std::string>;

// An event of one type with its place in a log. Only entries that a PartyLog keeps are found.
template <class E>
struct Placed {
  std::uint64_t entry;
  const E* event;
};

template <class E>
std::vector<Placed<E>> all_of(const PartyLog& log) {
  std::vector<Placed<E>> out;
  for (const LogEntry& entry : log.entries)
    if (const E* e = std::get_if<E>(&entry.event)) out.push_back({entry.index, e});
  return out;
}

template <class E>
std::vector<Placed<E>> all_of(const PartyLog& log, const RunId& run) {
  std::vector<Placed<E>> out = all_of<E>(log);
  std::erase_if(out, [&](const Placed<E>& p) { return p.event->run != run; });
  return out;
}

// The first event of an attempt; nullptr when there is none.
template <class E, class Key>
const E* find_of(const std::vector<Placed<E>>& events, const Key& key) {
  for (const auto& p : events) {
    if (p.event->round == key.round && p.event->attempt == key.attempt) return p.event;
  }
  return nullptr;
}

Error at_entry(const PartyLog& log, std::uint64_t entry, const std::string& why);

// checks_logs.cc: one log by itself, and heads
Finding check_chain(const PartyLog& log);  // whole, decodes, only events that belong there, a creation first
Finding check_head(const RunFolder& folder, const PartyLog& log);  // the party's signed head covers the whole log
std::vector<SeenHead> heads_seen_of(const RunFolder& folder, const std::string& party);  // by others, in their logs
Finding check_heads_seen(const RunFolder& folder, const PartyLog& log);  // what others saw of this log is a prefix of it

// checks_run.cc: what the parties say of the run
Finding check_run_files(const RunFolder& folder);   // run.json, roster, plan and hashes
Finding check_identities(const RunFolder& folder);  // logs and heads are of the roster's keys
Finding check_approvals(const RunFolder& folder);
Finding check_descriptors(const RunFolder& folder);
Finding check_survivors(const RunFolder& folder);                  // sets, REPORT and CONFIRM signatures, results
Finding check_end(const RunFolder& folder, const PartyLog& site);  // one end, the coordinator's, after the last result
Finding check_adapter_file(const RunFolder& folder);  // where an adapter lies beside the logs: the last result's
Finding check_one_opened(const RunFolder& folder);    // one UNMASK a round and site

// checks_privacy.cc
Finding check_ledger(const RunFolder& folder, const PartyLog& site);     // reserved, committed, reported in order
Finding check_mechanism(const RunFolder& folder, const PartyLog& site);  // sampling and noise that ran are those planned
Finding check_epsilon(const RunFolder& folder, const PartyLog& site);    // the report's number against the events
Finding check_accountants(const RunFolder& folder,
                          const PartyLog& site);  // the privacy loss's bracket against the RDP value
Finding check_canaries(const RunFolder& folder,
                       const PartyLog& site);  // the audit that the plan fixed, against the proven bound
Finding check_report_file(const RunFolder& folder, const std::string& file, const std::string& recomputed);

}  // namespace sotto::audit
