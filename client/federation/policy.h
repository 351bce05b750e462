// Whether this site takes part in a run: a function of the plan, the roster, the site's own limits and its ledger, decided
// before a record is read. Every refusal is one sentence that says what was asked, what is allowed, and what to do.
#pragma once

#include "audit/ledger/ledger.h"
#include "client/site/site_config.h"

namespace sotto::client {

// Who the site is and what it knows from its own side.
struct SiteFacts {
  std::string name;
  PublicKeyBytes identity{};
  PublicKeyBytes coordinator{};     // pinned when the site joined
  std::uint64_t declared_size = 0;  // as declared when it joined
  Digest model{};                   // fingerprint of the configured model
  std::size_t dimension = 0;        // trained numbers, from the site's own copy of the model
};

// This site's position in the roster; refused when it is not in it, or with another key.
Result<SiteIndex> find_site(const Roster& roster, const SiteFacts& facts);

struct Consent {
  SiteIndex site;
  double epsilon_of_run = 0;  // at policy.delta; infinite without privacy
  double epsilon_after = 0;   // with everything that this site's patients have spent before
};

// The whole check. `spent_before` counts against the limit, too.
Result<Consent> check_run(const Policy& policy, const SiteFacts& facts, const RunPlan& plan, const Roster& roster,
                          const audit::Spent& spent_before);

}  // namespace sotto::client
