#include "model/inference/sampling.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"

namespace sotto::model {
namespace {

bool less_likely(const NextToken& a, const NextToken& b) {
  return a.probability < b.probability || (a.probability == b.probability && a.id > b.id);
}

// Each token that occurred, once: positive scores are divided, negative ones multiplied.
void penalise(std::span<float> logits, std::span<const std::int32_t> seen, double penalty) {
  std::vector<std::int32_t> once(seen.begin(), seen.end());
  std::ranges::sort(once);
  once.erase(std::unique(once.begin(), once.end()), once.end());
  const auto factor = static_cast<float>(penalty);
  for (const std::int32_t id : once) {
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / factor : logit * factor;
  }
}

// Logits as the penalty leaves them: `row` itself, or in `storage`.
std::span<const float> penalised(std::span<const float> row, std::span<const std::int32_t> seen, double penalty,
                                 std::vector<float>& storage) {
  if (penalty == 1) return row;
  storage.assign(row.begin(), row.end());
  penalise(storage, seen, penalty);
  return storage;
}

}  // namespace

Result<void> check(const Sampling& s) {
  const auto wrong = [](const char* field, double value, const char* rule) {
    return invalid(std::string(field) + " is " + std::to_string(value) + "; it must " + rule);
  };
  if (!(std::isfinite(s.temperature) && s.temperature >= 0))
    return wrong("temperature", s.temperature, "be 0 (greedy) or more");
  if (!(s.top_p > 0 && s.top_p <= 1)) return wrong("top-p", s.top_p, "lie in (0, 1]");
  if (!(s.min_p >= 0 && s.min_p <= 1)) return wrong("min-p", s.min_p, "lie in [0, 1]");
  if (!(std::isfinite(s.repetition_penalty) && s.repetition_penalty > 0))
    return wrong("repetition-penalty", s.repetition_penalty, "be above 0 (1: none)");
  return {};
}

std::vector<NextToken> next_tokens(std::span<const float> row, std::span<const std::int32_t> seen,
                                   const Sampling& sampling) {
  SOTTO_CHECK(!row.empty() && sampling.temperature > 0);
  std::vector<float> storage;
  const auto logits = penalised(row, seen, sampling.repetition_penalty, storage);
  const double largest = static_cast<double>(*std::ranges::max_element(logits));
  std::vector<NextToken> heap;  // with probabilities up to a factor: the likeliest has 1
  heap.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id)
    heap.push_back(
        {static_cast<std::int32_t>(id), std::exp((static_cast<double>(logits[id]) - largest) / sampling.temperature)});
  if (sampling.top_k > 0 && sampling.top_k < heap.size()) {
    const auto end = heap.begin() + static_cast<std::ptrdiff_t>(sampling.top_k);
    std::nth_element(heap.begin(), end, heap.end(), [](const auto& a, const auto& b) { return less_likely(b, a); });
    heap.erase(end, heap.end());
  }
  double total = 0;
  for (const auto& token : heap) total += token.probability;
  // Popped in order until the rest is not wanted: most distributions end early.
  std::ranges::make_heap(heap, less_likely);
  std::vector<NextToken> kept;
  double sum = 0;
  while (!heap.empty() && (kept.empty() || (sum < sampling.top_p * total && heap.front().probability >= sampling.min_p))) {
    std::ranges::pop_heap(heap, less_likely);
    kept.push_back(heap.back());
    sum += heap.back().probability;
    heap.pop_back();
  }
  for (auto& token : kept) token.probability /= sum;
  return kept;
}

Sampler::Sampler(const Sampling& sampling, std::uint64_t sequence) : sampling_(sampling) {
  std::seed_seq seed{static_cast<std::uint32_t>(sampling.seed), static_cast<std::uint32_t>(sampling.seed >> 32),
                     static_cast<std::uint32_t>(sequence), static_cast<std::uint32_t>(sequence >> 32)};
  random_.seed(seed);
}

std::int32_t Sampler::next(std::span<const float> row, std::span<const std::int32_t> seen) {
  SOTTO_CHECK(!row.empty());
  if (sampling_.temperature == 0) {
    std::vector<float> storage;
    const auto logits = penalised(row, seen, sampling_.repetition_penalty, storage);
    return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  }
  const auto tokens = next_tokens(row, seen, sampling_);
  double left = std::ldexp(static_cast<double>(random_() >> 11), -53);  // uniform on [0, 1)
  for (const auto& token : tokens)
    if ((left -= token.probability) < 0) return token.id;
  return tokens.back().id;  // rounding
}

}  // namespace sotto::model
