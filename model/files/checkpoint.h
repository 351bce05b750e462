// A model's weights on disk, from either format, under one set of names: Hugging Face's. No tensor library. When it is
// opened, every tensor that the configuration asks for is found, its shape and number format are checked, and its numbers are
// found finite; tensors that would change the result and are not computed are refused by name; reading cannot fail
// afterwards. Files are mapped, not read: what was read and is done with takes no memory. Immutable; reading from several
// threads is safe.
//
// A folder whose config.json says tie_word_embeddings and whose weights have a head of their own is read as transformers 5
// does (modeling_utils.py, tie_weights): if the head's values differ from the embedding's, the model is not tied; if only the
// head is there, it is the embedding, too.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "model/files/architecture.h"
#include "model/files/dequantize.h"

namespace sotto::model {

// The safetensors files of a Hugging Face folder, by name, sorted: model.safetensors, or what model.safetensors.index.json
// names. Fails when there is neither, or when the index is damaged or names a file outside the folder.
Result<std::vector<std::string>> weight_files(const std::string& folder);

// What Checkpoint::open(path) has as config(), without looking for numbers that are not finite.
Result<ModelConfig> checkpoint_config(const std::string& path);

class Checkpoint {
 public:
  // `path`: a .gguf file, or a folder with config.json and its weights (weight_files).
  static Result<Checkpoint> open(const std::string& path);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const ModelConfig& config() const;
  const std::vector<WeightInfo>& weights() const;  // weight_infos(config())
  // In fp32, row-major, in the shape and order of weights() whatever the file's. `name` is one of them.
  std::vector<float> read(const std::string& name) const;
  // Some of its rows (numbers of a vector), from `first` on, into out: a whole number of rows.
  void read_rows(const std::string& name, std::uint64_t first, std::span<float> out) const;
  // The file's bytes of it where they are all its numbers in order, in this format: then they can be taken as they are.
  std::optional<ByteSpan> plain_bytes(const std::string& name, NumberFormat format) const;
  // As the file has it: number format, bytes, and its blocks, row after row in the order of read_rows (of a weight whose
  // rows the file has as rows: every matrix of a GGUF file).
  NumberFormat format(const std::string& name) const;
  std::uint64_t stored_bytes(const std::string& name) const;
  Bytes read_blocks(const std::string& name) const;
  // The file's pages of this tensor may leave memory; it can still be read.
  void done_with(const std::string& name) const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  static Result<std::unique_ptr<State>> find(const std::string& path);
  friend Result<ModelConfig> checkpoint_config(const std::string& path);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::model
