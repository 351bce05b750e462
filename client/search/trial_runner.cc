#include "client/search/trial_runner.h"

#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "client/training/train_command.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

// Beside the plan, since its paths are relative to it; gone with its user.
class PlanBeside {
 public:
  static Result<PlanBeside> write(const std::string& path, const std::string& text) {
    SOTTO_TRY_VOID(write_file_atomically(path, text));
    return PlanBeside(path);
  }
  PlanBeside(PlanBeside&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  PlanBeside& operator=(PlanBeside&&) = delete;
  ~PlanBeside() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }

 private:
  explicit PlanBeside(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace

std::string TrialRunner::text_with(const Settings& settings) const {
  std::string text = text_;
  for (const auto& [key, value] : settings) text = with_setting(text, key, value);
  return text;
}

std::string TrialRunner::file_of(const std::string& name) const {
  return (fs::path(plan_.plan).parent_path() / ("." + fs::path(plan_.plan).stem().string() + "-" + name + ".toml")).string();
}

Result<LocalSetup> TrialRunner::set_up_with(const Settings& settings) const {
  SOTTO_TRY(const auto file, PlanBeside::write(file_of("cost"), text_with(settings)));
  return set_up({file_of("cost"), "", "", std::nullopt, false, false});
}

Result<void> TrialRunner::run(Trial& trial, std::int64_t rung, const std::optional<Covered>& covered) {
  // Of a search that tells its best alone, no name may tell which of how many it was.
  std::optional<Silence> silence;  // nor may what it logs: its losses are of a model that is not told
  if (covered) silence.emplace();
  const std::string name = covered ? "tuned" : "t" + std::to_string(trial.number) + "-" + std::to_string(rung);
  std::string text = with_setting(text_with(trial.settings), "run", Json(run_ + "-" + name).dump());
  if (!trial.folder.empty())
    text = with_setting(text, "train.parent", Json(fs::absolute(trial.folder + "/adapter").string()).dump());
  SOTTO_TRY(const auto file, PlanBeside::write(file_of(name), text));
  TrainRequest request{file_of(name), "", plan_.out + "/" + name, std::nullopt, !plan_.public_text.empty(), false};
  request.public_text = plan_.public_text;
  request.covered = covered;
  request.yes = true;  // the search's declared size was taken before its first trial
  const auto summary = train_once(request, stop_);
  if (!summary.ok()) {
    if (summary.error().code == ErrorCode::kOverBudget || stop_()) return summary.error();
    trial.error = summary.error().message;
    log(Level::kWarning, "trial_failed", {{"trial", trial.number}, {"reason", trial.error}});
    return {};
  }
  SOTTO_TRY_VOID(take(trial, *summary, request.out));
  log(Level::kInfo, "trial", {{"trial", trial.number}, {"loss", trial.loss}});
  return {};
}

Result<void> TrialRunner::take(Trial& trial, const Json& summary, const std::string& folder) {
  const auto& evaluations = summary.at("evaluations").items();
  const Json* loss = evaluations.empty() ? nullptr : evaluations.back().find("loss");
  if (!loss)
    return invalid(plan_.plan +
                   ": trials are compared by the loss on data outside the guarantee; set [train] validation, or "
                   "holdout_fraction in site.toml");
  trial.loss = loss->as_double();
  trial.epsilon = summary.at("epsilon_with_earlier_runs");
  trial.folder = folder;
  return {};
}

}  // namespace sotto::client
