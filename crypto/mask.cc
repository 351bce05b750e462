#include "crypto/mask.h"

#include <algorithm>
#include <bit>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/openssl.h"

namespace sotto::crypto {
namespace {

constexpr std::size_t kTileWords = 16 * 1024 / sizeof(std::uint32_t);
enum class Sign { kAdd, kSubtract };

std::uint32_t word_from_little_endian(std::uint32_t word) {
  if constexpr (std::endian::native == std::endian::big) return __builtin_bswap32(word);
  return word;
}

// A tile of keystream stays in the first-level cache between being made and being added.
template <Sign sign>
void apply(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits) {
  SOTTO_CHECK(bits >= 1 && bits <= 32);
  const std::uint32_t low_bits = bits == 32 ? 0xffffffffu : (1u << bits) - 1;
  static constexpr std::array<std::uint8_t, kTileWords * sizeof(std::uint32_t)> kZeros{};
  alignas(64) std::array<std::uint32_t, kTileWords> tile;
  const auto tile_bytes = std::span(reinterpret_cast<std::uint8_t*>(tile.data()), kZeros.size());
  const CipherContext cipher = aes_256_ctr(key.reveal(), CounterBlock{});
  key.erase();
  for (std::size_t begin = 0; begin < values.size(); begin += kTileWords) {
    const auto part = values.subspan(begin, std::min(kTileWords, values.size() - begin));
    int written = 0;
    require(EVP_EncryptUpdate(cipher.get(), tile_bytes.data(), &written, kZeros.data(), as_int(part.size_bytes())) == 1,
            "EVP_EncryptUpdate");
    for (std::size_t k = 0; k < part.size(); ++k) {
      const std::uint32_t word = word_from_little_endian(tile[k]);
      part[k] = (sign == Sign::kAdd ? part[k] + word : part[k] - word) & low_bits;
    }
  }
  wipe(tile_bytes);
}

Bytes salt_of(const MaskContext& context) { return ByteWriter().raw(context.ctx).raw(context.u1).take(); }

}  // namespace

MaskStreamKey derive_pair_mask_key(const MaskAgreement& agreement, const MaskContext& context, SiteIndex a, SiteIndex b) {
  SOTTO_CHECK(a != b);
  ByteWriter info;
  info.text("sotto/secagg/v1").text("pair mask").u32(std::min(a, b).value()).u32(std::max(a, b).value());
  return MaskStreamKey(hkdf_sha256<32>(salt_of(context), agreement.reveal(), info.view()));
}

MaskStreamKey derive_self_mask_key(const MaskSeed& seed, const MaskContext& context, SiteIndex site) {
  ByteWriter info;
  info.text("sotto/secagg/v1").text("self mask").u32(site.value());
  return MaskStreamKey(hkdf_sha256<32>(salt_of(context), seed.reveal(), info.view()));
}

Digest commit(const MaskSeed& seed) { return Sha256().update(as_bytes("commit")).update(seed.reveal()).finish(); }

void add_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits) {
  apply<Sign::kAdd>(values, std::move(key), bits);
}
void subtract_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits) {
  apply<Sign::kSubtract>(values, std::move(key), bits);
}

void add_pair_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits, SiteIndex self,
                   SiteIndex peer) {
  SOTTO_CHECK(self != peer);
  if (peer > self) {
    add_mask(values, std::move(key), bits);
  } else {
    subtract_mask(values, std::move(key), bits);
  }
}

void remove_pair_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits, SiteIndex self,
                      SiteIndex peer) {
  add_pair_mask(values, std::move(key), bits, peer, self);  // the other direction has the other sign
}

}  // namespace sotto::crypto
