// Which token comes next, from a row of logits. The warpers and their order are those of transformers (generation/
// logits_process.py): repetition penalty (Keskar et al. 2019, arXiv 1909.05858), temperature, top-k, top-p (Holtzman et al.
// 2020, arXiv 1904.09751), min-p (Nguyen et al. 2024, arXiv 2407.01082). Not for anything security-relevant: the random
// numbers are those of a seeded Mersenne twister. No tensors; one thread at a time.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"

namespace sotto::model {

struct Sampling {
  double temperature = 0;         // 0: the likeliest token always (of equal ones the lowest id)
  std::uint32_t top_k = 0;        // only the k likeliest; 0: all
  double top_p = 1;               // only the likeliest that together have p of the probability
  double min_p = 0;               // only those with min_p of the likeliest one's probability
  double repetition_penalty = 1;  // above 1: tokens that occurred become less likely
  std::uint64_t seed = 0;
};

// Refuses, by field and value, what is no such setting.
Result<void> check(const Sampling& sampling);

struct NextToken {
  std::int32_t id = 0;
  double probability = 0;
};
// The tokens that may come next, likeliest first, with probabilities that add up to 1. temperature is above 0. `seen`: the
// sequence's tokens so far, prompt included.
std::vector<NextToken> next_tokens(std::span<const float> logits, std::span<const std::int32_t> seen,
                                   const Sampling& sampling);

// Of one sequence: what it draws depends on the seed, the sequence's number and its own logits alone.
class Sampler {
 public:
  Sampler(const Sampling& sampling, std::uint64_t sequence);
  std::int32_t next(std::span<const float> logits, std::span<const std::int32_t> seen);

 private:
  Sampling sampling_;
  std::mt19937_64 random_;
};

}  // namespace sotto::model
