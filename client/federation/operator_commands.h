// What a site's operator asks and decides: approve, refuse, status, doctor. They read the site's folder; only `run`
// writes the log. Printed on stdout, as JSON with `json`.
#pragma once

#include <string>

#include "client/site/site_folder.h"

namespace sotto::client {

struct DecisionRequest {
  std::string folder;
  std::string run;
  std::string roster;  // fingerprint that the operator got elsewhere; checked when given
  bool yes = false;    // do not ask
  std::string reason;  // of a refusal
};

// Shows plan and roster, checks the policy, and asks; nothing is written when the policy or the person says no.
Result<void> approve(const DecisionRequest& request);
Result<void> refuse(const DecisionRequest& request);
Result<void> status(const std::string& folder, bool json);
// The fingerprint of a model's files, which a plan names, without loading the model.
Result<void> show_fingerprint(const std::string& model, bool json);
// Checks that model, data, device and coordinator are in place. With an empty `folder`, only what `config` names is checked.
Result<void> doctor(const std::string& folder, const std::string& config, bool json);

}  // namespace sotto::client
