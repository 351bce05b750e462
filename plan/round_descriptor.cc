#include "plan/round_descriptor.h"

#include <algorithm>

#include "plan/field_codec.h"

namespace sotto {

Bytes encode(const RoundDescriptor& d) {
  plan::FieldWriter write;
  plan::for_each_field(d, write);
  return write.out().take();
}

Result<RoundDescriptor> decode_descriptor(ByteSpan bytes) {
  ByteReader in(bytes);
  RoundDescriptor d;
  plan::FieldReader read(in, "round descriptor");
  plan::for_each_field(d, read);
  SOTTO_TRY_VOID(read.finish());
  if (!is_valid_name(d.run.value())) return invalid("round descriptor: '" + d.run.value() + "' is not a run's name");
  if (!std::ranges::equal(encode(d), bytes)) return invalid("round descriptor: not in canonical form");
  return d;
}

RoundDescriptor describe(const RunPlan& plan, const Roster& roster) {
  RoundDescriptor d;
  d.run = plan.run;
  d.attempt = AttemptId(1);
  d.model = plan.model;
  d.mode = plan.mode;
  d.unit = plan.unit;
  d.privacy = plan.privacy;
  d.sites = static_cast<std::uint32_t>(roster.sites.size());
  d.colluders = plan.colluders;
  d.min_sites = plan.min_sites;
  d.local_steps = plan.local_steps;
  d.clip_norm = plan.clip_norm;
  d.ring = plan.ring;
  d.per_site = plan.sites;
  return d;
}

bool same_round_inputs(const RoundDescriptor& a, const RoundDescriptor& b) {
  RoundDescriptor aligned = b;
  aligned.attempt = a.attempt;
  aligned.transcript = a.transcript;
  aligned.coordinator_head = a.coordinator_head;
  return encode(a) == encode(aligned);
}

Bytes context_preimage(const RoundDescriptor& d) {
  ByteWriter out;
  out.text("sotto/secagg/v1").raw(encode(d));
  return out.take();
}

Bytes u1_preimage(const std::vector<CohortMember>& u1) {
  ByteWriter out;
  out.text("sotto/u1/v1").u32(static_cast<std::uint32_t>(u1.size()));
  for (const auto& p : u1) out.u32(p.site.value()).raw(p.keys).raw(p.share_hashes);
  return out.take();
}

Bytes u3_preimage(const std::vector<SiteIndex>& survivors) {
  ByteWriter out;
  out.text("sotto/u3/v1").u32(static_cast<std::uint32_t>(survivors.size()));
  for (const auto& s : survivors) out.u32(s.value());
  return out.take();
}

Bytes first_transcript_preimage(const Digest& plan, const Digest& roster) {
  ByteWriter out;
  out.text("sotto/transcript/v1").raw(plan).raw(roster);
  return out.take();
}

Bytes transcript_preimage(const Digest& previous, const RoundOutcome& o) {
  ByteWriter out;
  out.text("sotto/transcript/result/v1").raw(previous).u32(o.round.value()).u32(o.attempt.value());
  out.raw(o.u1).raw(o.u3).raw(o.sum).raw(o.adapter);
  return out.take();
}

Bytes void_transcript_preimage(const Digest& previous, RoundId round) {
  ByteWriter out;
  out.text("sotto/transcript/void/v1").raw(previous).u32(round.value());
  return out.take();
}

}  // namespace sotto
