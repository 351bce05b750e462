#include "crypto/hash.h"

#include <openssl/hmac.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "crypto/openssl.h"

namespace sotto::crypto {
namespace {

constexpr std::size_t kFileChunk = 1 << 20;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

struct Sha256::State {
  DigestContext context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  state_->context.reset(require(EVP_MD_CTX_new(), "EVP_MD_CTX_new"));
  // Fetched once: OpenSSL 3 looks EVP_sha256() up again for every hash, which costs more than hashing a short entry.
  static const EVP_MD* const algorithm = require(EVP_MD_fetch(nullptr, "SHA256", nullptr), "EVP_MD_fetch");
  require(EVP_DigestInit_ex2(state_->context.get(), algorithm, nullptr) == 1, "EVP_DigestInit_ex2");
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::update(ByteSpan data) {
  SOTTO_CHECK(state_ != nullptr);
  require(EVP_DigestUpdate(state_->context.get(), data.data(), data.size()) == 1, "EVP_DigestUpdate");
  return *this;
}

Digest Sha256::finish() {
  SOTTO_CHECK(state_ != nullptr);
  Digest digest{};
  require(EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr) == 1, "EVP_DigestFinal_ex");
  state_.reset();
  return digest;
}

Digest sha256(ByteSpan data) { return Sha256().update(data).finish(); }

Result<Digest> sha256_file(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (!file) return not_found("cannot open '" + path + "' to hash it: " + std::strerror(errno) + "; check the path");
  Sha256 hash;
  Bytes chunk(kFileChunk);
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    hash.update(ByteSpan(chunk).first(n));
  }
  if (std::ferror(file.get())) return unavailable("cannot read '" + path + "' to hash it: " + std::strerror(errno));
  return hash.finish();
}

Digest hmac_sha256(ByteSpan key, ByteSpan data) {
  static constexpr std::uint8_t kEmpty = 0;  // HMAC() takes a null key for "the key of before"
  Digest digest{};
  unsigned int size = 0;
  require(HMAC(EVP_sha256(), key.empty() ? &kEmpty : key.data(), as_int(key.size()), data.data(), data.size(), digest.data(),
               &size) != nullptr,
          "HMAC");
  return digest;
}

}  // namespace sotto::crypto
