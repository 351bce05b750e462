#include "model/adapter/gguf_export.h"

#include <filesystem>
#include <set>

#include "base/files.h"
#include "data/files/gguf_file.h"
#include "model/adapter/peft_folder.h"
#include "model/files/quantize.h"
#include "tests/model/file_vectors.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

const Adapter kNoAdapter;

// Checked tensor by tensor, whatever their order: name, type, shape and bytes.
void check_same_tensors(const data::GgufFile& ours, const data::GgufFile& theirs) {
  CHECK(ours.tensors().size() == theirs.tensors().size());
  for (const auto& tensor : theirs.tensors()) {
    INFO(tensor.name);
    const auto* mine = ours.find_tensor(tensor.name);
    REQUIRE(mine != nullptr);
    CHECK(mine->type.id == tensor.type.id);
    CHECK(mine->dims == tensor.dims);
    CHECK(std::ranges::equal(ours.bytes(*mine), theirs.bytes(tensor)));
  }
}

// Every value of theirs in the same type and bytes, but for `others`.
void check_same_metadata(const data::GgufFile& ours, const data::GgufFile& theirs, const std::set<std::string>& others) {
  for (const auto& [key, value] : theirs.metadata()) {
    if (others.contains(key)) continue;
    INFO(key);
    REQUIRE(ours.find(key) != nullptr);
    CHECK(std::ranges::equal(ours.raw(key), theirs.raw(key)));
  }
}

struct Fixture {
  std::string path = vector_path("fixture");
  Checkpoint base = Checkpoint::open(path).value();
  Adapter adapter = load_peft_folder(vector_path("gguf_export/adapter"), base.config()).value();
  TemporaryFolder scratch{};
};

}  // namespace

TEST_CASE("numbers are written in F16, BF16 and Q8_0 as gguf-py writes them, bit for bit", "[model]") {
  const auto file = read_safetensors("gguf_export/quantized.safetensors");
  const auto values = floats(file, "values");
  const std::pair<const char*, NumberFormat> formats[] = {
      {"F16", NumberFormat::kF16}, {"BF16", NumberFormat::kBF16}, {"Q8_0", NumberFormat::kQ8_0}};
  for (const auto& [name, format] : formats) {
    INFO(name);
    CHECK(std::ranges::equal(to_bytes(format, values), file.bytes(*file.find_tensor(name))));
  }
}

TEST_CASE("every F16 number goes to fp32 and back", "[model]") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if ((half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0) continue;  // NaN
    REQUIRE(float_to_half(half_to_float(half)) == half);
  }
}

TEST_CASE("a model is exported as llama.cpp's converter writes it, metadata and tokenizer included", "[model]") {
  const Fixture f;
  const auto model = MergedModel::make(f.base, kNoAdapter).value();
  const std::pair<const char*, NumberFormat> formats[] = {{"f16", NumberFormat::kF16}, {"q8_0", NumberFormat::kQ8_0}};
  for (const auto& [name, format] : formats) {
    INFO(name);
    const std::string out = f.scratch.file(std::string(name) + ".gguf");
    REQUIRE(write_gguf(f.path, model, out, format).ok());
    const auto ours = data::GgufFile::open(out).value();
    const auto theirs = data::GgufFile::open(vector_path("gguf_export/model_" + std::string(name) + ".gguf")).value();
    check_same_tensors(ours, theirs);
    check_same_metadata(
        ours, theirs,
        {"general.name", "general.size_label", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id"});
  }
}

TEST_CASE("a model that was exported to GGUF is exported again number for number", "[model]") {
  const Fixture f;
  const auto merged = MergedModel::make(f.base, f.adapter).value();
  for (const auto format : {NumberFormat::kF32, NumberFormat::kF16, NumberFormat::kBF16, NumberFormat::kQ8_0}) {
    const std::string out = f.scratch.file("merged.gguf");
    REQUIRE(write_gguf(f.path, merged, out, format).ok());
    const auto again = Checkpoint::open(out).value();
    const auto copy = MergedModel::make(again, kNoAdapter).value();
    REQUIRE(write_gguf(out, copy, f.scratch.file("again.gguf"), format).ok());
    const auto first = data::GgufFile::open(out).value(),
               second = data::GgufFile::open(f.scratch.file("again.gguf")).value();
    check_same_tensors(second, first);
    check_same_metadata(second, first, {});
  }
}

TEST_CASE("an adapter is exported as llama.cpp's converter writes it", "[model]") {
  const Fixture f;
  const std::string out = f.scratch.file("adapter.gguf");
  REQUIRE(write_gguf_lora(f.adapter, f.base.config(), "Adapter", out, NumberFormat::kF32).ok());
  const auto ours = data::GgufFile::open(out).value();
  const auto theirs = data::GgufFile::open(vector_path("gguf_export/adapter.gguf")).value();
  check_same_tensors(ours, theirs);
  check_same_metadata(
      ours, theirs,
      {"general.base_model.count", "general.base_model.0.name", "general.base_model.0.repo_url", "general.tags"});

  // llama.cpp computes alpha / rank for every module: another scale goes into B.
  auto scaled = f.adapter;
  scaled.lora.layout.modules[1].scale *= 3;
  REQUIRE(write_gguf_lora(scaled, f.base.config(), "Adapter", out, NumberFormat::kF32).ok());
  const auto folded = data::GgufFile::open(out).value();
  const auto b_of = [](const data::GgufFile& file) {
    const auto* tensor = file.find_tensor("blk.0.attn_k.weight.lora_b");
    return to_floats(NumberFormat::kF32, file.bytes(*tensor), tensor->elements);
  };
  const auto before = b_of(theirs), after = b_of(folded);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == Approx(3 * before[i]));
}

TEST_CASE("what a GGUF file cannot hold is refused, and leaves no file", "[model]") {
  const TemporaryFolder scratch;
  const auto base = Checkpoint::open(vector_path("tiny/llama")).value();
  const std::string out = scratch.file("out.gguf");
  const auto refusal = [&](const std::string& variant) {
    const auto adapter = load_peft_folder(vector_path("lora/" + variant), base.config()).value();
    return write_gguf_lora(adapter, base.config(), "x", out, NumberFormat::kF32).error().message;
  };
  CHECK(refusal("dora").find("DoRA") != std::string::npos);
  CHECK(refusal("saved_head").find("lm_head.weight") != std::string::npos);

  auto large = load_peft_folder(vector_path("lora/saved_head"), base.config()).value();
  large.replaced.at("lm_head.weight").values.front() = 1e6F;
  const auto merged = MergedModel::make(base, large).value();
  const auto failed = write_gguf(vector_path("tiny/llama"), merged, out, NumberFormat::kF16);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message.find("lm_head.weight") != std::string::npos);
  CHECK(std::filesystem::is_empty(scratch.path()));
}

}  // namespace sotto::model
