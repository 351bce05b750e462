// Models and adapters as GGUF files, for llama.cpp and what is built on it: the layout that its converters
// (convert_hf_to_gguf.py, convert_lora_to_gguf.py) write, which is also what checkpoint.h reads.
#pragma once

#include <string>

#include "model/adapter/merge.h"
#include "model/adapter/merged_folder.h"

namespace sotto::model {

// `base` is the base's path: metadata and tokenizer are those of its GGUF file, or made from its folder. `format` (kF32,
// kF16, kBF16 or kQ8_0) is that of matrices whose rows are whole blocks of it; other matrices are F16 beside kQ8_0, and
// vectors and tables of positions F32. The file appears whole or not at all, and only after it was read back as the same
// model; refused is what GGUF has no word for.
Result<WrittenModel> write_gguf(const std::string& base, const MergedModel& model, const std::string& path,
                                NumberFormat format);

// The factors alone: blk.N.attn_q.weight.lora_a [rank, in] and .lora_b [out, rank], in kF32 or kF16. llama.cpp computes one
// alpha / rank for each module; where a module's scale is another (rsLoRA, alpha_pattern), the difference goes into its B.
// Refused: DoRA and replaced parameters, which such a file cannot hold.
Result<WrittenModel> write_gguf_lora(const Adapter& adapter, const ModelConfig& config, const std::string& name,
                                     const std::string& path, NumberFormat format);

}  // namespace sotto::model
