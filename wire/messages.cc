#include "wire/messages.h"

#include "base/check.h"

namespace sotto::wire {
namespace {

std::uint32_t size32(std::size_t n) { return static_cast<std::uint32_t>(n); }

void write(ByteWriter& out, const std::vector<Digest>& digests) {
  out.u32(size32(digests.size()));
  for (const auto& d : digests) out.raw(d);
}

void write(ByteWriter& out, const std::vector<SiteIndex>& sites) {
  out.u32(size32(sites.size()));
  for (const auto& s : sites) out.u32(s.value());
}

// SHARES as its sender and as each receiver see it must give the same bytes, so both come here.
Bytes shares_body(const std::vector<Digest>& seed_share_hashes, const std::vector<Digest>& key_share_hashes,
                  const std::vector<SiteIndex>& recipients, const std::vector<Digest>& sealed_hashes) {
  ByteWriter out;
  write(out, seed_share_hashes);
  write(out, key_share_hashes);
  write(out, recipients);
  write(out, sealed_hashes);
  return out.take();
}

}  // namespace

const char* label_of(const Join&) { return "join"; }
const char* label_of(const RunApproval&) { return "run_approval"; }
const char* label_of(const Keys&) { return "keys"; }
const char* label_of(const Shares&) { return "shares"; }
const char* label_of(const Unmask&) { return "unmask"; }
const char* label_of(const RoundOpen&) { return "round_open"; }
const char* label_of(const ConfirmRequest&) { return "confirm_request"; }
const char* label_of(const RoundResult&) { return "round_result"; }
const char* label_of(const RoundVoid&) { return "round_void"; }
const char* label_of(const RunFinished&) { return "run_finished"; }

Bytes body(const Join& m, const PublicKeyBytes& transport) {
  ByteWriter out;
  out.text(m.name).bytes(m.token).raw(m.identity).u64(m.declared_size).raw(transport);
  return out.take();
}

Bytes body(const RunApproval& m) {
  ByteWriter out;
  out.text(m.run.value()).raw(m.plan).raw(m.roster).bytes(m.layout).bytes(m.head);
  return out.take();
}

Bytes body(const Keys& m) {
  ByteWriter out;
  out.raw(m.mask_key).raw(m.seal_key).raw(m.seed_commitment);
  return out.take();
}

Bytes body(const Shares& m, const std::vector<Digest>& sealed_hashes) {
  SOTTO_CHECK(sealed_hashes.size() == m.sealed.size());
  std::vector<SiteIndex> recipients;
  for (const auto& s : m.sealed) recipients.push_back(s.to);
  return shares_body(m.seed_share_hashes, m.key_share_hashes, recipients, sealed_hashes);
}

Bytes body(const SharesFrom& m) {
  return shares_body(m.seed_share_hashes, m.key_share_hashes, m.recipients, m.sealed_hashes);
}

Bytes report_body(const Digest& context, const Digest& u1, const Digest& masked) {
  ByteWriter out;
  out.raw(context).raw(u1).raw(masked);
  return out.take();
}

Bytes body(const Confirm& m) {
  ByteWriter out;
  out.raw(m.context).raw(m.u1).raw(m.u3);
  return out.take();
}

Bytes body(const Unmask& m) {
  ByteWriter out;
  out.u32(size32(m.shares.size()));
  for (const auto& s : m.shares) out.u32(s.owner.value()).u8(static_cast<std::uint8_t>(s.kind)).raw(s.share);
  return out.take();
}

Bytes body(const RoundOpen& m) { return m.descriptor; }

Bytes body(const ConfirmRequest& m) {
  ByteWriter out;
  out.u32(size32(m.survivors.size()));
  for (const auto& s : m.survivors) out.u32(s.site.value()).raw(s.masked).raw(s.signature);
  return out.take();
}

Bytes body(const RoundResult& m) {
  ByteWriter out;
  out.bytes(m.descriptor).bytes(u1_preimage(m.u1));
  write(out, m.survivors);
  out.u32(size32(m.confirms.size()));
  for (const auto& c : m.confirms) out.u32(c.site.value()).raw(c.signature);
  out.bytes(m.sum).bytes(m.adapter);
  return out.take();
}

Bytes body(const RunFinished& m) {
  ByteWriter out;
  out.raw(m.adapter).u32(m.rounds).u8(m.stopped ? 1 : 0).bytes(m.head);
  return out.take();
}

Bytes body(const RoundVoid& m) {
  ByteWriter out;
  out.text(m.reason);
  return out.take();
}

Bytes share_hashes_preimage(const std::vector<Digest>& seed_share_hashes, const std::vector<Digest>& key_share_hashes) {
  ByteWriter out;
  out.text("sotto/share-hashes/v1");
  write(out, seed_share_hashes);
  write(out, key_share_hashes);
  return out.take();
}

Bytes share_context(const RoundHeader& header, SiteIndex dealer, SecretKind kind) {
  ByteWriter out;
  out.text(header.run.value()).u32(header.round.value()).u32(header.attempt.value()).u32(dealer.value());
  out.u8(static_cast<std::uint8_t>(kind));
  return out.take();
}

}  // namespace sotto::wire
