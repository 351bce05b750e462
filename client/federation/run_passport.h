// The passport of the adapter that a site keeps at the end of a run (lineage/passport.h): the run's plan, what the site's
// ledger says that it cost, and hashes of data and log. Pure functions.
#pragma once

#include "audit/ledger/spending.h"
#include "audit/log/log_reader.h"
#include "base/adapter.h"
#include "base/json.h"
#include "plan/run_plan.h"

namespace sotto::client {

// What the site knows at the end; everything outlives the call.
struct RunOutcome {
  const RunPlan* plan;
  SiteIndex site;
  const AdapterState* adapter;
  Precision precision;              // that the model ran in
  const audit::Spending* spending;  // of the site's ledger
  Digest data{};                    // RunData::fingerprint
  const audit::LogImage* log;
};

Json passport_of(const RunOutcome& outcome);

}  // namespace sotto::client
