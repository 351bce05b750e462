// Pairwise and self masks over Z_2^b, b <= 32 (Bonawitz et al., CCS'17), bound to one round's transcript. No network, no
// rounds. PRG(key) = the words of key's AES-256-CTR stream, IV 0, little-endian uint32, low b bits. Site i of U1 sends
//   y_i = x_i + PRG(self_i) + sum_{j in U1, j > i} PRG(pair_ij) - sum_{j in U1, j < i} PRG(pair_ij)  mod 2^b,
//   pair_ij = HKDF-SHA256(salt = ctx | H(U1), ikm = X25519(i, j), info = protocol, version, ordered pair),
//   self_i  = HKDF-SHA256(salt = ctx | H(U1), ikm = b_i,          info = protocol, version, i).
// A stream key is used once: the functions below consume it. Sites that were told different descriptors or sets have
// different salts, so their masks do not cancel and the sum is noise.
#pragma once

#include "base/ids.h"
#include "crypto/secret.h"

namespace sotto::crypto {

struct MaskContext {
  Digest ctx{};  // SHA-256("sotto/secagg/v1" | round descriptor)
  Digest u1{};   // H(U1): the sites, keys and share hashes of the round
};

// Both sites of a pair get the same key, whichever is named first. The same site twice is a broken invariant.
MaskStreamKey derive_pair_mask_key(const MaskAgreement& agreement, const MaskContext& context, SiteIndex a, SiteIndex b);
MaskStreamKey derive_self_mask_key(const MaskSeed& seed, const MaskContext& context, SiteIndex site);
// SHA-256("commit" | b_i), published before the masks are used.
Digest commit(const MaskSeed& seed);

// values[k] = (values[k] +- PRG(key)[k]) mod 2^bits. Requires 1 <= bits <= 32. Masks longer than 16 KiB are expanded and
// added tile by tile.
void add_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits);
void subtract_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits);

// What `self` does to its own vector with the key it shares with `peer`: added when peer > self, else subtracted.
void add_pair_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits, SiteIndex self, SiteIndex peer);
// Takes what add_pair_mask(self, peer) did out of a sum.
void remove_pair_mask(std::span<std::uint32_t> values, MaskStreamKey&& key, std::uint32_t bits, SiteIndex self,
                      SiteIndex peer);

}  // namespace sotto::crypto
