#include "plan/round_descriptor.h"

#include <algorithm>

namespace sotto {

Bytes encode(const RoundDescriptor& d) {
  ByteWriter out;
  out.text(d.run.value()).u32(d.round.value()).u32(d.attempt.value());
  out.raw(d.model).raw(d.adapter).raw(d.layout).raw(d.plan).raw(d.roster);
  out.u8(static_cast<std::uint8_t>(d.mode)).u8(static_cast<std::uint8_t>(d.unit)).u8(d.privacy);
  out.u32(d.sites).u32(d.colluders).u32(d.min_sites).u32(d.local_steps).f64(d.clip_norm);
  out.u32(d.ring.bits).f64(d.ring.range).f64(d.ring.step).raw(d.rotation_seed);
  out.u32(static_cast<std::uint32_t>(d.per_site.size()));
  for (const auto& s : d.per_site)
    out.text(s.name).u64(s.declared_size).f64(s.sampling_rate).f64(s.noise_multiplier).f64(s.weight);
  out.raw(d.transcript).raw(d.coordinator_head);
  return out.take();
}

Result<RoundDescriptor> decode_descriptor(ByteSpan bytes) {
  ByteReader in(bytes);
  RoundDescriptor d;
  d.run = RunId(in.text());
  d.round = RoundId(in.u32());
  d.attempt = AttemptId(in.u32());
  d.model = in.digest();
  d.adapter = in.digest();
  d.layout = in.digest();
  d.plan = in.digest();
  d.roster = in.digest();
  d.mode = static_cast<Mode>(in.u8());
  d.unit = static_cast<PrivacyUnit>(in.u8());
  d.privacy = in.u8() != 0;
  d.sites = in.u32();
  d.colluders = in.u32();
  d.min_sites = in.u32();
  d.local_steps = in.u32();
  d.clip_norm = in.f64();
  d.ring = {in.u32(), in.f64(), in.f64()};
  d.rotation_seed = in.digest();
  const auto n = in.count(4 + 8 + 3 * 8);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) d.per_site.push_back({in.text(), in.u64(), in.f64(), in.f64(), in.f64()});
  d.transcript = in.digest();
  d.coordinator_head = in.digest();
  SOTTO_TRY_VOID(in.finish("round descriptor"));
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
