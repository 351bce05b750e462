#include "client/protocol/participant_state.h"

#include <algorithm>

#include "crypto/hash.h"

namespace sotto::client {
namespace {

constexpr const char* kMagic = "sotto/participant/v1";

std::uint32_t size32(std::size_t n) { return static_cast<std::uint32_t>(n); }

SignatureBytes read_signature(ByteReader& in) {
  SignatureBytes out{};
  const Bytes bytes = in.raw(out.size());
  if (bytes.size() == out.size()) std::ranges::copy(bytes, out.begin());
  return out;
}

template <class Secret>
void write_secret(ByteWriter& out, const Secret& secret) {
  out.raw(secret.reveal());
}
// After a short read the bytes are zeros; finish() fails then and nothing is used.
template <class Secret>
Secret read_secret(ByteReader& in) {
  const Digest bytes = in.digest();
  return Secret::from(bytes);
}

void write(ByteWriter& out, const std::vector<Digest>& digests) {
  out.u32(size32(digests.size()));
  for (const auto& d : digests) out.raw(d);
}
std::vector<Digest> read_digests(ByteReader& in) {
  std::vector<Digest> out(in.count(32));
  for (auto& d : out) d = in.digest();
  return out;
}

void write(ByteWriter& out, const wire::RoundHeader& h) {
  out.text(h.run.value()).u32(h.round.value()).u32(h.attempt.value());
}
wire::RoundHeader read_header(ByteReader& in) {
  wire::RoundHeader h;
  h.run = RunId(in.text());
  h.round = RoundId(in.u32());
  h.attempt = AttemptId(in.u32());
  return h;
}

void write(ByteWriter& out, const wire::Keys& m) {
  write(out, m.header);
  out.raw(m.mask_key).raw(m.seal_key).raw(m.seed_commitment).raw(m.signature);
}
wire::Keys read_keys(ByteReader& in) {
  wire::Keys m;
  m.header = read_header(in);
  m.mask_key = in.digest();
  m.seal_key = in.digest();
  m.seed_commitment = in.digest();
  m.signature = read_signature(in);
  return m;
}

void write(ByteWriter& out, const wire::Shares& m) {
  write(out, m.header);
  write(out, m.seed_share_hashes);
  write(out, m.key_share_hashes);
  out.u32(size32(m.sealed.size()));
  for (const auto& s : m.sealed) out.u32(s.to.value()).bytes(s.sealed);
  out.raw(m.signature);
}
wire::Shares read_shares(ByteReader& in) {
  wire::Shares m;
  m.header = read_header(in);
  m.seed_share_hashes = read_digests(in);
  m.key_share_hashes = read_digests(in);
  m.sealed.resize(in.count(8));
  for (auto& s : m.sealed) {
    s.to = SiteIndex(in.u32());
    s.sealed = in.bytes();
  }
  m.signature = read_signature(in);
  return m;
}

void write(ByteWriter& out, const wire::Report& m) {
  write(out, m.header);
  out.raw(m.context).raw(m.u1).bytes(m.masked).raw(m.signature);
}
wire::Report read_report(ByteReader& in) {
  wire::Report m;
  m.header = read_header(in);
  m.context = in.digest();
  m.u1 = in.digest();
  m.masked = in.bytes();
  m.signature = read_signature(in);
  return m;
}

void write(ByteWriter& out, const wire::Confirm& m) {
  write(out, m.header);
  out.raw(m.context).raw(m.u1).raw(m.u3).raw(m.signature);
}
wire::Confirm read_confirm(ByteReader& in) {
  wire::Confirm m;
  m.header = read_header(in);
  m.context = in.digest();
  m.u1 = in.digest();
  m.u3 = in.digest();
  m.signature = read_signature(in);
  return m;
}

void write(ByteWriter& out, const wire::Unmask& m) {
  write(out, m.header);
  out.u32(size32(m.shares.size()));
  for (const auto& s : m.shares) out.u32(s.owner.value()).u8(static_cast<std::uint8_t>(s.kind)).raw(s.share);
  out.raw(m.signature);
}
wire::Unmask read_unmask(ByteReader& in) {
  wire::Unmask m;
  m.header = read_header(in);
  m.shares.resize(in.count(37));
  for (auto& s : m.shares) {
    s.owner = SiteIndex(in.u32());
    s.kind = static_cast<wire::SecretKind>(in.u8());
    s.share = in.digest();
  }
  m.signature = read_signature(in);
  return m;
}

void write(ByteWriter& out, const wire::Accepted& m) {
  write(out, m.header);
  out.raw(m.adapter).bytes(m.head);
}
wire::Accepted read_accepted(ByteReader& in) {
  wire::Accepted m;
  m.header = read_header(in);
  m.adapter = in.digest();
  m.head = in.bytes();
  return m;
}

void write(ByteWriter& out, const AttemptSecrets& s) {
  write_secret(out, s.mask_key);
  write_secret(out, s.seal_key);
  write_secret(out, s.seed);
  out.u32(size32(s.held.size()));
  for (const auto& h : s.held) {
    out.u32(h.dealer.value());
    write_secret(out, h.seed_share);
    write_secret(out, h.key_share);
  }
}
AttemptSecrets read_secrets(ByteReader& in) {
  AttemptSecrets s{
      read_secret<crypto::MaskKey>(in), read_secret<crypto::SealKey>(in), read_secret<crypto::MaskSeed>(in), {}};
  const auto n = in.count(68);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i)
    s.held.push_back({SiteIndex(in.u32()), read_secret<crypto::ShareValue>(in), read_secret<crypto::ShareValue>(in)});
  return s;
}

void write(ByteWriter& out, const audit::ResultAccepted& e) {
  out.text(e.run.value()).u32(e.round.value()).u32(e.attempt.value()).raw(e.sum).raw(e.adapter);
}
audit::ResultAccepted read_result(ByteReader& in) {
  audit::ResultAccepted e;
  e.run = RunId(in.text());
  e.round = RoundId(in.u32());
  e.attempt = AttemptId(in.u32());
  e.sum = in.digest();
  e.adapter = in.digest();
  return e;
}

void write(ByteWriter& out, const AttemptState& a);
void write(ByteWriter& out, const StoredUpdate& u);

// An optional value: a byte 0 or 1, then the value.
template <class T>
void write_optional(ByteWriter& out, const std::optional<T>& value) {
  out.u8(value.has_value());
  if (value) write(out, *value);
}
template <class Read>
auto read_optional(ByteReader& in, Read read) -> std::optional<decltype(read(in))> {
  if (in.u8() == 0) return std::nullopt;
  return read(in);
}

void write(ByteWriter& out, const AttemptState& a) {
  out.bytes(encode(a.descriptor)).bytes(a.coordinator_head);
  write_optional(out, a.secrets);
  out.u8(a.abandoned);
  write(out, a.keys);
  out.u32(size32(a.key_list.size()));
  for (const auto& k : a.key_list) {
    out.u32(k.site.value());
    write(out, k.keys);
  }
  write_optional(out, a.shares);
  out.u32(size32(a.u1.size()));
  for (const auto& p : a.u1) out.u32(p.site.value()).raw(p.keys).raw(p.share_hashes);
  write_optional(out, a.report);
  out.u32(size32(a.u3.size()));
  for (const auto s : a.u3) out.u32(s.value());
  out.bytes(a.confirm_request);
  write_optional(out, a.confirm);
  write_optional(out, a.unmask);
}

Result<AttemptState> read_attempt(ByteReader& in) {
  AttemptState a;
  SOTTO_TRY(a.descriptor, decode_descriptor(in.bytes()));
  a.coordinator_head = in.bytes();
  a.secrets = read_optional(in, read_secrets);
  a.abandoned = in.u8() != 0;
  a.keys = read_keys(in);
  a.key_list.resize(in.count(4 + 3 * 32 + 64));
  for (auto& k : a.key_list) {
    k.site = SiteIndex(in.u32());
    k.keys = read_keys(in);
  }
  a.shares = read_optional(in, read_shares);
  a.u1.resize(in.count(68));
  for (auto& p : a.u1) {
    p.site = SiteIndex(in.u32());
    p.keys = in.digest();
    p.share_hashes = in.digest();
  }
  a.report = read_optional(in, read_report);
  a.u3.resize(in.count(4));
  for (auto& s : a.u3) s = SiteIndex(in.u32());
  a.confirm_request = in.bytes();
  a.confirm = read_optional(in, read_confirm);
  a.unmask = read_optional(in, read_unmask);
  return a;
}

void write(ByteWriter& out, const StoredUpdate& u) {
  out.bytes(encode(u.made_under)).u32(size32(u.elements.size()));
  for (const auto x : u.elements) out.u32(x);
}
Result<StoredUpdate> read_update(ByteReader& in) {
  SOTTO_TRY(auto made_under, decode_descriptor(in.bytes()));
  std::vector<std::uint32_t> elements(in.count(4));
  for (auto& x : elements) x = in.u32();
  return StoredUpdate(std::move(made_under), std::move(elements));
}

}  // namespace

