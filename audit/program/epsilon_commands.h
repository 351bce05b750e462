// `sotto-audit epsilon | calibrate | compose`: questions to the accountant that need no run folder. Values come from the
// command line or a file and are checked here; each function returns what --json prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace sotto::audit {

// Gaussian steps and how their units are sampled: the members of docs/accountant.md that flags name.
struct SampledSteps {
  static constexpr double kNotGiven = -0x1p1000;  // no number that anybody types
  double noise_multiplier = kNotGiven;
  double sampling_rate = kNotGiven;
  std::int64_t steps = -1;  // random allocation: epochs
  std::string sampling = "poisson";
  std::int64_t population = -1;
  std::int64_t batch_size = -1;
  std::int64_t epoch_steps = -1;
  std::int64_t epoch_selected = -1;
};

struct EpsilonQuery : SampledSteps {
  double delta = 0;
  std::string accountant = "pld";
  std::string neighbours = "add-remove";
  std::int64_t group = 1;  // units that differ
  bool relations = false;  // also the other neighbouring relations
};
// pld: {"epsilon_lower", "epsilon_upper", "delta", "accountant", "direction", "neighbours", "group", "curve", "trade_off",
//       "gaussian_dp", "zcdp_rho", "advantage"}, and "relations" when asked for. A group that has no dominating pair of its
//       own (sampling other than poisson) has "curve_of_one_unit" in place of the curve and what follows from it.
// rdp: {"epsilon_upper", "delta", "accountant", "direction", "order", "curve"}; no groups.
// both: as pld, with the smaller upper end.
Result<Json> answer(const EpsilonQuery& query);

// Solves for the one that is left out: noise multiplier, steps, or the sampler's rate (batch size, selected steps).
struct CalibrateQuery : SampledSteps {
  double epsilon = 0;
  double delta = 0;
  std::string accountant = "pld";
  std::string neighbours = "add-remove";
};
// The release, member by member, with "epsilon_upper", "delta", "accountant", "direction", "curve", and "epsilon_lower" of
// pld and both: the smallest sigma, largest rate or most steps that stay within epsilon, whichever was left out.
Result<Json> answer(const CalibrateQuery& query);

// What was released in any mix: a JSON list, or {"delta": D, "neighbours": N, "events": [..]}, of
//   {"mechanism": M, "sampling": S, .., "steps": T}           docs/accountant.md; a Gaussian, Poisson-sampled, when not
//   named a DpEvent as logs and reports show it                     (docs/ledger-format.md)
// `delta` goes before the file's; 1e-5 when neither is given. The result:
// {"epsilon_upper", "epsilon_lower", "delta", "accountant", "direction"} of the accountant with the smaller upper end, "rdp"
// and "pld" with each one's own numbers (or "refused", and why), "neighbours", and "events", their number. With `curve` also
// "curve", and with `each` "each": {"event", "epsilon_lower", "epsilon_upper"} after every event of the list, by pld.
struct ComposeExtras {
  bool each = false;
  bool curve = false;
};
Result<Json> compose_file(const std::string& path, const std::optional<double>& delta, const ComposeExtras& with = {});

}  // namespace sotto::audit
