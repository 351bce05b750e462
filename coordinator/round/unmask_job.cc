#include "coordinator/round/unmask_job.h"

#include <algorithm>

namespace sotto::coordinator {
namespace {

const aggregation::PublishedKeys* find(const std::vector<aggregation::PublishedKeys>& u1, SiteIndex site) {
  const auto it = std::ranges::find(u1, site, &aggregation::PublishedKeys::site);
  return it == u1.end() ? nullptr : &*it;
}

Error misdealt(SiteIndex owner, const char* what) {
  return protocol_error("site " + std::to_string(owner.value()) + " signed shares that do not give the " + what +
                        " it published: it dealt them wrongly, so this attempt cannot be opened");
}

}  // namespace

Result<std::vector<std::uint32_t>> run(UnmaskJob&& job) {
  aggregation::Unmasking with;
  with.context = job.context;
  for (const auto& owner : job.owners) {
    const auto* published = find(job.u1, owner.owner);
    SOTTO_CHECK(published != nullptr);
    SOTTO_TRY(crypto::Secret<32> secret, crypto::combine(owner.shares, job.threshold));
    if (owner.survivor) {
      crypto::MaskSeed seed(std::move(secret));
      if (crypto::commit(seed) != published->seed_commitment) return misdealt(owner.owner, "self-mask seed");
      with.seeds.push_back({owner.owner, std::move(seed)});
    } else {
      crypto::MaskKey key(std::move(secret));
      if (crypto::public_key(key) != published->mask_key) return misdealt(owner.owner, "mask key");
      with.keys.push_back({owner.owner, std::move(key)});
    }
  }
  with.u1 = std::move(job.u1);
  return aggregation::unmask(std::move(job.sum), std::move(with));
}

}  // namespace sotto::coordinator
