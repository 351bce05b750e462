// What a plan means, before anything runs: who can learn what from whom, what each site spends, how much is sent. Pure.
#pragma once

#include <string>

#include "base/json.h"
#include "coordinator/runs/proposal.h"

namespace sotto::coordinator {

struct SiteCost {
  std::string site;
  std::uint64_t declared_size = 0;
  double sampling_rate = 0;
  double noise_multiplier = 0;
  double epsilon = 0;  // of the whole run at plan.delta, by RDP; infinite without privacy
};

struct Traffic {  // of one site and round in bytes, when nobody drops out
  std::uint64_t up = 0;
  std::uint64_t down = 0;
};

struct PlanReport {
  Proposal proposal;
  std::uint32_t threshold = 0;  // t
  std::vector<SiteCost> sites;
  std::optional<std::uint64_t> trained;  // numbers in an update, when the model's shape is known
  std::optional<Traffic> traffic;
};

Result<PlanReport> report_on(const plan::PlanFile& file, Proposal proposal);
Traffic traffic_of(const RunPlan& plan, const AdapterLayout& layout);

Json to_json(const PlanReport& report);
std::string to_text(const PlanReport& report);

}  // namespace sotto::coordinator
