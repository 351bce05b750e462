// A tiny model of tests/vectors with its tensors at hand, to be changed and written into a folder of its own.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "model/files/architecture.h"
#include "model/files/checkpoint.h"
#include "tests/model/file_vectors.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {

struct Tensor {
  data::SafetensorsType type = data::SafetensorsType::kF32;
  std::vector<std::uint64_t> shape;
  Bytes bytes;
};

inline Tensor tensor_of(std::vector<std::uint64_t> shape, const std::vector<float>& values) {
  Tensor tensor{data::SafetensorsType::kF32, std::move(shape), Bytes(values.size() * sizeof(float))};
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

// A tiny model with its tensors at hand, in a folder of its own once it is written.
class TinyModel {
 public:
  explicit TinyModel(const std::string& name) : config_(read_json("tiny/" + name + "/config.json")) {
    const auto file = read_safetensors("tiny/" + name + "/model.safetensors");
    for (const auto& info : file.tensors()) {
      const auto bytes = file.bytes(info);
      tensors[info.name] = {info.type, info.shape, Bytes(bytes.begin(), bytes.end())};
    }
    const auto outer = outer_names(model_config(config_, name).value());
    embedding = outer.embedding + ".weight";
  }
  void say_tied(bool tied) { config_.set("tie_word_embeddings", tied); }
  std::string write() const {
    std::vector<data::SafetensorsTensor> all;
    for (const auto& [name, tensor] : tensors) all.push_back({name, tensor.type, tensor.shape, ByteSpan(tensor.bytes)});
    REQUIRE(write_file_atomically(path("config.json"), config_.dump()).ok());
    REQUIRE(write_file_atomically(path("model.safetensors"), ByteSpan(data::encode_safetensors(all))).ok());
    return path();
  }
  std::string path(const std::string& file = "") const { return folder_.file(file); }
  std::string refusal() const {
    const auto opened = Checkpoint::open(write());
    REQUIRE_FALSE(opened.ok());
    return opened.error().message;
  }
  // The matrix that gives the logits, with each row in the place of the one before: so are the logits.
  Tensor rolled_head() const {
    const auto own = tensors.find("lm_head.weight");
    Tensor head = own != tensors.end() ? own->second : tensors.at(embedding);
    std::ranges::rotate(head.bytes, head.bytes.begin() + static_cast<std::ptrdiff_t>(head.bytes.size() / head.shape[0]));
    return head;
  }

  std::map<std::string, Tensor> tensors;
  std::string embedding;

 private:
  Json config_;
  TemporaryFolder folder_;
};

}  // namespace sotto::model
