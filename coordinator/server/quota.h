// How much one peer may ask for: a bucket of tokens for each key, filled at a steady rate. What strangers and sites make the
// coordinator write or send is counted here, so that nobody makes it do so without limit. The buckets are few: keys that
// asked longest ago are forgotten first. Pure; one thread.
#pragma once

#include <chrono>
#include <map>
#include <string>

namespace sotto::coordinator {

struct Rate {
  double burst = 1;
  double per_second = 1;
};

class Quota {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Quota(Rate rate) : rate_(rate) {}
  // Whether `key` may ask once more; a yes takes one token.
  bool take(const std::string& key, Time now);

 private:
  struct Bucket {
    double tokens = 0;
    Time filled{};
  };
  Rate rate_;
  std::map<std::string, Bucket> buckets_;
};

// What the running log says again and again is said a few times a minute, and then counted.
class Sampler {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whether to write it. `left_out` is the number that were not written since the last that was.
  struct Answer {
    bool write = false;
    std::uint64_t left_out = 0;
  };
  Answer ask(const std::string& event, Time now);

 private:
  Quota quota_{{10, 1.0 / 6}};
  std::map<std::string, std::uint64_t> left_out_;
};

}  // namespace sotto::coordinator
