// A matrix of the frozen base: its numbers, or the blocks of a GGUF file, which are unpacked where a product wants numbers,
// into a buffer that all packed matrices of a device share. Unpacked are the very numbers that loading would have given, so
// that results are the same bits. Internal to model/: uses LibTorch.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "model/files/checkpoint.h"
#include "model/network/torch.h"

namespace sotto::model {

// Writes a weight's numbers into `out`, fp32 or bf16, which has its shape and lies on the CPU: as the file has them, or
// converted in parallel some rows at a time, so that the weight never stands in memory in two types.
void read_numbers(const Checkpoint& checkpoint, const WeightInfo& info, const at::Tensor& out);

// Where packed matrices are unpacked, one at a time: as large as the largest, in the type that products take.
struct UnpackBuffer {
  at::Tensor numbers;
};

class PackedMatrix : public torch::CustomClassHolder {
 public:
  // `info` is one of the file's weights, and its rows stand in the file as rows. On the CPU the blocks stay in the mapped
  // file; on a GPU they are copied there. The buffer grows to what is needed.
  PackedMatrix(std::shared_ptr<const Checkpoint> file, const WeightInfo& info, const at::Device& device,
               std::shared_ptr<UnpackBuffer> buffer);

  at::Tensor numbers_OI() const;  // valid until another matrix of the buffer is asked
  std::array<std::int64_t, 2> shape() const;
  const at::Tensor& buffer() const { return buffer_->numbers; }
  std::uint64_t bytes() const;  // of its blocks

 private:
  std::shared_ptr<const Checkpoint> file_;
  const WeightInfo& info_;
  std::shared_ptr<UnpackBuffer> buffer_;
  at::Tensor blocks_RB;  // [out, bytes of a row]; undefined on the CPU
};

class FrozenMatrix {
 public:
  FrozenMatrix() = default;                                                              // there is none
  FrozenMatrix(at::Tensor numbers_OI) : tensor_(std::move(numbers_OI)) {}                // NOLINT: a tensor is such a matrix
  FrozenMatrix(c10::intrusive_ptr<PackedMatrix> packed) : packed_(std::move(packed)) {}  // NOLINT

  bool defined() const { return packed_ || tensor_.defined(); }
  bool is_packed() const { return static_cast<bool>(packed_); }
  // [out, in]. A packed one's numbers are valid until another's are asked for: they are for one product, not to be kept.
  at::Tensor numbers_OI() const { return packed_ ? packed_->numbers_OI() : tensor_; }
  std::array<std::int64_t, 2> shape() const;
  const at::Tensor& example() const { return packed_ ? packed_->buffer() : tensor_; }  // of its type and device
  at::ScalarType scalar_type() const { return example().scalar_type(); }

  // For the way from a forward to a backward pass.
  c10::IValue saved() const { return packed_ ? c10::IValue::make_capsule(packed_) : c10::IValue(tensor_); }
  static FrozenMatrix from(const c10::IValue& saved);

 private:
  at::Tensor tensor_;
  c10::intrusive_ptr<PackedMatrix> packed_;
};

}  // namespace sotto::model
