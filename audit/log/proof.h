// Proofs about logs that whoever holds a signed head can check without the log: an entry is in it (RFC 9162, section 2.1.3),
// an older head is a prefix of a newer one (2.1.4), or one party signed two heads that no single log has. As JSON, so that
// they can be sent; docs/ledger-format.md has the members. Reading is safe for input of any kind.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "audit/log/signed_head.h"

namespace sotto::audit {

struct InclusionProof {
  Digest log{};
  std::uint64_t index = 0;
  Bytes entry;  // body_of(record)
  TreeHead head;
  std::vector<Digest> path;
};

struct ConsistencyProof {
  Digest log{};
  TreeHead from;
  TreeHead to;
  std::vector<Digest> path;
};

// Both heads are signed by one key. Either they are of two logs, or the log under `second` has, at first.size, the root
// `root_there`, which is not first.root; `path` proves that root to be a prefix of `second`.
struct SplitProof {
  SignedHead first;
  SignedHead second;  // first.size <= second.size when they are of one log
  Digest root_there{};
  std::vector<Digest> path;
  std::string first_seen;  // where, for people
  std::string second_seen;
};

using Proof = std::variant<InclusionProof, ConsistencyProof, SplitProof>;

Json to_json(const Proof& proof);
Result<Proof> proof_from_json(const Json& json);
// A sentence about what is proven; an Error when the proof does not hold.
Result<std::string> check_proof(const Proof& proof);
// Besides, that the proof's (newer) head is exactly this signed one.
Result<std::string> check_proof_against(const Proof& proof, const SignedHead& head);

// A head as somebody holds it.
struct SeenHead {
  SignedHead head;
  std::string where;  // "sites/a/log, entry 12"
};
// The first contradiction among heads of one party; with the party's own log also between heads of different sizes. Heads
// whose signature does not hold prove nothing and are left out.
std::optional<SplitProof> find_split(const std::vector<SeenHead>& heads, const LogImage* own_log);

}  // namespace sotto::audit
