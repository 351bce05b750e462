#include "coordinator/runs/plan_report.h"

#include <cstdio>
#include <limits>

#include "audit/ledger/spending.h"
#include "audit/log/statements.h"
#include "base/number.h"
#include "plan/noise/plan_noise.h"

namespace sotto::coordinator {
namespace {

// Sizes on the wire, framing and names rounded up.
constexpr std::uint64_t kKeys = 256, kShareHash = 34, kSealedShare = 128, kHead = 256, kSignature = 72, kDescriptor = 1024;

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[256];
  const int size = std::snprintf(buffer, sizeof buffer, pattern, args...);
  return std::string(buffer, static_cast<std::size_t>(std::min<int>(size, sizeof buffer - 1)));
}

std::string megabytes(std::uint64_t bytes) { return format("%.2f MB", static_cast<double>(bytes) / 1e6); }

}  // namespace

Traffic traffic_of(const RunPlan& plan, const AdapterLayout& layout) {
  const std::uint64_t n = plan.sites.size();
  const std::uint64_t update = (layout.trained_size(plan.trained) * plan.ring.bits + 7) / 8;
  const std::uint64_t adapter = 4 * (layout.a_size() + layout.b_size());
  const std::uint64_t sealed = kSealedShare + n * kHead;  // two shares and the sender's view of all heads
  Traffic out;
  out.up = kKeys + 2 * n * kShareHash + (n - 1) * sealed + update + 4 * kSignature + n * 40 + kHead;
  out.down = kDescriptor + kHead + adapter                                 // ROUND OPEN
             + n * kKeys + n * (3 * n * kShareHash + sealed + kSignature)  // key list, share list
             + 2 * n * (kSignature + 36) + update + adapter + 2 * n * 72;  // CONFIRM, UNMASK, RESULT
  return out;
}

Result<PlanReport> report_on(const plan::PlanFile& file, Proposal proposal) {
  PlanReport report;
  const auto& plan = proposal.plan;
  report.threshold = shamir_threshold(static_cast<std::uint32_t>(plan.sites.size()), plan.colluders);
  if (file.shape) {
    const auto layout = plan::layout_of(*file.shape, plan.lora);
    report.trained = layout.trained_size(plan.trained);
    report.traffic = traffic_of(plan, layout);
  }
  for (const auto& site : plan.sites) {
    SiteCost cost{site.name, site.declared_size, site.sampling_rate, site.noise_multiplier,
                  std::numeric_limits<double>::infinity()};
    const auto alike = std::ranges::find_if(report.sites, [&](const SiteCost& other) {  // composing is dear
      return other.declared_size == site.declared_size && other.noise_multiplier == site.noise_multiplier;
    });
    if (alike != report.sites.end()) {
      cost.epsilon = alike->epsilon;
    } else if (plan.privacy) {
      const auto spent = plan::planned_epsilon(plan, site, report.trained.value_or(1));
      if (!spent.ok()) return plan::in_file(file, spent.error());
      cost.epsilon = *spent;
    }
    report.sites.push_back(cost);
  }
  report.proposal = std::move(proposal);
  return report;
}

Json to_json(const PlanReport& report) {
  const auto& plan = report.proposal.plan;
  Json::Array sites;
  for (const auto& s : report.sites)
    sites.push_back(Json::object({{"name", s.site},
                                  {"declared_size", s.declared_size},
                                  {"sampling_rate", s.sampling_rate},
                                  {"noise_multiplier", s.noise_multiplier},
                                  {"epsilon", s.epsilon}}));
  Json out = Json::object({{"run", plan.run.value()},
                           {"plan", to_hex(audit::plan_hash(plan))},
                           {"roster", to_hex(audit::roster_hash(report.proposal.roster))},
                           {"privacy", plan.privacy},
                           {"delta", plan.delta},
                           {"target_epsilon", plan.target_epsilon},
                           {"rounds", plan.rounds},
                           {"local_steps", plan.local_steps},
                           {"sites", Json(std::move(sites))},
                           {"colluders", plan.colluders},
                           {"threshold", report.threshold},
                           {"min_sites", plan.min_sites},
                           {"ring_bits", plan.ring.bits},
                           {"ring_range", plan.ring.range},
                           {"ring_step", plan.ring.step}});
  if (plan.parent) out.set("parent", to_hex(*plan.parent));
  if (report.trained) out.set("trained_numbers", *report.trained);
  if (report.traffic) {
    out.set("bytes_up_per_site_and_round", report.traffic->up);
    out.set("bytes_down_per_site_and_round", report.traffic->down);
  }
  return out;
}

std::string to_text(const PlanReport& report) {
  const auto& plan = report.proposal.plan;
  const auto n = static_cast<std::uint32_t>(plan.sites.size());
  const auto k = counted_colluders(plan.colluders);
  std::string out = "run " + plan.run.value() + ": " + std::to_string(plan.rounds) + " rounds of " +
                    std::to_string(plan.local_steps) + " local steps at " + std::to_string(n) + " sites\n";
  if (plan.parent) out += "  goes on from model " + to_hex(*plan.parent).substr(0, 12) + "\n";
  out += "  protected: one " + to_string(plan.unit) + " at a site";
  out += plan.privacy ? format(", delta %g\n\n", plan.delta)
                      : ": NOT protected, privacy is off: every site must allow this run by name\n\n";
  out += format("  %-20s %10s %12s %8s %10s\n", "site", "units", "sampled", "sigma", "epsilon");
  for (const auto& s : report.sites)
    out += format("  %-20s %10llu %12.6f %8.4f %10s\n", s.site.c_str(), static_cast<unsigned long long>(s.declared_size),
                  s.sampling_rate, s.noise_multiplier, shown_up(s.epsilon).c_str());
  out += format("\n  n = %u sites, c = %u may collude with the coordinator, t = %u open a sum, tau = %u fewest survivors\n",
                n, plan.colluders, report.threshold, plan.min_sites);
  out += format(
      "  a round goes on when up to %u sites are lost; a sum holds the updates of at least %u sites that do not collude\n",
      n - plan.min_sites, plan.min_sites - k);
  if (plan.min_sites - k < 2)
    out +=
        "  TWO SITES: each site can subtract its own update from the sum and see the other's, protected by that site's "
        "noise alone\n";
  out += format("  ring: %u bits, coordinates within %g, step %g\n", plan.ring.bits, plan.ring.range, plan.ring.step);
  if (report.traffic && report.trained)
    out += "  a site and round: " + std::to_string(*report.trained) + " trained numbers, about " +
           megabytes(report.traffic->up) + " up and " + megabytes(report.traffic->down) + " down\n";
  else
    out += "  traffic: about " + format("%.2f", plan.ring.bits / 8.0) +
           " MB up a million trained numbers, site and round (give [model.shape] for an estimate)\n";
  out +=
      "  plan " + to_hex(audit::plan_hash(plan)) + "\n  roster " + to_hex(audit::roster_hash(report.proposal.roster)) + "\n";
  return out;
}

}  // namespace sotto::coordinator
