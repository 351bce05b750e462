// The operator's commands. Those that change something ask the running `serve`, or do it themselves when none runs; those
// that only read take the site list and the index as they are. Printed on stdout, as JSON with `json`; messages go to
// stderr.
#pragma once

#include <string>

#include "base/result.h"

namespace sotto::coordinator {

struct InitRequest {
  std::string folder;
  std::string config;  // coordinator.toml; empty: defaults
  std::string listen;  // instead of the config's
  std::string reachable;
};
Result<void> init(const InitRequest& request);

Result<void> invite(const std::string& folder, const std::string& site, bool json);
Result<void> list_sites(const std::string& folder, bool json);
Result<void> approve(const std::string& folder, const std::string& site, const std::string& fingerprint);
Result<void> revoke(const std::string& folder, const std::string& site);

struct PlanRequest {
  std::string folder;
  std::string file;  // run.toml
  bool allow_two_sites = false;
  bool json = false;
};
Result<void> plan(const PlanRequest& request);
Result<void> submit(const PlanRequest& request);

Result<void> list_runs(const std::string& folder, bool json);
// Until the run is over; refused when it was stopped, was refused by a site, or ended without a single result.
Result<void> watch(const std::string& folder, const std::string& run, bool json);
Result<void> stop(const std::string& folder, const std::string& run);
Result<void> report(const std::string& folder, const std::string& run, const std::string& out);
Result<void> serve(const std::string& folder);

}  // namespace sotto::coordinator