StoredUpdate::~StoredUpdate() {
  crypto::wipe({reinterpret_cast<std::uint8_t*>(elements.data()), elements.size() * sizeof(std::uint32_t)});
}

crypto::SecretBuffer encode(const RunMemory& m, const Digest& owner) {
  ByteWriter out;
  out.text(kMagic).raw(owner).u32(m.next_round.value()).raw(m.transcript).bytes(m.adapter).u8(m.halted);
  write_optional(out, m.last_accepted);
  write_optional(out, m.last_result);
  out.u32(size32(m.heads.size()));
  for (const auto& h : m.heads) out.bytes(h);
  out.u32(size32(m.seen.size()));
  for (const auto& [attempt, shown] : m.seen) out.u32(attempt.value()).bytes(shown);
  out.u8(m.opened);
  write_optional(out, m.attempt);
  write_optional(out, m.update);
  out.raw(crypto::sha256(out.view()));  // against torn or damaged files, not against forgers
  return crypto::SecretBuffer(out.take());
}

Result<RunMemory> decode_memory(ByteSpan bytes, const Digest& owner) {
  if (bytes.size() < 32) return invalid("the run's state is cut short");
  const auto content = bytes.first(bytes.size() - 32);
  if (!std::ranges::equal(crypto::sha256(content), bytes.last(32)))
    return invalid("the run's state is damaged: its checksum does not fit; restore the file or leave the run");
  ByteReader in(content);
  if (const std::string format = in.text(); format != kMagic)
    return invalid("the run's state has the format '" + format + "', and this program reads '" + kMagic +
                   "'; end the run with the version of the program that began it, or leave the run");
  if (in.digest() != owner) return invalid("the run's state belongs to another run, roster or site");
  RunMemory m;
  m.next_round = RoundId(in.u32());
  m.transcript = in.digest();
  m.adapter = in.bytes();
  m.halted = in.u8() != 0;
  m.last_accepted = read_optional(in, read_accepted);
  m.last_result = read_optional(in, read_result);
  m.heads.resize(in.count(4));
  for (auto& h : m.heads) h = in.bytes();
  const auto seen = in.count(8);
  for (std::uint32_t i = 0; i < seen && in.ok(); ++i) {
    const AttemptId attempt(in.u32());
    m.seen[attempt] = in.bytes();
  }
  m.opened = in.u8() != 0;
  if (in.u8() != 0) {
    SOTTO_TRY(m.attempt, read_attempt(in));
  }
  if (in.u8() != 0) {
    SOTTO_TRY(m.update, read_update(in));
  }
  SOTTO_TRY_VOID(in.finish("the run's state"));
  return m;
}

}  // namespace sotto::client
