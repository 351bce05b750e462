// The sum of masked vectors, and the masks taken out of it again (design: REPORT to RESULT). Vectors are added one at a
// time, so memory is O(parameters). Afterwards each survivor's self mask is left in the sum, and for each site that dropped
// out after SHARES the pair masks that the survivors added with it in mind. Both come from secrets that the survivors'
// shares rebuilt. Heavy work, pure: it may run on any thread that owns its arguments.
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "crypto/key_agreement.h"
#include "crypto/mask.h"

namespace sotto::aggregation {

class MaskedSum {
 public:
  // 1 <= bits <= 32.
  MaskedSum(std::size_t size, std::uint32_t bits);
  // Fails (kProtocol) when the vector has another size or an element of more than `bits` bits; the sum is then unchanged.
  Result<void> add(SiteIndex site, std::span<const std::uint32_t> masked);
  // Who was added, in that order; a site may be added once.
  const std::vector<SiteIndex>& sites() const { return sites_; }
  std::size_t size() const { return sum_.size(); }
  std::uint32_t bits() const { return bits_; }
  const std::vector<std::uint32_t>& elements() const { return sum_; }
  std::vector<std::uint32_t> take() && { return std::move(sum_); }

 private:
  std::vector<std::uint32_t> sum_;
  std::vector<SiteIndex> sites_;
  std::uint32_t bits_;
};

// What a site published in KEYS.
struct PublishedKeys {
  SiteIndex site;
  crypto::MaskPublicKey mask_key;
  Digest seed_commitment{};  // crypto::commit(b_i)
};

struct RebuiltSeed {  // of a survivor
  SiteIndex site;
  crypto::MaskSeed seed;
};

struct RebuiltKey {  // of a site in U1 that is no survivor
  SiteIndex site;
  crypto::MaskKey key;
};

struct Unmasking {
  crypto::MaskContext context;
  std::vector<PublishedKeys> u1;   // every site of U1
  std::vector<RebuiltSeed> seeds;  // exactly the sites that were added
  std::vector<RebuiltKey> keys;    // exactly the rest of U1
};

// The sum of the survivors' x_i. Fails (kProtocol) and names the site when a rebuilt seed does not fit its commitment, a
// rebuilt key does not fit the published one, a site is missing, or one site is named both as survivor and as dropped.
Result<std::vector<std::uint32_t>> unmask(MaskedSum&& sum, Unmasking&& with);

}  // namespace sotto::aggregation
