#include "client/text/adapters.h"

#include <algorithm>
#include <filesystem>

#include "model/adapter/peft_folder.h"

namespace sotto::client {
namespace {

std::string folder_name(const std::string& path) {
  auto clean = std::filesystem::path(path).lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return clean.filename().string();
}

}  // namespace

Result<Adapters> Adapters::load(const std::vector<std::string>& paths, model::LanguageModel& model) {
  Adapters out;
  for (const auto& path : paths) {
    if (path.empty()) return invalid("--adapter is empty; name a PEFT folder");
    if (std::ranges::find(out.all_, path, &Known::path) != out.all_.end())
      return invalid("--adapter '" + path + "' is given twice");
    SOTTO_TRY(auto adapter, model::load_peft_folder(path, model.config()));
    out.all_.push_back({path, std::move(adapter)});
  }
  for (const auto& path : paths) {
    const auto same =
        std::ranges::count_if(paths, [&](const auto& other) { return folder_name(other) == folder_name(path); });
    out.names_.push_back(same == 1 ? folder_name(path) : path);
  }
  if (!paths.empty()) SOTTO_TRY_VOID(out.use(model, paths.front()));
  return out;
}

Result<void> Adapters::use(model::LanguageModel& model, const std::string& name) {
  if (name.empty()) {
    model.clear_adapter();
    on_.clear();
    return {};
  }
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (all_[i].path != name && names_[i] != name) continue;
    if (on_ != all_[i].path) SOTTO_TRY_VOID(model.set_adapter(all_[i].adapter));
    on_ = all_[i].path;
    return {};
  }
  std::string known;
  for (const auto& one : names_) known += (known.empty() ? "" : ", ") + one;
  return invalid("the adapter '" + name + "' was not given with --adapter" + (known.empty() ? "" : "; known are " + known));
}

}  // namespace sotto::client
