#include "model/network/frozen_matrix.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "model/network/block_tensors.h"

namespace sotto::model {

void read_numbers(const Checkpoint& checkpoint, const WeightInfo& info, const at::Tensor& out) {
  constexpr std::int64_t kNumbersAtATime = 1 << 16;
  const std::int64_t all_rows = out.size(0), columns = out.numel() / all_rows;
  const std::int64_t grain = std::max<std::int64_t>(1, kNumbersAtATime / columns);
  const bool is_float = out.scalar_type() == at::kFloat;
  const auto plain = checkpoint.plain_bytes(info.name, is_float ? NumberFormat::kF32 : NumberFormat::kBF16);
  const auto put_rows = [&](std::int64_t row, std::int64_t rows, std::vector<float>& buffer) {
    const at::Tensor part = out.narrow(0, row, rows);
    const auto first = static_cast<std::size_t>(row), count = static_cast<std::size_t>(part.numel());
    if (plain) {
      const auto bytes = plain->subspan(first * (plain->size() / static_cast<std::size_t>(all_rows)), part.nbytes());
      std::memcpy(part.data_ptr(), bytes.data(), bytes.size());
    } else if (is_float) {
      checkpoint.read_rows(info.name, first, std::span(part.data_ptr<float>(), count));
    } else {
      buffer.resize(count);
      checkpoint.read_rows(info.name, first, buffer);
      part.copy_(at::from_blob(buffer.data(), part.sizes(), at::kFloat));
    }
  };
  at::parallel_for(0, (all_rows + grain - 1) / grain, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> buffer;
    for (std::int64_t part = begin; part < end; ++part)
      put_rows(part * grain, std::min(grain, all_rows - part * grain), buffer);
  });
}

PackedMatrix::PackedMatrix(std::shared_ptr<const Checkpoint> file, const WeightInfo& info, const at::Device& device,
                           std::shared_ptr<UnpackBuffer> buffer)
    : file_(std::move(file)), info_(info), buffer_(std::move(buffer)) {
  const auto [rows, columns] = shape();
  if (buffer_->numbers.numel() < rows * columns) buffer_->numbers = at::empty({rows * columns}, buffer_->numbers.options());
  if (device.is_cpu()) return;
  const auto blocks = file_->read_blocks(info.name);
  blocks_RB = at::from_blob(const_cast<std::uint8_t*>(blocks.data()),
                            {rows, static_cast<std::int64_t>(blocks.size()) / rows}, at::kByte)
                  .to(device, at::kByte, false, true);
  file_->done_with(info.name);
}

std::uint64_t PackedMatrix::bytes() const { return file_->stored_bytes(info_.name); }

std::array<std::int64_t, 2> PackedMatrix::shape() const {
  return {static_cast<std::int64_t>(info_.shape[0]), static_cast<std::int64_t>(info_.shape[1])};
}

at::Tensor PackedMatrix::numbers_OI() const {
  const at::NoGradGuard no_grad;
  const auto [rows, columns] = shape();
  const at::Tensor out_OI = buffer_->numbers.narrow(0, 0, rows * columns).view({rows, columns});
  if (!blocks_RB.defined()) {
    read_numbers(*file_, info_, out_OI);
    return out_OI;
  }
  const auto format = file_->format(info_.name);
  const auto block_bytes = static_cast<std::int64_t>(block_size(format).bytes);
  return out_OI.copy_(unpack_blocks(format, blocks_RB.view({-1, block_bytes})).view(out_OI.sizes()));
}

std::array<std::int64_t, 2> FrozenMatrix::shape() const {
  return packed_ ? packed_->shape() : std::array{tensor_.size(0), tensor_.size(1)};
}

FrozenMatrix FrozenMatrix::from(const c10::IValue& saved) {
  if (saved.isTensor()) return saved.toTensor();
  return c10::static_intrusive_pointer_cast<PackedMatrix>(saved.toCapsule());
}

}  // namespace sotto::model
