#include "model/adapter/gguf_export.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/log.h"
#include "data/files/gguf_file.h"
#include "data/files/gguf_writer.h"
#include "data/tokenizer/tokenizer_formats.h"
#include "model/files/gguf_metadata.h"
#include "model/files/hugging_face_export.h"
#include "model/files/quantize.h"

namespace sotto::model {
namespace {

// The types' numbers in the file (ggml.h, enum ggml_type).
std::uint32_t type_id(NumberFormat format) {
  switch (format) {
    case NumberFormat::kF32: return 0;
    case NumberFormat::kF16: return 1;
    case NumberFormat::kQ8_0: return 8;
    case NumberFormat::kBF16: return 30;
    default: break;
  }
  throw Failure("models are not exported in this format");
}

std::string name_of(const std::string& path) {
  auto clean = std::filesystem::path(path);
  if (!clean.has_filename()) clean = clean.parent_path();
  return std::filesystem::is_directory(path) ? clean.filename().string() : clean.stem().string();
}

// Files of the llama architecture have the two numbers that a rotation mixes next to each other (checkpoint.cc):
// raw[h, 2 i + half] = hf[h, half * D/2 + i] for each head h.
std::vector<float> interleaved(const std::vector<float>& rows, std::size_t head_dim, std::size_t columns) {
  std::vector<float> out(rows.size());
  const std::size_t count = rows.size() / columns, half_dim = head_dim / 2;
  for (std::size_t row = 0; row < count; ++row) {
    const std::size_t in_head = row % head_dim, to = row - in_head + 2 * (in_head % half_dim) + in_head / half_dim;
    std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(row * columns), columns,
                out.begin() + static_cast<std::ptrdiff_t>(to * columns));
  }
  return out;
}

bool is_interleaved(const WeightInfo& info, const ModelConfig& config) {
  return info.rotary_rows && std::string_view(gguf_architecture(config)) == "llama";
}

NumberFormat format_of(const WeightInfo& info, NumberFormat wanted) {
  if (info.shape.size() < 2 || info.gguf_name == "position_embd.weight") return NumberFormat::kF32;
  const bool whole_blocks = info.shape.back() % block_size(wanted).elements == 0;
  return whole_blocks ? wanted : NumberFormat::kF16;
}

std::uint64_t bytes_of(NumberFormat format, const std::vector<std::uint64_t>& shape) {
  std::uint64_t elements = 1;
  for (const auto dim : shape) elements *= dim;
  const auto block = block_size(format);
  return elements / block.elements * block.bytes;
}

Result<Bytes> encoded(NumberFormat format, std::span<const float> values, const std::string& name) {
  if (format == NumberFormat::kF16 && std::ranges::any_of(values, [](float v) { return std::abs(v) >= 65520.0F; }))
    return invalid("the weight " + name + " has values beyond F16's range; choose BF16 or F32");
  return to_bytes(format, values);
}

Result<data::GgufMetadata> metadata_of(const std::string& base, const ModelConfig& config, NumberFormat format) {
  if (!std::filesystem::is_directory(base)) {
    SOTTO_TRY(const auto file, data::GgufFile::open(base));
    return gguf_metadata(file, format);
  }
  auto metadata = gguf_metadata(config, name_of(base), format);
  SOTTO_TRY_VOID(data::tokenizer_to_gguf(base, config.vocab_size, metadata));
  return metadata;
}

Result<void> check_written(const std::string& path, const ModelConfig& config) {
  SOTTO_TRY(const auto file, data::GgufFile::open(path));
  SOTTO_TRY(const auto read, model_config(file));
  if (same_computation(config, read)) return {};
  return unsupported(
      "a GGUF file cannot say all that this model computes (read back, it would be another one); keep it as a "
      "Hugging Face folder (`sotto-client merge`)");
}

}  // namespace

