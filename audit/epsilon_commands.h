// `sotto-audit epsilon | calibrate | compose`: questions to the accountant that need no run folder. Values come from the
// command line or a file and are checked here; each function returns what --json prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace sotto::audit {

struct EpsilonQuery {
  double noise_multiplier = 0;
  double sampling_rate = 0;
  std::int64_t steps = 0;
  double delta = 0;
  std::string accountant = "pld";
  std::string neighbours = "add-remove";
  std::int64_t group = 1;  // units that differ
  bool relations = false;  // also the other neighbouring relations
};
// pld: {"epsilon_lower", "epsilon_upper", "delta", "accountant", "direction", "neighbours", "group", "curve", "trade_off",
//       "gaussian_dp", "zcdp_rho", "advantage"}, and "relations" when asked for.
// rdp: {"epsilon_upper", "delta", "accountant", "direction", "order"}; no groups.
Result<Json> answer(const EpsilonQuery& query);

struct CalibrateQuery {
  static constexpr double kSought = -1;  // one of the three below
  double noise_multiplier = kSought;
  double sampling_rate = kSought;
  std::int64_t steps = -1;
  double epsilon = 0;
  double delta = 0;
  std::string accountant = "pld";
};
// {"noise_multiplier", "sampling_rate", "steps", "epsilon_upper", "delta", "accountant"} and "epsilon_lower" of pld: the smallest
// sigma, largest rate or most steps that stay within epsilon, whichever of the three was left out.
Result<Json> answer(const CalibrateQuery& query);

// What was released in any mix: a JSON list, or {"delta": D, "neighbours": N, "events": [..]}, of
//   {"mechanism": M, "sampling": S, .., "steps": T}           docs/accountant.md; a Gaussian, Poisson-sampled, when not named
//   a DpEvent as logs and reports show it                     (docs/ledger-format.md)
// `delta` goes before the file's; 1e-5 when neither is given. The result:
// {"epsilon_upper", "epsilon_lower", "delta", "accountant", "direction"} of the accountant with the smaller upper end, "rdp" and
// "pld" with each one's own numbers (or "refused", and why), "neighbours", and "events", their number.
Result<Json> compose_file(const std::string& path, const std::optional<double>& delta);

}  // namespace sotto::audit
