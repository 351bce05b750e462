// Generation: prompts are read once, their keys and values are kept, then all unfinished sequences take one step a pass.
#include <algorithm>

#include "model/inference/model_state.h"
#include "model/network/output_head.h"
#include "model/network/step_functions.h"

namespace sotto::model {
namespace {

struct Sequence {
  Sequence(std::size_t which, std::vector<std::int32_t> tokens, std::size_t soft, const Sampling& sampling)
      : prompt(which), prompt_length(tokens.size()), soft_tokens(soft), ids(std::move(tokens)), sampler(sampling, which) {}

  std::size_t prompt = 0;  // index
  std::size_t prompt_length = 0;
  std::size_t soft_tokens = 0;     // of an adapter's soft prompt, before the others
  std::vector<std::int32_t> ids;   // the prompt's and those made
  std::vector<LayerCache> caches;  // one a layer
  Sampler sampler;
  bool done = false;

  std::size_t made() const { return ids.size() - prompt_length; }
};

// The height of a step's matrix products. Where the kernels for few rows are not used, a fixed one: then a row's result does
// not depend on how many others there are.
std::uint32_t step_rows(std::size_t sequences, const Weights& weights) {
  return takes_step_kernels(weights.layers[0].linears[kO].weight_OI.example()) ? static_cast<std::uint32_t>(sequences) : 32;
}

// One call of generate(): what is common to all sequences.
struct Call {
  LanguageModel::State& state;
  const GenerateOptions& options;
  const OnToken& on_token;
};

std::vector<LayerCache> make_caches(const Weights& weights, std::size_t room) {
  const ModelConfig& c = weights.config;
  const auto positions = static_cast<std::int64_t>(std::min<std::size_t>(room, c.max_positions));
  std::vector<LayerCache> caches(c.layers);
  for (std::size_t l = 0; l < caches.size(); ++l) {
    caches[l].k_KSD = at::empty({c.kv_heads, positions, c.head_dim}, at::TensorOptions(weights.layers[l].device));
    caches[l].v_KSD = at::empty_like(caches[l].k_KSD);
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
void append_tokens(std::span<Sequence* const> sequences, const at::Tensor& last_NC, const Call& call) {
  const at::Tensor logits_NV = all_logits(last_NC, call.state.weights.head).cpu().contiguous();
  const auto vocabulary = static_cast<std::size_t>(logits_NV.size(1));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Sequence& sequence = *sequences[i];
    const std::int32_t id = sequence.sampler.next(std::span(logits_NV.const_data_ptr<float>() + i * vocabulary, vocabulary),
                                                  std::span(sequence.ids).subspan(sequence.soft_tokens));
    if (std::ranges::find(call.options.stop_ids, id) != call.options.stop_ids.end()) {
      sequence.done = true;
      continue;
    }
    sequence.ids.push_back(id);
    sequence.done =
        sequence.made() >= call.options.max_new_tokens || sequence.ids.size() >= call.state.weights.config.max_positions;
    if (call.on_token && !call.on_token(sequence.prompt, id)) sequence.done = true;
  }
}

// Reads the prompts of one pass, and takes each one's first token.
void read_pass(std::span<Sequence* const> sequences, const Pass& pass, const Call& call) {
  std::vector<std::span<const std::int32_t>> ids;
  for (const Sequence* sequence : sequences) ids.push_back(sequence->ids);
  std::vector<Sequence*> in_pass;
  std::vector<std::int64_t> last_rows;
  for (const auto& segment : pass.segments) {
    in_pass.push_back(sequences[segment.sequence]);
    last_rows.push_back(segment.start + segment.length - 1);
  }
  const std::vector<std::uint32_t> starts(sequences.size(), 0);
  auto caches = caches_of(in_pass, call.state.weights.layers.size());
  const at::Tensor x_RC = final_hidden(call.state.weights, call.state.adapter_or_null(),
                                       make_pass(pass, ids, starts, call.state.weights), nullptr, &caches);
  append_tokens(in_pass, x_RC.index_select(0, at::tensor(last_rows, at::kLong).to(x_RC.device())), call);
}

// Prompts share passes only where no row's bits depend on a pass's height: what a prompt gives depends on nobody else.
void read_prompts(std::span<Sequence* const> sequences, const Call& call) {
  if (sequences.size() > 1 && call.state.measured_prompt_heights() == Heights::kAny) {
    std::vector<std::uint32_t> lengths;
    for (const Sequence* sequence : sequences) lengths.push_back(static_cast<std::uint32_t>(sequence->ids.size()));
    for (const Pass& pass : pack(lengths, Heights::kAny)) read_pass(sequences, pass, call);
    return;
  }
  for (Sequence* const& sequence : sequences)
    read_pass(std::span(&sequence, 1), single_pass(static_cast<std::uint32_t>(sequence->ids.size())), call);
}

std::vector<Sequence*> unfinished(std::vector<Sequence>& sequences) {
  std::vector<Sequence*> active;
  for (auto& sequence : sequences)
    if (!sequence.done) active.push_back(&sequence);
  return active;
}

void step(std::span<Sequence* const> group, const Call& call) {
  Pass pass{step_rows(group.size(), call.state.weights), {}};
  std::vector<std::span<const std::int32_t>> tokens;
  std::vector<std::uint32_t> positions;
  for (std::uint32_t i = 0; i < group.size(); ++i) {
    pass.segments.push_back({i, i, 1});
    tokens.push_back(std::span(group[i]->ids).last(1));
    positions.push_back(static_cast<std::uint32_t>(group[i]->ids.size()) - 1);
  }
  auto caches = caches_of(group, call.state.weights.layers.size());
  const at::Tensor x_RC = final_hidden(call.state.weights, call.state.adapter_or_null(),
                                       make_pass(pass, tokens, positions, call.state.weights), nullptr, &caches);
  append_tokens(group, x_RC.narrow(0, 0, static_cast<std::int64_t>(group.size())), call);
}

}  // namespace

Result<std::vector<std::vector<std::int32_t>>> LanguageModel::generate(std::span<const std::vector<std::int32_t>> prompts,
                                                                       const GenerateOptions& options,
                                                                       const OnToken& on_token) const {
  for (const auto& prompt : prompts) SOTTO_TRY_VOID(state_->check(prompt));
  SOTTO_TRY_VOID(check(options.sampling));
  return guarded([&]() -> Result<std::vector<std::vector<std::int32_t>>> {
    state_->round_head();
    std::vector<std::vector<std::int32_t>> result(prompts.size());
    const Call call{*state_, options, on_token};
    // Caches live for one group at a time.
    for (std::size_t begin = 0; begin < prompts.size() && options.max_new_tokens > 0; begin += kFewRows) {
      std::vector<Sequence> sequences;
      for (std::size_t i = begin; i < std::min<std::size_t>(begin + kFewRows, prompts.size()); ++i) {
        auto& sequence =
            sequences.emplace_back(i, state_->with_prompt(prompts[i]), state_->prompt_tokens(), options.sampling);
        if (sequence.ids.size() == config().max_positions) sequence.done = true;  // no room
        if (sequence.done) continue;
        sequence.caches = make_caches(state_->weights, sequence.ids.size() + options.max_new_tokens);
      }
      auto active = unfinished(sequences);
      read_prompts(active, call);
      while (!(active = unfinished(sequences)).empty()) step(active, call);
      for (const auto& sequence : sequences)
        result[sequence.prompt].assign(sequence.ids.begin() + static_cast<std::ptrdiff_t>(sequence.prompt_length),
                                       sequence.ids.end());
    }
    return result;
  });
}

}  // namespace sotto::model
