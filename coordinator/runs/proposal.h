// Turns the operator's description of a run (plan/plan_file.h) into a RunPlan, with every site's sampling rate, noise and
// weight filled in, and the Roster for it. Pure functions.
#pragma once

#include <vector>

#include "coordinator/folder/site_list.h"
#include "plan/plan_file.h"

namespace sotto::coordinator {

struct Proposal {
  RunPlan plan;
  Roster roster;
};

// Sites in the file's order, else by name. Noise is calibrated to epsilon over all rounds and local steps; the ring's step
// is the smallest power of two whose sums cannot overflow; min_sites is t, but at least two honest sites' worth. The result
// is validated: what the file asks for and cannot be had is an error that names file and value.
Result<Proposal> propose(const plan::PlanFile& file, const std::vector<Site>& approved, const PublicKeyBytes& coordinator);

}  // namespace sotto::coordinator
