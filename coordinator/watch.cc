// `runs` and `watch`: what the index says, for people and programs.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "base/terminal.h"
#include "coordinator/commands.h"
#include "coordinator/folder/coordinator_folder.h"
#include "store/run_index.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;

Json to_json(const store::RunRow& row) {
  return Json::object({{"run", row.run},
                       {"state", row.state},
                       {"detail", row.detail},
                       {"rounds", row.rounds},
                       {"rounds_done", row.rounds_done},
                       {"rounds_void", row.rounds_void},
                       {"phase", row.phase},
                       {"attempt", row.attempt},
                       {"adapter", row.adapter},
                       {"submitted", row.submitted},
                       {"started", row.started},
                       {"finished", row.finished},
                       {"bytes_up", row.bytes_up},
                       {"bytes_down", row.bytes_down}});
}

// From the rounds that are over; empty while there is none.
std::string eta(const store::RunRow& row) {
  if (row.rounds_done == 0 || row.started == 0 || row.state != "running") return "";
  const std::int64_t left =
      (wall_clock().time_since_epoch().count() - row.started) * (row.rounds - row.rounds_done) / row.rounds_done;
  char text[48];
  std::snprintf(text, sizeof text, ", about %lld:%02lld left", static_cast<long long>(left / 60),
                static_cast<long long>(left % 60));
  return text;
}

std::string line_of(const store::RunRow& row) {
  std::string out = row.run + ": " + row.state;
  if (row.state == "running") {
    out += ", round " + std::to_string(std::min(row.rounds_done + 1, row.rounds)) + " of " + std::to_string(row.rounds);
    if (!row.phase.empty()) out += ", " + row.phase;
    if (row.attempt > 1) out += " (attempt " + std::to_string(row.attempt) + ")";
  } else if (row.rounds_done > 0) {
    out += " after " + std::to_string(row.rounds_done) + " rounds" +
           (row.rounds_void > 0 ? ", " + std::to_string(row.rounds_void) + " of them void" : "");
  }
  if (!row.detail.empty()) out += ", " + row.detail;
  return out;
}

// On a terminal one line that changes, otherwise one line a change.
class Display {
 public:
  explicit Display(bool json) : json_(json), terminal_(redraws(STDERR_FILENO)) {}
  ~Display() {
    if (terminal_ && !last_.empty()) std::fputc('\n', stderr);
  }
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;
  void show(const store::RunRow& row) {
    const std::string line = line_of(row);
    if (line == last_ && (json_ || !terminal_)) return;
    if (json_)
      std::printf("%s\n", to_json(row).dump().c_str());
    else if (terminal_)
      std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), eta(row).c_str());
    else
      std::fprintf(stderr, "%s%s\n", line.c_str(), eta(row).c_str());
    std::fflush(json_ ? stdout : stderr);
    last_ = line;
  }

 private:
  bool json_;
  bool terminal_;
  std::string last_;
};

}  // namespace

Result<void> list_runs(const std::string& path, bool json) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  std::vector<store::RunRow> rows;
  if (file_exists(folder.index_path())) {
    SOTTO_TRY(const auto index, store::RunIndex::open_read_only(folder.index_path()));
    SOTTO_TRY(rows, index.runs());
  }
  Json::Array all;
  for (const auto& row : rows) {
    if (json)
      all.push_back(to_json(row));
    else
      std::printf("%s%s\n", line_of(row).c_str(), eta(row).c_str());
  }
  if (json)
    std::printf("%s\n", Json(std::move(all)).dump().c_str());
  else if (rows.empty())
    std::printf("no runs yet; submit one: sotto-coordinator submit RUN.toml\n");
  return {};
}

Result<void> watch(const std::string& path, const std::string& run, bool json) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(path));
  SOTTO_TRY(const auto index, store::RunIndex::open_read_only(folder.index_path()));
  Display display(json);
  for (;;) {
    SOTTO_TRY(const auto row, index.run(run));
    display.show(row);
    if (row.state == "refused" || row.state == "stopped")
      return refused("run '" + run + "' is " + row.state + (row.detail.empty() ? "" : ": " + row.detail));
    if (row.state == "finished") {
      if (row.rounds_done > row.rounds_void) return {};
      return refused("run '" + run + "' ended without a result: all its rounds were void");
    }
    std::this_thread::sleep_for(300ms);
  }
}

}  // namespace sotto::coordinator
