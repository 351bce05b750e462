#include "coordinator/runs/proposal.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "plan/noise/plan_noise.h"

namespace sotto::coordinator {
namespace {

using plan::in_file;
using plan::PlanFile;

Result<std::vector<Site>> choose_sites(const PlanFile& file, const std::vector<Site>& approved) {
  if (file.sites.empty()) {
    if (approved.size() < 2)
      return refused(file.path + ": " + std::to_string(approved.size()) +
                     " sites are approved, a run needs at least two; see 'sotto-coordinator sites'");
    return approved;
  }
  std::vector<Site> chosen;
  for (const auto& name : file.sites) {
    const auto site = std::ranges::find(approved, SiteName(name), &Site::name);
    if (site == approved.end())
      return not_found(file.path + ": 'sites' names '" + name +
                       "', which is no approved site; see 'sotto-coordinator sites'");
    if (std::ranges::find(chosen, site->name, &Site::name) != chosen.end())
      return invalid(file.path + ": 'sites' names '" + name + "' twice");
    chosen.push_back(*site);
  }
  return chosen;
}

// The smallest power of two at which n updates of the full range cannot wrap (validate in run_plan.h asks for the same).
double smallest_step(const RingPlan& ring, std::size_t n) {
  double step = std::exp2(std::ceil(std::log2(static_cast<double>(n) * ring.range)) - ring.bits);
  while (!(static_cast<double>(n) * std::ceil(ring.range / step) < std::ldexp(1.0, static_cast<int>(ring.bits) - 1)))
    step *= 2;
  return step;
}

}  // namespace

Result<Proposal> propose(const PlanFile& file, const std::vector<Site>& approved, const PublicKeyBytes& coordinator) {
  SOTTO_TRY(const auto sites, choose_sites(file, approved));
  const auto n = static_cast<std::uint32_t>(sites.size());
  Proposal out{file.plan, {coordinator, {}, file.colluders.value_or(default_colluders(n))}};
  auto& plan = out.plan;
  plan.colluders = out.roster.colluders;
  const auto t = shamir_threshold(n, plan.colluders);
  plan.min_sites = file.min_sites.value_or(std::max(t, std::min(n, counted_colluders(plan.colluders) + 2)));
  plan.ring.step = file.ring_step.value_or(smallest_step(plan.ring, n));
  for (const auto& site : sites) {
    const double q = plan.expected_batch / static_cast<double>(site.declared_size);
    if (!(q <= 1))
      return invalid(file.path + ": privacy.expected_batch = " + Json(plan.expected_batch).dump() + " is more than the " +
                     std::to_string(site.declared_size) + " units that site '" + site.name.value() + "' declared");
    plan.sites.push_back(
        {site.name.value(), site.declared_size, q, 0, file.weigh_by_size ? static_cast<double>(site.declared_size) : 1.0});
    out.roster.sites.push_back({site.name.value(), site.identity, site.transport, site.declared_size});
  }
  SOTTO_TRY_VOID(plan::set_noise(file, plan));
  if (const auto ok = validate(plan, out.roster); !ok.ok()) return in_file(file, ok.error());
  return out;
}

}  // namespace sotto::coordinator
