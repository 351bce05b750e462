// The work that remains once enough sites have answered UNMASK: rebuild every secret from its shares and subtract the masks
// from the sum. It is heavy (one mask for each survivor, and one for each pair of a survivor and a dropped site) and pure:
// it may run on any thread that owns the job, and its result goes back to the round as an event.
#pragma once

#include <vector>

#include "aggregation/unmask.h"
#include "crypto/shamir.h"

namespace sotto::coordinator {

struct SharesOf {
  SiteIndex owner;
  bool survivor = false;              // shares of its self-mask seed; otherwise of its mask key
  std::vector<crypto::Share> shares;  // at least `threshold`, each equal to what the owner signed a hash of
};

struct UnmaskJob {
  aggregation::MaskedSum sum;
  crypto::MaskContext context;
  std::uint32_t threshold = 0;  // t
  std::vector<aggregation::PublishedKeys> u1;
  std::vector<SharesOf> owners;  // every site of U1
};

// The integer sum of the survivors' x_i modulo 2^b. Fails (kProtocol) and names the site whose shares, though each is the
// one it signed, do not give what it published in KEYS: that site dealt them wrongly.
Result<std::vector<std::uint32_t>> run(UnmaskJob&& job);

}  // namespace sotto::coordinator
