// GGUF files made for a test.
#pragma once

#include <bit>

#include "base/files.h"
#include "model/files/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {

// Fields and tensors of a GGUF file, one after another.
class GgufWriter {
 public:
  void text(const std::string& key, const std::string& value) {
    ByteWriter w;
    w.u64(value.size()).raw(as_bytes(value));
    entry(key, 8, w.view());
  }
  void uint(const std::string& key, std::uint32_t value) { entry(key, 4, ByteWriter().u32(value).view()); }
  void number(const std::string& key, float value) {
    entry(key, 6, ByteWriter().u32(std::bit_cast<std::uint32_t>(value)).view());
  }
  // All zeros, or of these bytes.
  void tensor(const std::string& name, const std::vector<std::uint64_t>& dims, std::uint32_t type = 0,
              std::size_t bytes_an_element = 4) {
    std::uint64_t elements = 1;
    for (const auto d : dims) elements *= d;
    tensor(name, dims, type, Bytes(elements * bytes_an_element));
  }
  void tensor(const std::string& name, const std::vector<std::uint64_t>& dims, std::uint32_t type, const Bytes& bytes) {
    directory_.u64(name.size()).raw(as_bytes(name)).u32(static_cast<std::uint32_t>(dims.size()));
    for (const auto d : dims) directory_.u64(d);
    directory_.u32(type).u64(data_.size());
    data_.insert(data_.end(), bytes.begin(), bytes.end());
    data_.resize((data_.size() + 31) / 32 * 32);
    ++tensors_;
  }
  Result<Checkpoint> open(const std::string& architecture = "llama") {
    text("general.architecture", architecture);
    ByteWriter file;
    file.raw(as_bytes("GGUF")).u32(3).u64(tensors_).u64(entries_).raw(metadata_.view()).raw(directory_.view());
    Bytes bytes = file.take();
    bytes.resize((bytes.size() + 31) / 32 * 32);
    bytes.insert(bytes.end(), data_.begin(), data_.end());
    REQUIRE(write_file_atomically(path(), ByteSpan(bytes)).ok());
    return Checkpoint::open(path());
  }
  std::string path() const { return folder_.file("model.gguf"); }

 private:
  void entry(const std::string& key, std::uint32_t type, ByteSpan value) {
    metadata_.u64(key.size()).raw(as_bytes(key)).u32(type).raw(value);
    ++entries_;
  }
  ByteWriter metadata_, directory_;
  Bytes data_;
  std::uint64_t tensors_ = 0, entries_ = 0;
  TemporaryFolder folder_;
};

// A whole file of a one-layer Llama with hidden size 32, all weights F32 and 0.
class GgufMaker : public GgufWriter {
 public:
  GgufMaker() {
    uint("llama.embedding_length", 32), uint("llama.feed_forward_length", 32), uint("llama.block_count", 1);
    uint("llama.attention.head_count", 2), uint("llama.context_length", 64);
    number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    for (const auto* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      tensor("blk.0." + std::string(name) + ".weight", {32, 32});
    tensor("blk.0.attn_norm.weight", {32}), tensor("blk.0.ffn_norm.weight", {32}), tensor("output_norm.weight", {32});
    tensor("token_embd.weight", {32, 8});
  }
};

}  // namespace sotto::model
