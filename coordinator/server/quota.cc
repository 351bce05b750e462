#include "coordinator/server/quota.h"

#include <algorithm>
#include <utility>

namespace sotto::coordinator {
namespace {

constexpr std::size_t kMostKeys = 4096;

}  // namespace

bool Quota::take(const std::string& key, Time now) {
  if (buckets_.size() >= kMostKeys && !buckets_.contains(key))
    buckets_.erase(std::ranges::min_element(buckets_, {}, [](const auto& entry) { return entry.second.filled; }));
  const auto [entry, fresh] = buckets_.try_emplace(key, Bucket{rate_.burst, now});
  Bucket& bucket = entry->second;
  const std::chrono::duration<double> passed = now - bucket.filled;
  bucket.tokens = std::min(rate_.burst, bucket.tokens + passed.count() * rate_.per_second);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

Sampler::Answer Sampler::ask(const std::string& event, Time now) {
  if (quota_.take(event, now)) return {true, std::exchange(left_out_[event], 0)};
  ++left_out_[event];
  return {};
}

}  // namespace sotto::coordinator
