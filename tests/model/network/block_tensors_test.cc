// Blocks unpacked by tensor operations, as on a GPU, against dequantize(): the same bits.
#include "model/network/block_tensors.h"

#include <cstring>

#include "data/files/gguf_file.h"
#include "tests/model/vectors.h"

namespace sotto::model {
TEST_CASE("tensor operations unpack every format to the bits that dequantize gives", "[model]") {
  const auto file = data::GgufFile::open(vector_path("gguf/quant_types.gguf")).value();
  REQUIRE(file.tensors().size() == 14);
  for (const auto& tensor : file.tensors()) {
    INFO(tensor.name);
    const auto format = format_of_gguf(tensor.type.id).value();
    const auto bytes = file.bytes(tensor);
    const auto block = static_cast<std::int64_t>(block_size(format).bytes);
    const auto rows = static_cast<std::int64_t>(bytes.size()) / block;
    const at::Tensor blocks = at::from_blob(const_cast<std::uint8_t*>(bytes.data()), {rows, block}, at::kByte).clone();
    const at::Tensor ours = unpack_blocks(format, blocks).contiguous();
    const auto expected = to_floats(format, bytes, tensor.elements);
    REQUIRE(ours.scalar_type() == at::kFloat);
    REQUIRE(ours.numel() == static_cast<std::int64_t>(expected.size()));
    CHECK(std::memcmp(ours.const_data_ptr<float>(), expected.data(), expected.size() * sizeof(float)) == 0);
  }
}

}  // namespace sotto::model
