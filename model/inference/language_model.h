// A frozen language model with, optionally, a LoRA adapter on it: scoring, evaluation, generation. (Training:
// adapter_trainer.h.) The only public face of the tensor library: no header of this part mentions it. Movable; one thread at
// a time. Numbers. kFp32: everything in fp32 (the parity path). kBf16: the matrix products of the layers and of the output
// head take bf16 inputs and give bf16 outputs; embeddings, norms, rotary angles, softmax, residual stream, LoRA, losses and
// gradients with respect to A and B stay fp32. A log-probability is a log-softmax in fp32, summed in fp64. What a record
// gives does not depend on what else is in the call: tokens of several records share matrix products, and each row of such a
// product is computed alike wherever it stands and whatever the others hold (packing.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/chat/chat_template.h"
#include "model/adapter/adapter.h"
#include "model/inference/sampling.h"
#include "plan/run_plan.h"

namespace sotto::model {

struct LoadOptions {
  // "cpu" or "cuda:N"; "cuda:0,cuda:1": of several, each has a run of the layers, as much of the model as it has free
  // memory.
  std::string device = "cpu";
  // kAuto: bf16 where the CPU has instructions for it (AVX512-BF16, AMX) or the device is a GPU, else fp32.
  Precision precision = Precision::kAuto;
  // Threads of one matrix product; 0 leaves the library's choice. Processes that share cores should have 1 each.
  int threads = 0;
  // Matrices of layers stay in memory as a GGUF file has them, in blocks of some 4 to 8 bits a number, and are unpacked one
  // at a time where a product wants them: less memory, more time, the same bits. They are what trained = "full" cannot move.
  bool quantized_base = false;
};

struct TokenLogprob {
  std::int32_t id = 0;
  double logprob = 0;
};

struct Scores {
  std::vector<double> token_logprobs;  // log p(ids[i + 1] | ids[0..i]): one fewer than ids
  double total = 0;                    // their sum
  std::vector<TokenLogprob> top;       // the likeliest next tokens after the last id, best first
};

// Of one example: losses are in nats, over the tokens that have a label.
struct ExampleLoss {
  double loss_sum = 0;
  std::uint32_t tokens = 0;
  std::uint32_t correct = 0;  // tokens whose label has the largest logit (of equal ones the lowest id)
};

struct GenerateOptions {
  std::uint32_t max_new_tokens = 64;
  std::vector<std::int32_t> stop_ids;  // generation of a sequence ends at one of these; it is not part of the result
  Sampling sampling;                   // greedy
};
// Told of every token as it is made; false ends that sequence after it.
using OnToken = std::function<bool(std::size_t prompt, std::int32_t id)>;

class LanguageModel {
 public:
  // `path`: a .gguf file or a Hugging Face folder (checkpoint.h), of one of supported_architectures(). Refused by name:
  // other architectures and tensor types, settings that are not computed, missing or misshapen tensors, a device that is not
  // there, bf16 on a CPU without instructions for it.
  static Result<LanguageModel> load(const std::string& path, const LoadOptions& options = {});
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;
  ~LanguageModel();

  const ModelConfig& config() const;
  Precision precision() const;  // kFp32 or kBf16: what runs
  const std::string& device() const;
  bool is_quantized() const;           // LoadOptions::quantized_base
  std::uint64_t weight_bytes() const;  // of the frozen base in memory

  // Puts an adapter on, in place of any other; the base stays as it is and is not read again. Refused by name: what
  // check_adapter() refuses.
  Result<void> set_adapter(const Adapter& adapter);
  void clear_adapter();

  // The DoRA adapter that computes what `lora` does: m = |W + scale * B A|, row by row. Where its training starts.
  Result<Adapter> as_dora(AdapterState lora) const;

  // Token ids must lie in the vocabulary and sequences must not be empty nor longer than config().max_positions (else
  // refused).
  Result<Scores> score(std::span<const std::int32_t> ids, std::size_t top = 10) const;
  Result<std::vector<ExampleLoss>> evaluate(std::span<const data::Example> examples) const;
  // Continuations, one per prompt, up to config().max_positions in all. What a prompt gives does not depend on the others.
  Result<std::vector<std::vector<std::int32_t>>> generate(std::span<const std::vector<std::int32_t>> prompts,
                                                          const GenerateOptions& options = {},
                                                          const OnToken& on_token = {}) const;
  // All logits after position `row`, for each of `rows`: [rows, vocab_size], row-major.
  Result<std::vector<float>> logits(std::span<const std::int32_t> ids, std::span<const std::uint32_t> rows) const;

  // Hidden states of all tokens after the first `layers` layers, without the last norm: [ids.size(), hidden_size],
  // row-major.
  Result<std::vector<float>> hidden_states(std::span<const std::int32_t> ids, std::size_t layers) const;

  // For the files of this part: opaque to others (model_state.h).
  struct State;
  State& state() { return *state_; }

 private:
  explicit LanguageModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::model
