// What a site's run trains on and watches. The site's records are claimed for the run's budget before one of them is used;
// who is held out never trains; the planted canaries stand among the rest as units of their own.
#pragma once

#include <optional>
#include <string>

#include "client/federation/forgetting_watch.h"
#include "client/site/patient_book.h"
#include "client/site/site_config.h"
#include "client/site/site_folder.h"

namespace sotto::client {

// Whose run it is; everything outlives the call.
struct RunDataSource {
  const SiteConfig* config;
  const SiteFolder* folder;
  const PatientBook* book;
  const RunPlan* plan;
  std::string budget;  // that the run spends from
};

struct RunData {
  data::DataSet training;
  Digest fingerprint{};                  // keyed hash of all the site's records: the site alone knows them by it
  std::optional<ForgettingWatch> watch;  // where the site's configuration asks for one
};

// Fails when patients belong to another budget (kRefused), and where no record can be used (kInvalid).
Result<RunData> load_run_data(const RunDataSource& source);

}  // namespace sotto::client
