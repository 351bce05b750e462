// What the tests of attacks share: a target, and a coordinator that changes what the target is shown.
#pragma once

#include <algorithm>
#include <functional>
#include <string>

#include "crypto/hash.h"
#include "tests/coordinator/round/simulator.h"
#include "tests/support/catch.h"

namespace sotto {

inline const SiteIndex kTarget(0);

inline RoundDescriptor descriptor_of(const wire::RoundOpen& m) { return decode_descriptor(m.descriptor).value(); }

// Puts another descriptor under the coordinator's signature, as only a malicious coordinator can.
inline void replace_descriptor(const Simulator& world, wire::RoundOpen& m, const RoundDescriptor& d) {
  m.descriptor = encode(d);
  world.sign({d.run, d.round, d.attempt}, m);
}

inline std::string reasons(const Simulator& world, SiteIndex site) {
  std::string out;
  for (const auto& d : world.declined(site)) out += d.code + ": " + d.reason + "\n";
  return out;
}

// Runs a round in which the target's messages of type M are changed by `change`.
template <class M>
void run_with(Simulator& world, std::function<void(M&)> change) {
  world.to_site = [change](SiteIndex site, wire::ToSite& m) {
    if (site == kTarget && std::holds_alternative<M>(m)) change(std::get<M>(m));
    return true;
  };
  world.run_round();
}

inline void require_exact(const Simulator& world, std::size_t survivors) {
  REQUIRE(!world.outcomes.back().is_void);
  CHECK(world.outcomes.back().survivors.size() == survivors);
  const RoundId round(static_cast<std::uint32_t>(world.outcomes.size()) - 1);
  CHECK(world.outcomes.back().sum == world.expected_sum(world.outcomes.back().survivors, round));
}

}  // namespace sotto
