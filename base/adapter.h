// An adapter without a tensor library: what the coordinator, the auditor and the aggregation see of a model. It is LoRA
// factors, or a soft prompt.
// For a linear layer y = W x, LoRA adds scale * B (A x), with A [rank, in], B [out, rank], scale = alpha / rank (or
// alpha / sqrt(rank) for rsLoRA); Hu et al. 2021, arXiv 2106.09685. A soft prompt is `tokens` vectors that stand before the
// embeddings of every sequence; Lester et al. 2021, arXiv 2104.08691. Matrices are row-major fp32.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/enum_names.h"
#include "base/ids.h"

namespace sotto {

struct LoraModule {
  std::string path;  // as Hugging Face names it: "model.layers.3.self_attn.q_proj"
  std::uint32_t in = 0;
  std::uint32_t out = 0;
  std::uint32_t rank = 0;
  double scale = 1.0;
  bool operator==(const LoraModule&) const = default;
};

struct PromptShape {
  std::uint32_t tokens = 0;  // 0: there is none
  std::uint32_t width = 0;   // the model's hidden size
  double deviation = 0;      // of the normal numbers that it starts from
  bool operator==(const PromptShape&) const = default;
};

// What a run trains. kAlternating (RoLoRA, Chen et al. 2024, arXiv 2409.02346): B in rounds 0, 2, .., A in the others, so
// that averaging is exact although both move. kA is what its odd rounds train, and no run's choice. kFull: every parameter
// of the model; it has no adapter and is for one site alone.
enum class TrainedPart : std::uint8_t { kB = 0, kAB = 1, kA = 2, kAlternating = 3, kPrompt = 4, kFull = 5 };
constexpr std::array<NamedValue<TrainedPart>, 6> names_of(TrainedPart) {
  return {{{TrainedPart::kB, "b"},
           {TrainedPart::kAB, "ab"},
           {TrainedPart::kA, "a"},
           {TrainedPart::kAlternating, "alternating"},
           {TrainedPart::kPrompt, "prompt"},
           {TrainedPart::kFull, "full"}}};
}
inline std::string to_string(TrainedPart part) { return std::string(name_of(part)); }
TrainedPart part_in_round(TrainedPart trained, RoundId round);
bool trains_lora(TrainedPart trained);

// The modules in the model's order: layer by layer, then q, k, v, o, gate, up, down. Either modules or a prompt.
struct AdapterLayout {
  std::vector<LoraModule> modules;
  PromptShape prompt{};

  std::size_t a_size() const;  // sum of rank * in
  std::size_t b_size() const;  // sum of out * rank
  // Length of an update vector: all B in module order (kB), all A (kA); for each module A then B (kAB); the prompt
  // (kPrompt). kAlternating: of the longer of its two.
  std::size_t trained_size(TrainedPart part) const;
  bool operator==(const AdapterLayout&) const = default;
};

struct LoraFactors {
  std::vector<float> a;  // [rank, in]
  std::vector<float> b;  // [out, rank]
  bool operator==(const LoraFactors&) const = default;
};

struct AdapterState {
  AdapterLayout layout;
  std::vector<LoraFactors> factors;  // one per module
  std::vector<float> prompt{};       // [tokens, width]
  bool operator==(const AdapterState&) const = default;
};

// Canonical bytes, for hashing, sending and storing. Reading refuses sizes that do not fit the layout and non-finite values.
Bytes encode(const AdapterLayout& layout);
Result<AdapterLayout> decode_layout(ByteSpan bytes);
Bytes encode(const AdapterState& state);
Result<AdapterState> decode_adapter(ByteSpan bytes);

}  // namespace sotto
