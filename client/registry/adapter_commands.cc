#include "client/registry/adapter_commands.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/json.h"
#include "client/text/model_options.h"
#include "model/adapter/gguf_export.h"
#include "model/adapter/merged_folder.h"
#include "model/adapter/peft_folder.h"

namespace sotto::client {
namespace {

using model::NumberFormat;

struct NamedFormat {
  const char* name;
  NumberFormat format;
};
constexpr NamedFormat kFormats[] = {
    {"F32", NumberFormat::kF32}, {"F16", NumberFormat::kF16}, {"BF16", NumberFormat::kBF16}, {"Q8_0", NumberFormat::kQ8_0}};

// `known` of the formats, by name.
Result<NumberFormat> format_of(const std::string& name, std::initializer_list<NumberFormat> known,
                               const std::string& where) {
  std::string names;
  for (const auto& [known_name, format] : kFormats) {
    if (std::find(known.begin(), known.end(), format) == known.end()) continue;
    if (name == known_name) return format;
    names += (names.empty() ? "" : ", ") + std::string(known_name);
  }
  return invalid("--type is '" + name + "'; " + where + " takes " + names);
}

Result<void> tell(const model::WrittenModel& written, const std::string& out, const std::string& type, bool json) {
  if (json) {
    std::cout << Json::object({{"out", out},
                               {"type", type},
                               {"files", written.files},
                               {"tensors", written.tensors},
                               {"bytes", written.bytes}})
                     .dump()
              << '\n';
    return {};
  }
  std::cout << out << ": " << written.tensors << " tensors, " << type << ", " << written.bytes << " bytes";
  if (written.files > 1) std::cout << " in " << written.files << " files";
  std::cout << '\n';
  return {};
}

Result<void> check_file_place(const std::string& out, const std::string& model) {
  if (out.empty()) return invalid("--out is empty; name the file to write");
  if (std::filesystem::is_directory(out)) return invalid("--out '" + out + "' is a folder; name the file to write");
  std::error_code error;
  if (std::filesystem::equivalent(out, model, error))
    return refused("--out '" + out + "' is the model itself; name another file");
  return {};
}

}  // namespace

Result<void> merge(const MergeCommand& command) {
  if (command.out.empty()) return invalid("--out is empty; name the folder to write");
  if (command.shard_mb < 1 || command.shard_mb > 1'000'000)
    return invalid("--shard-mb is " + std::to_string(command.shard_mb) + "; it must be from 1 to 1000000");
  SOTTO_TRY(const auto format,
            format_of(command.type, {NumberFormat::kF32, NumberFormat::kF16, NumberFormat::kBF16}, "merge"));
  SOTTO_TRY(const auto base, model::Checkpoint::open(command.model));
  SOTTO_TRY(const auto adapter, model::load_peft_folder(command.adapter, base.config()));
  SOTTO_TRY(const auto merged, model::MergedModel::make(base, adapter));
  const model::MergeOptions options{format, static_cast<std::uint64_t>(command.shard_mb) * 1'000'000};
  SOTTO_TRY(const auto written, model::write_merged_folder(command.model, merged, command.out, options));
  return tell(written, command.out, command.type, command.json);
}

Result<void> export_model(const ExportCommand& command) {
  const bool whole = command.to == "gguf";
  if (!whole && command.to != "gguf-lora") return invalid("--to is '" + command.to + "'; it is gguf or gguf-lora");
  SOTTO_TRY_VOID(check_file_place(command.out, command.model));
  const std::string type = !command.type.empty() ? command.type : whole ? "F16" : "F32";
  if (!whole && command.adapter.empty()) return invalid("--to gguf-lora exports an adapter; name it with --adapter");
  SOTTO_TRY(const auto base, model::Checkpoint::open(command.model));
  model::Adapter adapter;
  if (!command.adapter.empty()) {
    SOTTO_TRY(adapter, model::load_peft_folder(command.adapter, base.config()));
  }
  if (!whole) {
    SOTTO_TRY(const auto format, format_of(type, {NumberFormat::kF32, NumberFormat::kF16}, "--to gguf-lora"));
    const std::string name = std::filesystem::path(command.out).stem().string();
    SOTTO_TRY(const auto written, model::write_gguf_lora(adapter, base.config(), name, command.out, format));
    return tell(written, command.out, type, command.json);
  }
  SOTTO_TRY(
      const auto format,
      format_of(type, {NumberFormat::kF32, NumberFormat::kF16, NumberFormat::kBF16, NumberFormat::kQ8_0}, "--to gguf"));
  SOTTO_TRY(const auto merged, model::MergedModel::make(base, adapter));
  SOTTO_TRY(const auto written, model::write_gguf(command.model, merged, command.out, format));
  return tell(written, command.out, type, command.json);
}

void add_adapter_commands(Command& root, AdapterOptions& o) {
  root.group("Models and their files");
  add_model_file(root.subcommand("merge", "fold an adapter into its model: a complete Hugging Face folder"), o.merge.model)
      .option("--adapter", o.merge.adapter, "a PEFT folder", true)
      .option("--out", o.merge.out, "the folder to write; it must not be there yet", true)
      .option("--type", o.merge.type, "F32 (keeps the adapter's logits), F16 or BF16")
      .option("--shard-mb", o.merge.shard_mb, "weights are split into files of at most so many megabytes")
      .json(o.merge.json)
      .example("--model model-folder --adapter train-alone/adapter --out merged")
      .on_run([&o] { return merge(o.merge); });
  add_model_file(root.subcommand("export", "a model, with an adapter folded in, or an adapter alone, as a GGUF file"),
                 o.exported.model)
      .option("--adapter", o.exported.adapter, "a PEFT folder; without it the base model is exported")
      .option("--to", o.exported.to, "gguf (the merged model) or gguf-lora (the adapter, for llama.cpp's --lora)")
      .option("--out", o.exported.out, "the file to write", true)
      .option("--type", o.exported.type, "gguf: F32, F16 (default), BF16 or Q8_0; gguf-lora: F32 (default) or F16")
      .json(o.exported.json)
      .example("--model model-folder --adapter train-alone/adapter --out tuned.gguf")
      .on_run([&o] { return export_model(o.exported); });
}

}  // namespace sotto::client
