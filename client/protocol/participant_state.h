// Inside of Participant: everything that survives a crash, and its bytes. Not for others.
#pragma once

#include <map>
#include <optional>

#include "client/protocol/participant.h"
#include "crypto/key_agreement.h"
#include "crypto/shamir.h"

namespace sotto::client {

// What another site (or this one) dealt to this site.
struct HeldShares {
  SiteIndex dealer;
  crypto::ShareValue seed_share;
  crypto::ShareValue key_share;
};

// What only this site knows of an attempt. Gone once UNMASK is answered, the round has its result, or a later attempt is
// joined.
struct AttemptSecrets {
  crypto::MaskKey mask_key;
  crypto::SealKey seal_key;
  crypto::MaskSeed seed;
  std::vector<HeldShares> held;  // own alone after SHARES were dealt; then all of U1, in order
};

struct AttemptState {
  RoundDescriptor descriptor;
  wire::HeadBytes coordinator_head;
  std::optional<AttemptSecrets> secrets;
  bool abandoned = false;  // proof of misconduct came up: nothing more is sent in this attempt
  // Each message is fixed before it is sent for the first time and repeated byte for byte.
  wire::Keys keys;
  std::vector<wire::KeysOf> key_list;
  std::optional<wire::Shares> shares;
  std::vector<CohortMember> u1;
  std::optional<wire::Report> report;
  std::vector<SiteIndex> u3;
  Bytes confirm_request;  // what CONFIRM agreed to: body and the coordinator's signature
  std::optional<wire::Confirm> confirm;
  std::optional<wire::Unmask> unmask;
};

// x_i, with the descriptor it was made under.
struct StoredUpdate {
  RoundDescriptor made_under;
  std::vector<std::uint32_t> elements;

  StoredUpdate(RoundDescriptor d, std::vector<std::uint32_t> x) : made_under(std::move(d)), elements(std::move(x)) {}
  StoredUpdate(StoredUpdate&&) noexcept = default;
  StoredUpdate& operator=(StoredUpdate&&) noexcept = default;
  ~StoredUpdate();  // wipes
};

// What a site remembers of a run from one snapshot to the next.
struct RunMemory {
  RoundId next_round;
  Digest transcript{};
  Bytes adapter;  // what next_round starts from; empty until the first one was checked
  bool halted = false;
  std::optional<wire::Accepted> last_accepted;
  std::optional<audit::ResultAccepted> last_result;
  std::vector<wire::HeadBytes> heads;  // newest seen: of every site of the roster, then of the coordinator; empty: none yet
  // Of next_round alone:
  std::map<AttemptId, Bytes> seen;  // every descriptor shown: body and the coordinator's signature
  bool opened = false;              // UNMASK was answered in some attempt: never again in another
  std::optional<AttemptState> attempt;
  std::optional<StoredUpdate> update;
};

// `owner` names plan, roster and site: bytes of another run or site are refused.
crypto::SecretBuffer encode(const RunMemory& memory, const Digest& owner);
Result<RunMemory> decode_memory(ByteSpan bytes, const Digest& owner);

}  // namespace sotto::client
