// Writes a model as a complete Hugging Face folder: config.json, safetensors (in shards when it is large), and the files of
// its tokenizer.
#pragma once

#include <cstdint>
#include <string>

#include "model/adapter/merge.h"
#include "model/files/dequantize.h"

namespace sotto::model {

struct MergeOptions {
  NumberFormat format = NumberFormat::kF32;   // kF32, kF16 or kBF16; F32 alone keeps the adapter's logits
  std::uint64_t shard_bytes = 5'000'000'000;  // a shard ends before it would be larger, unless one tensor is
};

struct WrittenModel {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;  // of weights
};

// `base` is the model's path: a folder, whose configuration and tokenizer are copied, or a GGUF file, from which they are
// made (refused by name where that cannot be). The folder must not be there, or be empty; it appears whole or not at all.
Result<WrittenModel> write_merged_folder(const std::string& base, const MergedModel& model, const std::string& folder,
                                         const MergeOptions& options = {});

}  // namespace sotto::model
