// Keys in files of their own: the bare bytes, mode 0600, written in one step. Not encrypted in this version
// (docs/threat-model.md).
#pragma once

#include <string>

#include "base/files.h"
#include "crypto/secret.h"

namespace sotto::crypto {

inline constexpr std::size_t kLargestKeyFile = 4096;

// Key is a Secret<N, Tag>. Refused where others may read the file.
template <class Key>
Result<Key> read_key(const std::string& path) {
  SOTTO_TRY(Bytes bytes, read_private_file(path, kLargestKeyFile));
  if (bytes.size() != Key::kSize)
    return invalid("'" + path + "' has " + std::to_string(bytes.size()) + " bytes, a key has " + std::to_string(Key::kSize) +
                   "; restore it from a backup");
  Key key = Key::from(bytes);
  wipe(bytes);
  return key;
}

template <class Key>
Result<void> write_new_key(const std::string& path, RandomSource& random) {
  const Key key = Key::random(random);
  return write_file_atomically(path, ByteSpan(key.reveal()), FileMode::kPrivate);
}

}  // namespace sotto::crypto
