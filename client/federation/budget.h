// `sotto-client budget`: what each run has spent from the patients' budget, what open reservations hold, what is left, and
// how many rounds of a plan the rest would pay for. Reads only: `run` may be writing the log at the same time.
#pragma once

#include <string>

#include "audit/ledger/spending.h"
#include "client/site/site_config.h"
#include "client/site/site_folder.h"

namespace sotto::client {

// As the site's log and the book of its patients say now.
Result<audit::Spending> spending_of(const SiteFolder& folder, const SiteConfig& config);

struct BudgetQuery {
  std::string folder;
  std::string plan;  // a RUN.toml, sized for this site; empty: none
  std::string run;   // an offered run; empty: none
  bool json = false;
};
Result<void> show_budget(const BudgetQuery& query);

}  // namespace sotto::client
