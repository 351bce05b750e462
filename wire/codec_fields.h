// Each message's fields, once, in the terms of Put and Take (codec_walk.h): D is either of them, M the struct, const or not,
// and the last argument its Protobuf twin. Internal to codec.cc.
#pragma once

#include <cstdint>
#include <limits>

#include "wire/codec_walk.h"
#include "wire/link.h"
#include "wire/sotto.pb.h"

namespace sotto::wire::walk {

constexpr std::uint64_t kAnyNumber = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kAnySize = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kLastSite = kMaxList - 1;

template <class D, class M>
void fields(D& d, M& m, pb::RoundHeader& p) {
  d.name("run", m.run, p.mutable_run());
  d.number("round", kAnyNumber, m.round, p.round(), [&](auto v) { p.set_round(v); });
  d.number("attempt", kAnyNumber, m.attempt, p.attempt(), [&](auto v) { p.set_attempt(v); });
}

template <class D, class M, class P>
void header(D& d, M& m, P& p) {
  d.nested("header", m.header, p.mutable_header());
}

template <class D, class M, class P>
void signature(D& d, M& m, P& p) {
  d.fixed("signature", m.signature, p.mutable_signature());
}

// A site's index under the member name that the struct and its twin share.
#define SOTTO_SITE(member) d.number(#member, kLastSite, m.member, p.member(), [&](auto v) { p.set_##member(v); })

template <class D, class M>
void fields(D& d, M& m, pb::Join& p) {
  d.name("name", m.name, p.mutable_name());
  d.bytes("token", kMaxToken, m.token, p.mutable_token());
  d.fixed("identity", m.identity, p.mutable_identity());
  d.number("declared_size", kAnySize, m.declared_size, p.declared_size(), [&](auto v) { p.set_declared_size(v); });
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::Hello& p) {
  d.name("name", m.name, p.mutable_name());
  d.sentence("version", m.version, p.mutable_version());
  d.bytes("head", kMaxHead, m.head, p.mutable_head());
}

template <class D, class M>
void fields(D& d, M& m, pb::FetchRun& p) {
  d.name_or_empty("run", m.run, p.mutable_run());
}

template <class D, class M>
void fields(D& d, M& m, pb::RunApproval& p) {
  d.name("run", m.run, p.mutable_run());
  d.fixed("plan", m.plan, p.mutable_plan());
  d.fixed("roster", m.roster, p.mutable_roster());
  d.bytes("layout", kMaxLayout, m.layout, p.mutable_layout());
  d.bytes("head", kMaxHead, m.head, p.mutable_head());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::RunRefusal& p) {
  d.name("run", m.run, p.mutable_run());
  d.sentence("reason", m.reason, p.mutable_reason());
}

template <class D, class M>
void fields(D& d, M& m, pb::FetchHeadProof& p) {
  header(d, m, p);
  d.number("from", kAnySize, m.from, p.from(), [&](auto v) { p.set_from(v); });
}

template <class D, class M>
void fields(D& d, M& m, pb::Keys& p) {
  header(d, m, p);
  d.fixed("mask_key", m.mask_key, p.mutable_mask_key());
  d.fixed("seal_key", m.seal_key, p.mutable_seal_key());
  d.fixed("seed_commitment", m.seed_commitment, p.mutable_seed_commitment());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::SealedShare& p) {
  SOTTO_SITE(to);
  d.bytes("sealed", kMaxSealed, m.sealed, p.mutable_sealed());
}

template <class D, class M>
void fields(D& d, M& m, pb::Shares& p) {
  header(d, m, p);
  d.digests("seed_share_hashes", m.seed_share_hashes, p.mutable_seed_share_hashes());
  d.digests("key_share_hashes", m.key_share_hashes, p.mutable_key_share_hashes());
  d.list("sealed", m.sealed, p.mutable_sealed());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::Report& p) {
  header(d, m, p);
  d.fixed("context", m.context, p.mutable_context());
  d.fixed("u1", m.u1, p.mutable_u1());
  d.bytes("masked", kMaxMessageBytes, m.masked, p.mutable_masked());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::Confirm& p) {
  header(d, m, p);
  d.fixed("context", m.context, p.mutable_context());
  d.fixed("u1", m.u1, p.mutable_u1());
  d.fixed("u3", m.u3, p.mutable_u3());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::RevealedShare& p) {
  SOTTO_SITE(owner);
  d.choice("kind", 2, m.kind, p.kind(), [&](int v) { p.set_kind(pb::SecretKind(v)); });
  d.fixed("share", m.share, p.mutable_share());
}

template <class D, class M>
void fields(D& d, M& m, pb::Unmask& p) {
  header(d, m, p);
  d.list("shares", m.shares, p.mutable_shares());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::Accepted& p) {
  header(d, m, p);
  d.fixed("adapter", m.adapter, p.mutable_adapter());
  d.bytes("head", kMaxHead, m.head, p.mutable_head());
}

template <class D, class M>
void fields(D& d, M& m, pb::Declined& p) {
  header(d, m, p);
  d.sentence("code", m.code, p.mutable_code());
  d.sentence("reason", m.reason, p.mutable_reason());
}

template <class D, class M>
void fields(D& d, M& m, pb::SiteRecord& p) {
  d.name("run", m.run, p.mutable_run());
  d.bytes("log", kMaxMessageBytes, m.log, p.mutable_log());
  d.bytes("head", kMaxHead, m.head, p.mutable_head());
}

template <class D, class M>
void fields(D& d, M& m, pb::JoinReply& p) {
  d.flag(m.accepted, p.accepted(), [&](bool v) { p.set_accepted(v); });
  d.sentence("message", m.message, p.mutable_message());
}

template <class D, class M>
void fields(D& d, M& m, pb::Welcome& p) {
  d.bytes("coordinator_head", kMaxHead, m.coordinator_head, p.mutable_coordinator_head());
  d.bytes("last_head_of_site", kMaxHead, m.last_head_of_site, p.mutable_last_head_of_site());
}

template <class D, class M>
void fields(D& d, M& m, pb::RunOffer& p) {
  d.bytes("plan", kMaxConfig, m.plan, p.mutable_plan());
  d.bytes("roster", kMaxConfig, m.roster, p.mutable_roster());
}

template <class D, class M>
void fields(D& d, M& m, pb::RoundOpen& p) {
  d.bytes("descriptor", kMaxConfig, m.descriptor, p.mutable_descriptor());
  d.bytes("head", kMaxHead, m.head, p.mutable_head());
  d.bytes("adapter", kMaxMessageBytes, m.adapter, p.mutable_adapter());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::HeadProof& p) {
  header(d, m, p);
  d.number("from", kAnySize, m.from, p.from(), [&](auto v) { p.set_from(v); });
  d.digests("path", m.path, p.mutable_path());
}

template <class D, class M>
void fields(D& d, M& m, pb::KeysOf& p) {
  SOTTO_SITE(site);
  d.nested("keys", m.keys, p.mutable_keys());
}

template <class D, class M>
void fields(D& d, M& m, pb::KeyList& p) {
  header(d, m, p);
  d.list("keys", m.keys, p.mutable_keys());
}

template <class D, class M>
void fields(D& d, M& m, pb::SharesFrom& p) {
  SOTTO_SITE(from);
  d.digests("seed_share_hashes", m.seed_share_hashes, p.mutable_seed_share_hashes());
  d.digests("key_share_hashes", m.key_share_hashes, p.mutable_key_share_hashes());
  d.sites("recipients", m.recipients, p.mutable_recipients());
  d.digests("sealed_hashes", m.sealed_hashes, p.mutable_sealed_hashes());
  d.bytes("sealed", kMaxSealed, m.sealed, p.mutable_sealed());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::ShareList& p) {
  header(d, m, p);
  d.list("from", m.from, p.mutable_from());
}

template <class D, class M>
void fields(D& d, M& m, pb::Survivor& p) {
  SOTTO_SITE(site);
  d.fixed("masked", m.masked, p.mutable_masked());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::ConfirmRequest& p) {
  header(d, m, p);
  d.list("survivors", m.survivors, p.mutable_survivors());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::ConfirmOf& p) {
  SOTTO_SITE(site);
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::UnmaskRequest& p) {
  header(d, m, p);
  d.sites("survivors", m.survivors, p.mutable_survivors());
  d.list("confirms", m.confirms, p.mutable_confirms());
}

template <class D, class M>
void fields(D& d, M& m, pb::Participant& p) {
  SOTTO_SITE(site);
  d.fixed("keys", m.keys, p.mutable_keys());
  d.fixed("share_hashes", m.share_hashes, p.mutable_share_hashes());
}

template <class D, class M>
void fields(D& d, M& m, pb::RoundResult& p) {
  header(d, m, p);
  d.bytes("descriptor", kMaxConfig, m.descriptor, p.mutable_descriptor());
  d.list("u1", m.u1, p.mutable_u1());
  d.sites("survivors", m.survivors, p.mutable_survivors());
  d.list("confirms", m.confirms, p.mutable_confirms());
  d.bytes("sum", kMaxMessageBytes, m.sum, p.mutable_sum());
  d.bytes("adapter", kMaxMessageBytes, m.adapter, p.mutable_adapter());
  d.bytes("start", kMaxMessageBytes, m.start, p.mutable_start());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::RoundVoid& p) {
  header(d, m, p);
  d.sentence("reason", m.reason, p.mutable_reason());
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::RunFinished& p) {
  d.name("run", m.run, p.mutable_run());
  d.fixed("adapter", m.adapter, p.mutable_adapter());
  d.bytes("head", kMaxHead, m.head, p.mutable_head());
  d.number("rounds", kAnyNumber, m.rounds, p.rounds(), [&](auto v) { p.set_rounds(v); });
  d.flag(m.stopped, p.stopped(), [&](auto v) { p.set_stopped(v); });
  signature(d, m, p);
}

template <class D, class M>
void fields(D& d, M& m, pb::Rejected& p) {
  d.sentence("code", m.code, p.mutable_code());
  d.sentence("reason", m.reason, p.mutable_reason());
}

#undef SOTTO_SITE

}  // namespace sotto::wire::walk
