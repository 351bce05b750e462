// The protocol's messages as plain structs: what every part but the codec uses. Each message of a round starts with the same
// header; signatures are Ed25519 over the statement (label, sender, run, round, attempt, H(roster), H(body)), where body()
// is the fixed-order encoding of what the message says. docs/protocol.md follows the order of this file.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "plan/round_descriptor.h"
#include "plan/run_plan.h"

namespace sotto::wire {

struct RoundHeader {
  RunId run;
  RoundId round;
  AttemptId attempt;
  bool operator==(const RoundHeader&) const = default;
};

// A signed tree head as it travels: audit's canonical encoding, opaque here.
using HeadBytes = Bytes;

// ---- enrolment and runs: site -> coordinator
// -------------------------------------------------------------------------------
struct Join {  // first contact; the invite's token proves that the operator wanted this site
  std::string name;
  Bytes token;
  PublicKeyBytes identity{};
  std::uint64_t declared_size = 0;
  SignatureBytes signature{};  // by identity over all of the above and the transport key of the connection
};
struct Hello {  // on every connection; the coordinator answers with Welcome and whatever the site still owes
  std::string name;
  std::string version;
  HeadBytes head;  // the site's own newest
};
struct RunApproval {  // the site's operator approved this plan and roster, by hash
  RunId run;
  Digest plan{};
  Digest roster{};
  Bytes layout;    // encode(AdapterLayout), from the site's own copy of the model
  HeadBytes head;  // of the site's log, which now holds the approval
  SignatureBytes signature{};
};
struct RunRefusal {
  RunId run;
  std::string reason;  // a sentence for the operator; made from plan and policy alone, never from data
};
struct FetchRun {  // asks for the offer of a run, to show it to the site's operator; empty: the newest
  std::string run;
};

// ---- a round: site -> coordinator
// ------------------------------------------------------------------------------------------
struct FetchHeadProof {  // asks that the head of RoundOpen be proven to continue the one that the site saw before it
  RoundHeader header;
  std::uint64_t from = 0;  // the size of that one
};
struct Keys {
  RoundHeader header;
  PublicKeyBytes mask_key{};
  PublicKeyBytes seal_key{};
  Digest seed_commitment{};  // H("commit" | b_i)
  SignatureBytes signature{};
};
struct SealedShare {
  SiteIndex to;
  Bytes sealed;  // AES-256-GCM of (share of b_i, share of the mask key's secret, the sender's view of all heads)
};
struct Shares {
  RoundHeader header;
  std::vector<Digest> seed_share_hashes;  // at all n roster points
  std::vector<Digest> key_share_hashes;
  std::vector<SealedShare> sealed;  // one for every other site of the key list, ordered
  SignatureBytes signature{};       // body covers both hash lists and H(sealed) of every recipient
};
struct Report {
  RoundHeader header;
  Digest context{};
  Digest u1{};
  Bytes masked;                // y_i, packed to b bits a coordinate
  SignatureBytes signature{};  // over (ctx, H(U1), H(y_i))
};
struct Confirm {
  RoundHeader header;
  Digest context{};
  Digest u1{};
  Digest u3{};
  SignatureBytes signature{};
};
enum class SecretKind : std::uint8_t { kSelfMaskSeed = 1, kMaskKey = 2 };
struct RevealedShare {
  SiteIndex owner;
  SecretKind kind = SecretKind::kSelfMaskSeed;
  std::array<std::uint8_t, 32> share{};  // meant to be public from here on: the UNMASK answer
};
struct Unmask {
  RoundHeader header;
  std::vector<RevealedShare> shares;  // one per site of U1, ordered
  SignatureBytes signature{};
};
struct Accepted {  // the site recomputed the server step and took the published adapter
  RoundHeader header;
  Digest adapter{};
  HeadBytes head;
};
struct Declined {  // the site will not go on with this attempt; a phase and a code, no data
  RoundHeader header;
  std::string code;    // snake_case, from a fixed list
  std::string reason;  // a sentence
};
struct SiteRecord {  // after a run: the site's log, all of which may leave the site (docs/ledger-format.md)
  RunId run;
  Bytes log;
  HeadBytes head;
};

// ---- coordinator -> site
// ---------------------------------------------------------------------------------------------------
struct JoinReply {
  bool accepted = false;
  std::string message;
};
struct Welcome {
  HeadBytes coordinator_head;
  HeadBytes last_head_of_site;  // the newest that the coordinator has seen of this site; empty when none
};
struct RunOffer {
  Bytes plan;    // encode(RunPlan)
  Bytes roster;  // encode(Roster)
};
struct RoundOpen {
  Bytes descriptor;            // encode(RoundDescriptor)
  HeadBytes head;              // the head that D names
  Bytes adapter;               // encode(AdapterState); its hash is in D
  SignatureBytes signature{};  // the coordinator's: two descriptors of one attempt are a proof against it
};
struct HeadProof {
  RoundHeader header;
  std::uint64_t from = 0;
  std::vector<Digest> path;  // RFC 9162, 2.1.4: the log of `from` entries is a prefix of the one that D's head names
};
struct KeysOf {
  SiteIndex site;
  Keys keys;
};
struct KeyList {
  RoundHeader header;
  std::vector<KeysOf> keys;  // ordered by site
};
struct SharesFrom {  // what site `from` shared with the receiver, with all that its signature covers
  SiteIndex from;
  std::vector<Digest> seed_share_hashes;
  std::vector<Digest> key_share_hashes;
  std::vector<SiteIndex> recipients;
  std::vector<Digest> sealed_hashes;  // H(sealed) for each recipient, in order
  Bytes sealed;                       // the receiver's own; empty in the entry of the receiver itself
  SignatureBytes signature{};
};
struct ShareList {
  RoundHeader header;
  std::vector<SharesFrom> from;  // exactly U1, ordered
};
struct Survivor {
  SiteIndex site;
  Digest masked{};             // H(y_i)
  SignatureBytes signature{};  // of its REPORT
};
struct ConfirmRequest {
  RoundHeader header;
  std::vector<Survivor> survivors;  // U3, ordered
  SignatureBytes signature{};       // the coordinator's: two sets of survivors are a proof against it
};
struct ConfirmOf {
  SiteIndex site;
  SignatureBytes signature{};
};
struct UnmaskRequest {
  RoundHeader header;
  std::vector<SiteIndex> survivors;
  std::vector<ConfirmOf> confirms;  // at least t, of distinct signers in U1, all over the same (ctx, H(U1), H(U3))
};
// Complete in itself: a site that was away can check from it who took part, without having seen the attempt.
struct RoundResult {
  RoundHeader header;
  Bytes descriptor;              // of the attempt that was opened
  std::vector<CohortMember> u1;  // ordered
  std::vector<SiteIndex> survivors;
  std::vector<ConfirmOf> confirms;  // at least t, over the same (ctx, H(U1), H(U3))
  Bytes sum;                        // ring elements of the unmasked sum, packed to b bits
  Bytes adapter;                    // encode(AdapterState) after the server step
  SignatureBytes signature{};       // the coordinator's, over all of the above
  Bytes start{};  // in the first result of a run, encode(AdapterState) that it started from (its hash is in D); else empty
};
struct RoundVoid {
  RoundHeader header;  // with the last attempt that was tried
  std::string reason;
  SignatureBytes signature{};  // the coordinator's
};
struct RunFinished {  // obeyed once: after all the plan's rounds, or after those that were over when the operator stopped it
  RunId run;
  Digest adapter{};  // of the last result
  HeadBytes head;
  std::uint32_t rounds = 0;    // that are over, with a result or void
  bool stopped = false;        // before the plan's last round
  SignatureBytes signature{};  // the coordinator's
};
struct Rejected {  // why a message was not taken
  std::string code;
  std::string reason;
};

using ToCoordinator = std::variant<Join, Hello, FetchRun, RunApproval, RunRefusal, FetchHeadProof, Keys, Shares, Report,
                                   Confirm, Unmask, Accepted, Declined, SiteRecord>;
using ToSite = std::variant<JoinReply, Welcome, RunOffer, RoundOpen, HeadProof, KeyList, ShareList, ConfirmRequest,
                            UnmaskRequest, RoundResult, RoundVoid, RunFinished, Rejected>;

// The fixed-order bytes that a message's signature covers: their SHA-256 is the statement's body, label_of() its label. KEYS
// to UNMASK are signed by the site under its roster name, the coordinator's five under kCoordinatorName.
inline constexpr const char* kCoordinatorName = "coordinator";
const char* label_of(const Join&);
const char* label_of(const RunApproval&);
const char* label_of(const Keys&);
const char* label_of(const Shares&);
const char* label_of(const Unmask&);
const char* label_of(const RoundOpen&);
const char* label_of(const ConfirmRequest&);
const char* label_of(const RoundResult&);
const char* label_of(const RoundVoid&);
const char* label_of(const RunFinished&);

Bytes body(const Join& m, const PublicKeyBytes& transport);
Bytes body(const RunApproval& m);
Bytes body(const Keys& m);
Bytes body(const Shares& m, const std::vector<Digest>& sealed_hashes);
Bytes body(const SharesFrom& m);  // equals the sender's
Bytes report_body(const Digest& context, const Digest& u1, const Digest& masked);
Bytes body(const Confirm& m);
Bytes body(const Unmask& m);
Bytes body(const RoundOpen& m);
Bytes body(const ConfirmRequest& m);
Bytes body(const RoundResult& m);
Bytes body(const RoundVoid& m);
Bytes body(const RunFinished& m);

// What H(list of share hashes) in U1 is the hash of.
Bytes share_hashes_preimage(const std::vector<Digest>& seed_share_hashes, const std::vector<Digest>& key_share_hashes);
// Which share of whose secret: the context of crypto::share_hash.
Bytes share_context(const RoundHeader& header, SiteIndex dealer, SecretKind kind);

}  // namespace sotto::wire