Result<WrittenModel> write_gguf(const std::string& base, const MergedModel& model, const std::string& path,
                                NumberFormat format) {
  const ModelConfig& config = model.config();
  if (config.architecture == Architecture::kGemma2 && !config.tied_embeddings)
    return unsupported(
        "llama.cpp takes Gemma 2's embedding for its head and would not use this model's own; keep it as a Hugging "
        "Face folder (`sotto-client merge`)");
  if (config.sliding_window != 0 && config.architecture != Architecture::kGemma2)
    log(Level::kWarning, "window_not_in_llama_cpp",
        {{"sliding_window", config.sliding_window},
         {"next_step", "llama.cpp attends to the whole text: keep texts within the window"}});
  SOTTO_TRY(const auto metadata, metadata_of(base, config, format));
  std::vector<data::GgufShape> shapes;
  for (const auto& info : model.weights()) {
    const auto type = format_of(info, format);
    shapes.push_back({info.gguf_name, type_id(type), info.shape, bytes_of(type, info.shape)});
  }
  if (!config.rope_divisors.empty()) {
    const std::uint64_t count = config.rope_divisors.size();
    shapes.push_back({"rope_freqs.weight", type_id(NumberFormat::kF32), {count}, count * sizeof(float)});
  }
  WrittenModel written{shapes.size(), 0, 1};
  SOTTO_TRY(auto file, data::GgufWriter::create(path, metadata, shapes));
  for (const auto& info : model.weights()) {
    SOTTO_TRY(auto values, model.read(info));
    if (is_interleaved(info, config)) values = interleaved(values, config.head_dim, info.shape[1]);
    SOTTO_TRY(const auto bytes, encoded(format_of(info, format), values, info.name));
    written.bytes += bytes.size();
    SOTTO_TRY_VOID(file.add(bytes));
  }
  if (!config.rope_divisors.empty()) SOTTO_TRY_VOID(file.add(to_bytes(NumberFormat::kF32, config.rope_divisors)));
  SOTTO_TRY_VOID(check_written(file.path_before_commit(), config));
  SOTTO_TRY_VOID(file.commit());
  return written;
}

Result<WrittenModel> write_gguf_lora(const Adapter& adapter, const ModelConfig& config, const std::string& name,
                                     const std::string& path, NumberFormat format) {
  SOTTO_TRY_VOID(check_adapter(adapter, config));
  if (adapter.is_dora() || !adapter.replaced.empty())
    return unsupported(
        std::string("a GGUF adapter holds LoRA factors alone, and this one has ") +
        (adapter.is_dora() ? "DoRA magnitudes" : "parameters of its own: " + adapter.replaced.begin()->first) +
        "; export the merged model (--to gguf)");
  if (adapter.lora.layout.prompt.tokens > 0)
    return unsupported("a GGUF adapter holds LoRA factors, and this one is a soft prompt");
  SOTTO_CHECK(format == NumberFormat::kF32 || format == NumberFormat::kF16);
  const auto& modules = adapter.lora.layout.modules;
  const double first = modules.front().scale * modules.front().rank;
  const double alpha = first != 0 ? first : modules.front().rank;  // llama.cpp takes an alpha of 0 for none
  data::GgufMetadata metadata;
  metadata.text("general.architecture", gguf_architecture(config))
      .text("general.type", "adapter")
      .text("adapter.type", "lora");
  metadata.text("general.name", name).f32("adapter.lora.alpha", static_cast<float>(alpha));
  metadata.u32("general.quantization_version", 2);
  const auto infos = weight_infos(config);
  std::vector<data::GgufShape> shapes;
  std::vector<std::vector<float>> values;
  for (std::size_t m = 0; m < modules.size(); ++m) {
    const auto& module = modules[m];
    const auto& info = *std::ranges::find(infos, module.path + ".weight", &WeightInfo::name);
    auto b = adapter.lora.factors[m].b;
    const auto factor = static_cast<float>(module.scale * module.rank / alpha);
    for (float& x : b) x *= factor;
    if (is_interleaved(info, config)) b = interleaved(b, config.head_dim, module.rank);
    const std::vector<std::uint64_t> a_shape = {module.rank, module.in}, b_shape = {module.out, module.rank};
    shapes.push_back({info.gguf_name + ".lora_a", type_id(format), a_shape, bytes_of(format, a_shape)});
    shapes.push_back({info.gguf_name + ".lora_b", type_id(format), b_shape, bytes_of(format, b_shape)});
    values.push_back(adapter.lora.factors[m].a);
    values.push_back(std::move(b));
  }
  WrittenModel written{shapes.size(), 0, 1};
  SOTTO_TRY(auto file, data::GgufWriter::create(path, metadata, shapes));
  for (std::size_t i = 0; i < values.size(); ++i) {
    SOTTO_TRY(const auto bytes, encoded(format, values[i], shapes[i].name));
    written.bytes += bytes.size();
    SOTTO_TRY_VOID(file.add(bytes));
  }
  SOTTO_TRY_VOID(file.commit());
  return written;
}

}  // namespace sotto::model
