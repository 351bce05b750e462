// Greedy generation: every prompt is read once, its keys and values are kept, then all unfinished sequences take one step a
// pass.
#include <algorithm>

#include "model/head.h"
#include "model/model_state.h"

namespace sotto::model {
namespace {

// Sequences that take a step together; the height of its matrix products.
constexpr std::uint32_t kStepRows = 32;

struct Sequence {
  std::size_t prompt = 0;  // index
  std::uint32_t length = 0;
  std::vector<LayerCache> caches;  // one a layer
  std::vector<std::int32_t> made;
  bool done = false;
};

std::vector<LayerCache> make_caches(const Weights& weights, std::size_t room) {
  const ModelConfig& c = weights.config;
  const auto options = weights.embedding_VC.options();
  std::vector<LayerCache> caches(c.layers);
  for (auto& cache : caches) {
    cache.k_KSD = at::empty({c.kv_heads, static_cast<std::int64_t>(room), c.head_dim}, options);
    cache.v_KSD = at::empty_like(cache.k_KSD);
  }
  return caches;
}

Caches caches_of(std::span<Sequence* const> sequences, std::size_t layers) {
  Caches caches(layers);
  for (std::size_t l = 0; l < layers; ++l)
    for (Sequence* sequence : sequences) caches[l].push_back(&sequence->caches[l]);
  return caches;
}

// Each sequence's next token from its last row.
void append_tokens(std::span<Sequence* const> sequences, const at::Tensor& last_NC, const Weights& weights,
                   const GenerateOptions& options) {
  const at::Tensor next = at::argmax(all_logits(last_NC, weights.head), 1).cpu();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto id = static_cast<std::int32_t>(next.const_data_ptr<std::int64_t>()[i]);
    Sequence& sequence = *sequences[i];
    if (std::ranges::find(options.stop_ids, id) != options.stop_ids.end()) {
      sequence.done = true;
      continue;
    }
    sequence.made.push_back(id);
    sequence.done = sequence.made.size() >= options.max_new_tokens ||
                    sequence.length + sequence.made.size() >= weights.config.max_positions;
  }
}

void read_prompts(std::vector<Sequence>& sequences, std::span<const std::span<const std::int32_t>> prompts,
                  const LanguageModel::State& state, const GenerateOptions& options) {
  std::vector<std::uint32_t> lengths;
  for (const auto& prompt : prompts) lengths.push_back(static_cast<std::uint32_t>(prompt.size()));
  const std::vector<std::uint32_t> starts(prompts.size(), 0);
  for (const Pass& pass : pack(lengths)) {
    std::vector<Sequence*> group;
    std::vector<std::int64_t> last;
    for (const auto& segment : pass.segments) {
      group.push_back(&sequences[segment.sequence]);
      last.push_back(segment.start + segment.length - 1);
    }
    auto caches = caches_of(group, state.weights.layers.size());
    const at::Tensor x_RC = final_hidden(state.weights, state.adapter_or_null(),
                                         make_pass(pass, prompts, starts, state.weights), nullptr, &caches);
    append_tokens(group, x_RC.index_select(0, at::tensor(last, at::kLong).to(state.device)), state.weights, options);
  }
}

void step(std::span<Sequence* const> group, const LanguageModel::State& state, const GenerateOptions& options) {
  Pass pass{kStepRows, {}};
  std::vector<std::span<const std::int32_t>> tokens;
  std::vector<std::uint32_t> positions;
  for (std::uint32_t i = 0; i < group.size(); ++i) {
    const Sequence& sequence = *group[i];
    pass.segments.push_back({i, i, 1});
    tokens.push_back(std::span(sequence.made).last(1));
    positions.push_back(sequence.length + static_cast<std::uint32_t>(sequence.made.size()) - 1);
  }
  auto caches = caches_of(group, state.weights.layers.size());
  const at::Tensor x_RC = final_hidden(state.weights, state.adapter_or_null(),
                                       make_pass(pass, tokens, positions, state.weights), nullptr, &caches);
  append_tokens(group, x_RC.narrow(0, 0, static_cast<std::int64_t>(group.size())), state.weights, options);
}

}  // namespace

Result<std::vector<std::vector<std::int32_t>>> LanguageModel::generate_greedy(
    std::span<const std::vector<std::int32_t>> prompts, const GenerateOptions& options) const {
  std::vector<std::span<const std::int32_t>> spans;
  for (const auto& prompt : prompts) {
    SOTTO_TRY_VOID(check_ids(prompt, config()));
    spans.emplace_back(prompt);
  }
  if (options.max_new_tokens == 0) return std::vector<std::vector<std::int32_t>>(prompts.size());
  return guarded([&]() -> Result<std::vector<std::vector<std::int32_t>>> {
    std::vector<std::vector<std::int32_t>> result(prompts.size());
    // Caches live for one group at a time.
    for (std::size_t begin = 0; begin < prompts.size(); begin += kStepRows) {
      const auto count = std::min<std::size_t>(kStepRows, prompts.size() - begin);
      std::vector<Sequence> sequences(count);
      for (std::size_t i = 0; i < count; ++i) {
        sequences[i].prompt = begin + i;
        sequences[i].length = static_cast<std::uint32_t>(prompts[begin + i].size());
        sequences[i].caches = make_caches(state_->weights, sequences[i].length + options.max_new_tokens);
      }
      read_prompts(sequences, std::span(spans).subspan(begin, count), *state_, options);
      while (true) {
        std::vector<Sequence*> active;
        for (auto& sequence : sequences)
          if (!sequence.done) active.push_back(&sequence);
        if (active.empty()) break;
        step(active, *state_, options);
      }
      for (auto& sequence : sequences) result[sequence.prompt] = std::move(sequence.made);
    }
    return result;
  });
}

}  // namespace sotto::model
