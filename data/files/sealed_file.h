// A data set at rest: AES-256-GCM in chunks, so that it is read piece by piece and no plain copy comes to lie on a disk.
//   "SOTTOSD1" | 16 bytes of salt | chunks: u32 length (little-endian) | nonce, ciphertext, tag
// The file's key is HKDF-SHA-256(salt, the site's data key, "sotto/sealed-data/v1"); a chunk's associated data is its number
// and whether it is the last, so that chunks cannot be swapped, repeated or cut off. A writer and a reader are for one
// thread.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/random.h"
#include "crypto/secret.h"

namespace sotto::data {

using DataKey = crypto::Secret<32, struct DataKeyTag>;  // of a site, for all its sealed data sets; never sent

bool is_sealed(const std::string& path);

// Writes beside and renames: under `path` there is a whole file or what was there before. Mode 0600.
class SealedWriter {
 public:
  static Result<SealedWriter> create(const std::string& path, const DataKey& key, RandomSource& random);
  SealedWriter(SealedWriter&&) noexcept;
  SealedWriter& operator=(SealedWriter&&) = delete;
  ~SealedWriter();  // removes what was not finished

  Result<void> write(std::string_view text);
  Result<void> finish();

 private:
  struct State;
  explicit SealedWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class SealedReader {
 public:
  // Fails when the file cannot be opened or is not sealed.
  static Result<SealedReader> open(const std::string& path, const DataKey& key);
  SealedReader(SealedReader&&) noexcept;
  SealedReader& operator=(SealedReader&&) = delete;
  ~SealedReader();

  // Up to `size` bytes; 0 at the end. Fails on another key, on any changed bit, and when the last chunk is missing.
  Result<std::size_t> read(char* out, std::size_t size);

 private:
  struct State;
  explicit SealedReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
