// The round descriptor D: everything that a site's masks, noise and update of one attempt depend on, in a fixed-order binary
// encoding. ctx = SHA-256("sotto/secagg/v1" | D) salts every mask key, so sites that were shown different models, plans,
// rosters or rounds get masks that do not cancel. Nothing here hashes: crypto::sha256 is applied by whoever needs a digest.
#pragma once

#include <vector>

#include "plan/run_plan.h"

namespace sotto {

struct RoundDescriptor {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest model{};    // H(base model)
  Digest adapter{};  // H(encode(AdapterState)) at the start of the round
  Digest layout{};   // H(encode(AdapterLayout))
  Digest plan{};     // H(encode(RunPlan)): covers optimizer, lora, limits
  Digest roster{};   // H(encode(Roster))
  Mode mode = Mode::kLocal;
  privacy::Unit unit = privacy::Unit::kPatient;
  bool privacy = true;
  std::uint32_t sites = 0;      // n
  std::uint32_t colluders = 0;  // c
  std::uint32_t min_sites = 0;  // tau
  std::uint32_t local_steps = 0;
  double clip_norm = 0;
  RingPlan ring;
  Digest rotation_seed{};  // zero in `local`
  std::vector<SitePlan> per_site;
  Digest transcript{};        // hash of all rounds before this attempt
  Digest coordinator_head{};  // H(encoded signed head of the coordinator's log), its newest
};

Bytes encode(const RoundDescriptor& d);
Result<RoundDescriptor> decode_descriptor(ByteSpan bytes);

// D as the plan and roster ask for it; the caller adds the digests that change from round to round.
RoundDescriptor describe(const RunPlan& plan, const Roster& roster);

// Whether two descriptors differ in nothing but attempt, transcript and coordinator head: only then may a stored update be
// masked again under the second one.
bool same_round_inputs(const RoundDescriptor& a, const RoundDescriptor& b);

// "sotto/secagg/v1" | D: what ctx is the hash of.
Bytes context_preimage(const RoundDescriptor& d);

// One member of U1 as H(U1) covers it.
struct CohortMember {
  SiteIndex site;
  Digest keys{};          // H(body of its KEYS)
  Digest share_hashes{};  // H(its list of share hashes)
  bool operator==(const CohortMember&) const = default;
};
Bytes u1_preimage(const std::vector<CohortMember>& u1);      // ordered by site
Bytes u3_preimage(const std::vector<SiteIndex>& survivors);  // ordered by site

// The transcript is a chain of hashes over the rounds of a run, which every party computes for itself and D names:
//   T(0) = H(first_transcript_preimage), T(r + 1) = H(transcript_preimage(T(r), outcome of round r)).
struct RoundOutcome {
  RoundId round;
  AttemptId attempt;  // the one that was opened
  Digest u1{};        // H(U1)
  Digest u3{};        // H(U3)
  Digest sum{};       // H(packed sum)
  Digest adapter{};   // H(encode(AdapterState)) of the published bytes
};
Bytes first_transcript_preimage(const Digest& plan, const Digest& roster);
Bytes transcript_preimage(const Digest& previous, const RoundOutcome& outcome);
Bytes void_transcript_preimage(const Digest& previous, RoundId round);  // of a round without result

}  // namespace sotto
