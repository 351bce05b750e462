// The code with which a site enrols: one line of text that the operator sends to the site. It names the coordinator's
// address and both its keys, and holds a one-time token that proves that the operator wanted this site. Whoever has the code
// can enrol in the site's place until it is used, which is why the operators compare fingerprints by another way before
// approving.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "plan/run_plan.h"

namespace sotto::wire {

struct Invite {
  SiteName site;
  std::string endpoint;        // tcp://HOST:PORT, as sites reach it
  PublicKeyBytes transport{};  // the coordinator's CURVE key
  PublicKeyBytes identity{};   // the coordinator's Ed25519 key
  std::array<std::uint8_t, 16> token{};
  bool operator==(const Invite&) const = default;
};

// "sotto1-" and base64url (RFC 4648) of the fixed-order bytes and the first four bytes of their SHA-256.
std::string to_code(const Invite& invite);
// Fails (kInvalid) on a code that was cut or mistyped, and on anything that is not one; white space around it does not
// matter.
Result<Invite> parse_code(std::string_view code);

}  // namespace sotto::wire
