#include "plan/run_plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "plan/field_codec.h"

namespace sotto {
namespace {

constexpr std::uint32_t kPlanVersion = 3;

}  // namespace

std::uint32_t counted_colluders(std::uint32_t c) { return std::max(c, 1u); }
std::uint32_t shamir_threshold(std::uint32_t n, std::uint32_t c) { return (n + c) / 2 + 1; }
std::uint64_t epoch_steps(const RunPlan& plan, const SitePlan& site) {
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(site.declared_size) / plan.expected_batch));
}
std::uint64_t total_steps(const RunPlan& plan) { return std::uint64_t{plan.rounds} * plan.local_steps; }
std::uint32_t default_colluders(std::uint32_t n) { return std::max(1u, n > 0 ? (n - 1) / 3 : 0); }

Bytes encode(const RunPlan& p) {
  plan::FieldWriter write;
  write.out().text("sotto/plan").u32(kPlanVersion);
  plan::for_each_field(p, write);
  return write.out().take();
}

Result<RunPlan> decode_plan(ByteSpan bytes) {
  ByteReader in(bytes);
  if (in.text() != "sotto/plan") return invalid("these bytes are not a run plan");
  if (const auto version = in.u32(); in.ok() && version != kPlanVersion)
    return unsupported("run plan of format " + std::to_string(version) + "; this version reads format " +
                       std::to_string(kPlanVersion));
  RunPlan p;
  plan::FieldReader read(in, "run plan");
  plan::for_each_field(p, read);
  SOTTO_TRY_VOID(read.finish());
  if (!is_valid_name(p.run.value()))
    return invalid("run plan: '" + p.run.value() + "' is not a run's name ([a-z0-9-], up to 64)");
  if (p.trained == TrainedPart::kA)
    return invalid("run plan: trained = \"a\", which is what odd rounds of \"alternating\" train, and no run's choice");
  // One value has one encoding: booleans other than 0 and 1 would hash differently and mean the same.
  const Bytes again = encode(p);
  if (!std::ranges::equal(again, bytes)) return invalid("run plan: not in canonical form");
  return p;
}

Bytes encode(const Roster& roster) {
  ByteWriter out;
  out.text("sotto/roster").u32(1).raw(roster.coordinator).u32(roster.colluders);
  out.u32(static_cast<std::uint32_t>(roster.sites.size()));
  for (const auto& s : roster.sites) out.text(s.name).raw(s.identity).raw(s.transport).u64(s.declared_size);
  return out.take();
}

Result<Roster> decode_roster(ByteSpan bytes) {
  ByteReader in(bytes);
  if (in.text() != "sotto/roster" || in.u32() != 1) return invalid("these bytes are not a roster of format 1");
  Roster roster;
  roster.coordinator = in.digest();
  roster.colluders = in.u32();
  const auto n = in.count(4 + 32 + 32 + 8);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) roster.sites.push_back({in.text(), in.digest(), in.digest(), in.u64()});
  SOTTO_TRY_VOID(in.finish("roster"));
  std::set<std::string> names;
  std::set<PublicKeyBytes> keys;
  for (const auto& s : roster.sites) {
    if (!is_valid_name(s.name) || s.name == "coordinator")
      return invalid("roster: '" + s.name + "' is not a site's name ([a-z0-9-], up to 64, and not 'coordinator')");
    if (!names.insert(s.name).second) return invalid("roster: site '" + s.name + "' is listed twice");
    if (!keys.insert(s.identity).second)
      return invalid("roster: site '" + s.name + "' has the identity key of another site");
  }
  return roster;
}

}  // namespace sotto
