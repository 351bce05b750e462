#include "crypto/shamir.h"

#include <string>

#include "crypto/hash.h"

namespace sotto::crypto {
namespace {

constexpr std::size_t kSecretSize = 32;

// Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, section 4.2). Eight fixed steps, selection by masks.
std::uint8_t gf_multiply(std::uint8_t a, std::uint8_t b) {
  unsigned x = a;
  unsigned y = b;
  unsigned product = 0;
  for (int bit = 0; bit < 8; ++bit) {
    product ^= x & (0u - (y & 1u));
    y >>= 1;
    x = (x << 1) ^ (0x11bu & (0u - (x >> 7)));
  }
  return static_cast<std::uint8_t>(product);
}

// a^254, which is 1/a for a != 0.
std::uint8_t gf_inverse(std::uint8_t a) {
  std::uint8_t power = a;  // a^(2^i)
  std::uint8_t result = 1;
  for (int i = 1; i < 8; ++i) {
    power = gf_multiply(power, power);
    result = gf_multiply(result, power);
  }
  return result;
}

// 32 products by one public factor at once, so that the loop over bytes is the inner one.
void multiply_add(std::span<std::uint8_t, kSecretSize> sum, std::span<const std::uint8_t, kSecretSize> value,
                  std::uint8_t factor) {
  for (std::size_t k = 0; k < kSecretSize; ++k) sum[k] = static_cast<std::uint8_t>(sum[k] ^ gf_multiply(value[k], factor));
}

// The Lagrange coefficient at 0 of point `own` among the first `count` shares: product of x_m / (x_m + x_own). Points are
// public.
std::uint8_t lagrange_at_zero(std::span<const Share> shares, std::size_t own) {
  std::uint8_t numerator = 1;
  std::uint8_t denominator = 1;
  for (std::size_t m = 0; m < shares.size(); ++m) {
    if (m == own) continue;
    numerator = gf_multiply(numerator, shares[m].point);
    denominator = gf_multiply(denominator, static_cast<std::uint8_t>(shares[m].point ^ shares[own].point));
  }
  return gf_multiply(numerator, gf_inverse(denominator));
}

Result<void> check_points(std::span<const Share> shares) {
  std::array<bool, 256> seen{};
  for (const Share& share : shares) {
    if (share.point == 0)
      return protocol_error("share at point 0: that point would be the secret itself; refuse its sender");
    if (seen[share.point]) {
      return protocol_error("two shares at point " + std::to_string(share.point) + ": keep one share a site");
    }
    seen[share.point] = true;
  }
  return {};
}

}  // namespace

std::vector<Share> split(std::span<const std::uint8_t, 32> secret, std::uint32_t threshold, std::uint32_t count,
                         RandomSource& source) {
  SOTTO_CHECK(threshold >= 2 && threshold <= count && count <= 255);
  std::vector<ShareValue> coefficients;  // of x^1 .. x^(threshold - 1)
  coefficients.reserve(threshold - 1);
  for (std::uint32_t i = 1; i < threshold; ++i) coefficients.push_back(ShareValue::random(source));
  std::vector<Share> shares;
  shares.reserve(count);
  for (std::uint32_t point = 1; point <= count; ++point) {
    const auto x = static_cast<std::uint8_t>(point);
    shares.push_back({x, ShareValue::make([&](std::span<std::uint8_t, kSecretSize> out) {
                        std::copy(secret.begin(), secret.end(), out.begin());
                        std::uint8_t power = 1;
                        for (const ShareValue& coefficient : coefficients) {
                          power = gf_multiply(power, x);
                          multiply_add(out, coefficient.reveal(), power);
                        }
                      })});
  }
  return shares;
}

Result<Secret<32>> combine(std::span<const Share> shares, std::uint32_t threshold) {
  SOTTO_CHECK(threshold >= 2 && threshold <= 255);
  SOTTO_TRY_VOID(check_points(shares));
  if (shares.size() < threshold) {
    return protocol_error(std::to_string(shares.size()) + " shares, and " + std::to_string(threshold) +
                          " are needed: ask more sites for theirs");
  }
  const auto used = shares.first(threshold);
  return Secret<32>::make([&](std::span<std::uint8_t, kSecretSize> out) {
    for (std::size_t i = 0; i < used.size(); ++i) multiply_add(out, used[i].value.reveal(), lagrange_at_zero(used, i));
  });
}

Digest share_hash(const Share& share, ByteSpan context) {
  ByteWriter head;
  head.raw(as_bytes("sotto/share/v1")).bytes(context).u8(share.point);
  return Sha256().update(head.view()).update(share.value.reveal()).finish();
}

}  // namespace sotto::crypto
