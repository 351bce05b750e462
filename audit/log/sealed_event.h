// Entries that only the holder of a key may read. The chain and the Merkle tree cover the sealed bytes, so an auditor
// without the key verifies the log all the same and sees that, and where, something is sealed. AES-256-GCM under a key
// derived from the site's log key; associated data: "sotto/log/sealed/v1", log id, index. So a sealed entry opens in its own
// place alone.
#pragma once

#include <string>

#include "audit/log/log_format.h"
#include "base/random.h"
#include "crypto/secret.h"

namespace sotto::audit {

using LogKey = crypto::Secret<32, struct LogKeyTag>;

// Where a key comes from, so that it need not lie beside what it protects:
//   file:PATH         32 bytes, or 64 hexadecimal digits
//   env:NAME          64 hexadecimal digits in an environment variable
//   credential:NAME   a file of that name in $CREDENTIALS_DIRECTORY, where systemd puts a service's credentials
// Errors name the source and never the key.
Result<LogKey> read_log_key(const std::string& source);

struct LogPlace {
  Digest log{};  // LogImage::id()
  std::uint64_t index = 0;
};

// What no one but the site has to read: its own measurements on real records.
bool may_be_sealed(EventType type);

Sealed seal_event(const Event& event, const LogKey& key, const LogPlace& place, RandomSource& random);
// Fails for another key, another place and any changed bit.
Result<Event> open_event(const Sealed& sealed, const LogKey& key, const LogPlace& place);

}  // namespace sotto::audit
