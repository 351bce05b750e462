#include "crypto/aead.h"

#include "crypto/openssl.h"

namespace sotto::crypto {

Bytes seal(const AeadKey& key, ByteSpan plaintext, AssociatedData associated, RandomSource& source) {
  Bytes sealed(plaintext.size() + kAeadOverhead);
  const auto nonce = std::span(sealed).first(kAeadNonceSize);
  const auto ciphertext = std::span(sealed).subspan(kAeadNonceSize, plaintext.size());
  const auto tag = std::span(sealed).last(kAeadTagSize);
  source.fill(nonce);
  const CipherContext context(require(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new"));
  EVP_CIPHER_CTX* gcm = context.get();
  int written = 0;
  require(EVP_EncryptInit_ex2(gcm, EVP_aes_256_gcm(), key.reveal().data(), nonce.data(), nullptr) == 1,
          "EVP_EncryptInit_ex2");
  require(EVP_EncryptUpdate(gcm, nullptr, &written, associated.bytes.data(), as_int(associated.bytes.size())) == 1,
          "EVP_EncryptUpdate");
  if (!plaintext.empty()) {
    require(EVP_EncryptUpdate(gcm, ciphertext.data(), &written, plaintext.data(), as_int(plaintext.size())) == 1,
            "EVP_EncryptUpdate");
  }
  require(EVP_EncryptFinal_ex(gcm, tag.data(), &written) == 1, "EVP_EncryptFinal_ex");
  require(EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, as_int(tag.size()), tag.data()) == 1, "EVP_CTRL_AEAD_GET_TAG");
  return sealed;
}

Result<SecretBuffer> open(const AeadKey& key, ByteSpan sealed, AssociatedData associated) {
  if (sealed.size() < kAeadOverhead) {
    return protocol_error("sealed message of " + std::to_string(sealed.size()) + " bytes is shorter than nonce and tag, " +
                          std::to_string(kAeadOverhead) + " bytes: it was cut short");
  }
  const auto ciphertext = sealed.subspan(kAeadNonceSize, sealed.size() - kAeadOverhead);
  std::array<std::uint8_t, kAeadTagSize> tag{};
  std::copy_n(sealed.last(kAeadTagSize).begin(), kAeadTagSize, tag.begin());
  const CipherContext context(require(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new"));
  EVP_CIPHER_CTX* gcm = context.get();
  Bytes plaintext(ciphertext.size());
  int written = 0;
  require(EVP_DecryptInit_ex2(gcm, EVP_aes_256_gcm(), key.reveal().data(), sealed.data(), nullptr) == 1,
          "EVP_DecryptInit_ex2");
  require(EVP_DecryptUpdate(gcm, nullptr, &written, associated.bytes.data(), as_int(associated.bytes.size())) == 1,
          "EVP_DecryptUpdate");
  if (!ciphertext.empty()) {
    require(EVP_DecryptUpdate(gcm, plaintext.data(), &written, ciphertext.data(), as_int(ciphertext.size())) == 1,
            "EVP_DecryptUpdate");
  }
  require(EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, as_int(tag.size()), tag.data()) == 1, "EVP_CTRL_AEAD_SET_TAG");
  SecretBuffer opened(std::move(plaintext));  // wiped, unread, if the tag is wrong
  if (EVP_DecryptFinal_ex(gcm, tag.data(), &written) != 1) {
    ERR_clear_error();
    return protocol_error("sealed message does not open: another key, another purpose (associated data) or changed bytes");
  }
  return opened;
}

}  // namespace sotto::crypto
