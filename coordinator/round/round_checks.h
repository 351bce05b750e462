// What a site's message of a round must satisfy beside its sender and phase: sizes, then content, then signature, in that
// order. Pure functions over values; each Error is a sentence that names what is wrong.
#pragma once

#include <span>
#include <vector>

#include "crypto/statement.h"
#include "plan/round_descriptor.h"
#include "wire/messages.h"

namespace sotto::coordinator {

// What is fixed for an attempt.
struct AttemptFacts {
  const Roster* roster = nullptr;
  RoundDescriptor descriptor;
  Digest context{};
  std::size_t update_size = 0;  // coordinates of y_i

  wire::RoundHeader header() const { return {descriptor.run, descriptor.round, descriptor.attempt}; }
  const std::string& name_of(SiteIndex site) const { return roster->sites[site.value()].name; }
};

// The statement that a party's signature over `body` covers.
crypto::Statement statement_of(const AttemptFacts& facts, const char* label, const std::string& sender, ByteSpan body);

// The content rules of a message; `members` are the sites of the key list, in order.
Result<void> check_content(const AttemptFacts& facts, SiteIndex site, const wire::Keys& m);
Result<void> check_content(const AttemptFacts& facts, SiteIndex site, const wire::Shares& m,
                           const std::vector<SiteIndex>& members);
Result<void> check_content(const AttemptFacts& facts, const wire::Report& m, const Digest& u1);
Result<void> check_content(const AttemptFacts& facts, const wire::Confirm& m, const Digest& u1, const Digest& u3);
// Exactly one share of each member of U1, of the kind that U3 asks for.
Result<void> check_content(const wire::Unmask& m, const std::vector<SiteIndex>& u1, const std::vector<SiteIndex>& u3);

Result<void> check_signature(const AttemptFacts& facts, const char* label, SiteIndex site, ByteSpan body,
                             const SignatureBytes& signature);

// Whether each share that `site` reveals is the one whose hash its owner signed; the Error names owner and kind.
// `dealt[i]` is the SHARES of the i-th share's owner.
Result<void> check_revealed(const AttemptFacts& facts, SiteIndex site, const wire::Unmask& m,
                            const std::vector<const wire::Shares*>& dealt);

std::vector<Digest> hashes_of(const std::vector<wire::SealedShare>& sealed);

}  // namespace sotto::coordinator
