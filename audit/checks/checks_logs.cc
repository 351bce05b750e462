// The checks of one log by itself, and of the signed heads about it: chain, own head, heads that other parties saw.
#include <algorithm>

#include "audit/checks/checks.h"

namespace sotto::audit {
namespace {

struct Witness {
  SignedHead head;
  std::string where;           // "coordinator/log, entry 12"
  bool after_the_run = false;  // seen after its observer's run_finished: may be of entries that this copy does not have yet
};

// Where the run ended in this log: its one run_finished, with nothing of a round after it. An end that was only claimed, in
// mid-run, ends nothing.
std::optional<std::uint64_t> end_in(const RunFolder& folder, const PartyLog& log) {
  const auto finished = all_of<RunFinished>(log, folder.run);
  if (finished.size() != 1) return std::nullopt;
  const auto goes_on = [&](const auto& events) { return !events.empty() && events.back().entry > finished[0].entry; };
  if (goes_on(all_of<ResultAccepted>(log, folder.run)) || goes_on(all_of<RoundResult>(log, folder.run)) ||
      goes_on(all_of<RoundJoined>(log, folder.run)) || goes_on(all_of<RoundOpened>(log, folder.run)))
    return std::nullopt;
  return finished[0].entry;
}

// Every head of `party` that stands in another party's log.
std::vector<Witness> witnesses_of(const RunFolder& folder, const std::string& party) {
  std::vector<Witness> out;
  const auto collect = [&](const PartyLog& log) {
    if (log.party == party) return;
    const auto end = end_in(folder, log);
    for (const auto& seen : all_of<HeadSeen>(log)) {
      const auto head = decode_head(seen.event->head);
      if (!head.ok() || head->party != party) continue;
      out.push_back({*head, log.entry(seen.entry), end && seen.entry > *end});
    }
  };
  collect(folder.coordinator);
  for (const auto& site : folder.sites) collect(site);
  return out;
}

// Which entries may be the altered ones, from the heads that do and do not fit.
std::string suspects(const RunFolder& folder, const PartyLog& log, std::uint64_t bad_size) {
  std::uint64_t good = 0;
  for (const auto& w : witnesses_of(folder, log.party)) {
    if (!signature_holds(w.head)) continue;
    if (check_prefix(w.head, log.image).ok()) {
      good = std::max(good, w.head.size);
    } else {
      bad_size = std::min(bad_size, w.head.size);
    }
  }
  if (good >= bad_size) return "";
  if (bad_size - good == 1) return "; the first bad entry is " + std::to_string(good);
  return "; the first bad entry is one of " + std::to_string(good) + " to " + std::to_string(bad_size - 1);
}

}  // namespace

std::vector<SeenHead> heads_seen_of(const RunFolder& folder, const std::string& party) {
  std::vector<SeenHead> out;
  for (const auto& w : witnesses_of(folder, party)) out.push_back({w.head, w.where});
  return out;
}

Error at_entry(const PartyLog& log, std::uint64_t entry, const std::string& why) {
  return invalid(log.entry(entry) + ": " + why);
}

Finding check_chain(const PartyLog& log) {
  if (log.missing) return invalid(log.file() + " is missing: the party did not deliver its log");
  if (log.damage) return at_entry(log, log.damage->entry, log.damage->why);
  if (log.misplaced) return at_entry(log, log.misplaced->entry, log.misplaced->why);
  return std::to_string(log.size()) + " entries, every hash fits";
}

Finding check_head(const RunFolder& folder, const PartyLog& log) {
  const std::string file = head_file(log.party);
  if (!log.head) return invalid(file + ": " + log.head_problem);
  const SignedHead& head = *log.head;
  if (head.party != log.party) return invalid(file + " is a head of '" + head.party + "'");
  if (!signature_holds(head)) return invalid(file + ": the signature does not hold");
  const std::uint64_t size = log.image.tree.size();
  if (head.log != log.image.id()) {
    return at_entry(log, 0, "this is another log than the one that " + file + " signs; the first bad entry is 0");
  }
  if (head.size > size) {
    return at_entry(
        log, size,
        "it is missing: " + file + " signs " + std::to_string(head.size) + " entries, the log has " + std::to_string(size));
  }
  if (log.image.tree.root_at(head.size) != head.root) {
    return invalid(log.file() + " is not what " + file + " signs" + suspects(folder, log, head.size));
  }
  if (head.size < size) return at_entry(log, head.size, "no signed head covers it: " + file + " ends before it");
  return "covers all " + std::to_string(size) + " entries, root " + to_hex(head.root).substr(0, 16) + "...";
}

Finding check_heads_seen(const RunFolder& folder, const PartyLog& log) {
  const auto witnesses = witnesses_of(folder, log.party);
  const std::string key = log.head ? to_hex(log.head->key) : "";
  std::size_t later = 0;
  for (const auto& w : witnesses) {
    if (!signature_holds(w.head))
      return invalid(w.where + ": the head of '" + log.party + "' has a signature that does not hold");
    if (to_hex(w.head.key) != key) return invalid(w.where + ": the head of '" + log.party + "' is signed by another key");
    if (w.after_the_run && w.head.size > log.image.tree.size()) {
      ++later;
      continue;
    }
    const auto prefix = check_prefix(w.head, log.image);
    if (!prefix.ok()) return invalid(log.file() + " is not what " + w.where + " saw of it: " + prefix.error().message);
  }
  const std::string more = later > 0 ? ", " + std::to_string(later) + " of them later than this copy" : "";
  return std::to_string(witnesses.size()) + " heads in other parties' logs" + more;
}

}  // namespace sotto::audit
