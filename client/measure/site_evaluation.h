// What a site publishes of an evaluation on data outside the guarantee (evaluation/federated.h), signed with its identity,
// and the pooled figures of several sites. The file may be sent by any means: it holds sums and no item, and anybody can
// check the signature.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "client/site/site_folder.h"
#include "evaluation/federated.h"

namespace sotto::client {

// {"site", "key", "fingerprint", "result", "signature"}; Ed25519 over text "sotto/site-evaluation/v1", text site, SHA-256 of
// `result` as one line.
Json signed_evaluation(const SiteFolder& site, const evaluation::SiteSums& sums);

struct CheckedEvaluation {
  evaluation::NamedSums named;
  PublicKeyBytes key{};
};
// Refused when the signature is not that of the key in the file. Whose key that is, a roster says.
Result<CheckedEvaluation> read_signed_evaluation(const std::string& path);

struct PoolCommand {
  std::vector<std::string> sites;  // files of signed_evaluation
  std::string roster;              // of a run's record; empty: keys are shown and not checked
  bool json = false;
};
Result<void> pool_sites(const PoolCommand& command);

}  // namespace sotto::client
