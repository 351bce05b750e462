// What `doctor` says of a site's data: how many patients there are, which size to declare, and what would train nothing. For
// the site's own eyes: it counts patients.
#pragma once

#include "base/json.h"
#include "client/site/site_config.h"
#include "client/site/site_folder.h"
#include "client/text/text_model.h"

namespace sotto::client {

// {"records", "files", "files_named_twice", "patients", "training_patients", "declare", "declared", "trains_nothing": [{"run",
// "max_tokens", "records", "refused_by_chat_template", "refusal", "patients", "max_tokens_needed"}]}; the last for each run that
// `folder` knows (null: no folder), else for a plan that says nothing.
Result<Json> data_report(const SiteConfig& config, const SiteFolder* folder, const TextModel& text);
// Prints it, with '!' before what wants attention; whether nothing had to be marked.
bool print_data_report(const Json& report);

}  // namespace sotto::client
