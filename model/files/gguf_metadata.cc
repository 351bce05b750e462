#include "model/files/gguf_metadata.h"

#include "base/check.h"
#include "data/files/gguf_file.h"

namespace sotto::model {
namespace {

constexpr std::uint32_t kQuantizationVersion = 2;
// general.file_type (llama.h, enum llama_ftype).
std::uint32_t file_type(NumberFormat format) {
  switch (format) {
    case NumberFormat::kF32: return 0;
    case NumberFormat::kF16: return 1;
    case NumberFormat::kQ8_0: return 7;
    case NumberFormat::kBF16: return 32;
    default: break;
  }
  throw Failure("models are not exported in this format");
}

void put_attention(data::GgufMetadata& out, const std::string& prefix, const ModelConfig& c) {
  out.u32(prefix + "attention.head_count", c.heads).u32(prefix + "attention.head_count_kv", c.kv_heads);
  out.u32(prefix + "attention.key_length", c.head_dim).u32(prefix + "attention.value_length", c.head_dim);
  const char* eps = c.norm == NormKind::kLayer ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
  out.f32(prefix + eps, static_cast<float>(c.norm_eps));
  if (!c.learned_positions) {
    out.u32(prefix + "rope.dimension_count", c.head_dim);
    out.f32(prefix + "rope.freq_base", static_cast<float>(c.rope_theta));
  }
  if (c.sliding_window != 0) out.u32(prefix + "attention.sliding_window", c.sliding_window);
  if (c.attention_softcap != 0) out.f32(prefix + "attn_logit_softcapping", static_cast<float>(c.attention_softcap));
  if (c.logit_softcap != 0) out.f32(prefix + "final_logit_softcapping", static_cast<float>(c.logit_softcap));
}

}  // namespace

const char* gguf_architecture(const ModelConfig& config) {
  for (const auto& row : supported_architectures())
    if (row.architecture == config.architecture) return row.gguf;
  throw Failure("an architecture without a name");
}

data::GgufMetadata gguf_metadata(const ModelConfig& c, const std::string& name, NumberFormat format) {
  const std::string architecture = gguf_architecture(c), prefix = architecture + ".";
  data::GgufMetadata out;
  out.text("general.architecture", architecture).text("general.type", "model").text("general.name", name);
  out.u32("general.file_type", file_type(format)).u32("general.quantization_version", kQuantizationVersion);
  out.u32(prefix + "block_count", c.layers).u32(prefix + "context_length", c.max_positions);
  out.u32(prefix + "embedding_length", c.hidden_size).u32(prefix + "feed_forward_length", c.intermediate_size);
  out.u32(prefix + "vocab_size", c.vocab_size);
  put_attention(out, prefix, c);
  return out;
}

data::GgufMetadata gguf_metadata(const data::GgufFile& file, NumberFormat format) {
  data::GgufMetadata out;
  for (const auto& [key, value] : file.metadata()) {
    // What the new file says itself; an alignment other than the default would have to be kept by the writer.
    if (key == "general.file_type" || key == "general.quantization_version" || key == "general.alignment") continue;
    out.raw(key, file.raw(key));
  }
  return out.u32("general.file_type", file_type(format)).u32("general.quantization_version", kQuantizationVersion);
}

}  // namespace sotto::model
