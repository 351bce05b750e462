// Messages to bytes and back (sotto.proto). The one place that knows Protobuf, and the one place where the limits on
// incoming bytes are: message size, list lengths, names, vectors, sizes of fixed fields. What decode() returns is
// well-formed; whether it is allowed now is for the state machines. Pure functions; any thread.
#pragma once

#include "wire/messages.h"

namespace sotto::wire {

// Broken invariant when a message is larger than kMaxMessageBytes (link.h) or one of its lists is longer than a roster can
// be.
Bytes encode(const ToCoordinator& message);
Bytes encode(const ToSite& message);

// Fails (kProtocol) with a sentence that names message and field: "keys.mask_key: 31 bytes, must be 32".
Result<ToCoordinator> decode_to_coordinator(ByteSpan bytes);
Result<ToSite> decode_to_site(ByteSpan bytes);

// What the first bytes of a long message to the coordinator say about it, before the whole is there.
struct Peeked {
  enum class Kind { kOther, kReport, kShares, kRunApproval, kSiteRecord };
  Kind kind = Kind::kOther;
  RunId run;
  RoundHeader header;  // of kReport and kShares
  std::uint64_t size = 0;
};
// kOther for whatever is malformed.
Peeked peek_to_coordinator(ByteSpan first_bytes, std::uint64_t size);

// "keys", "share_list", ...: the message's name in sotto.proto, for logs.
const char* name_of(const ToCoordinator& message);
const char* name_of(const ToSite& message);

}  // namespace sotto::wire
