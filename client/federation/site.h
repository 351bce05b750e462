// A running site: one connection to the coordinator, the site's event log, and a session for each approved run. It trains
// only in runs that the site's operator approved (`sotto-client approve`), within the site's own policy. One thread.
#pragma once

#include <functional>
#include <map>

#include "client/federation/policy.h"
#include "client/federation/run_session.h"

namespace sotto::client {

struct RunOptions {
  bool exit_when_finished = false;  // after the first run that finishes
  std::function<bool()> stop;       // asked between messages; true ends the loop
};

// `sotto-client run`. Returns when stopped, or with the error that keeps the site from working.
Result<void> run_site(const SiteFolder& folder, const SiteConfig& config, const RunOptions& options,
                      const SiteHooks& hooks = {});

// What the policy needs to know of this site: reads the model's fingerprint and shape.
Result<SiteFacts> site_facts(const SiteFolder& folder, const SiteConfig& config, const RunPlan& plan);

}  // namespace sotto::client
