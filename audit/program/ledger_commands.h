// `sotto-audit ledger show | verify | prove | consistency | check`: one log or one proof at a time, without a run folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace sotto::audit {

struct LedgerQuery {
  std::string path;  // a log, a site's or coordinator's folder, or (show) a run folder; check: a proof
  std::string key;   // show: where the log key comes from (sealed_event.h); empty: sealed entries stay sealed
  std::string head;  // a signed head's JSON file that the answer is held against; empty: none
  std::int64_t entry = 0;
  std::int64_t from = 0;           // a size
  std::optional<std::int64_t> to;  // a size; none: the whole log
  bool json = false;
};

// Every entry. Fails at the first bad one, after those before it.
Result<void> ledger_show(const LedgerQuery& query);
// Frames, hashes, links, times and events of a log of any length, in bounded memory; entries, root and bytes.
Result<void> ledger_verify(const LedgerQuery& query);
// A proof that entry `entry` is in the log of `to` entries, as JSON.
Result<void> ledger_prove(const LedgerQuery& query);
// A proof that the log of `from` entries is a prefix of the log of `to` entries, as JSON.
Result<void> ledger_consistency(const LedgerQuery& query);
// Whether a proof holds (proof.h), with `head` also whether it is about what that party signed.
Result<void> ledger_check(const LedgerQuery& query);

}  // namespace sotto::audit
