// sotto-client's `run` with observers, for end-to-end tests: writes each x_i and each opened sum into the site's folder as
// little-endian u32 words, and kills itself (SIGKILL) at a barrier named by SOTTO_BARRIER, "after:shares:1" say (when,
// message, round); waits at the barrier named by SOTTO_HOLD until the file "go" is in its folder; leaves a file
// "sent-keys-1" for each message. A message that was sent "after" gets half a second to leave. The program that users run
// has none of this.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/files.h"
#include "client/federation/site.h"
#include "wire/codec.h"

namespace {

using namespace sotto;

Bytes words(const std::vector<std::uint32_t>& values) {
  ByteWriter out;
  for (const auto v : values) out.u32(v);
  return out.take();
}

std::string barrier_of(const char* when, const wire::ToCoordinator& message) {
  return std::visit(
      [&](const auto& m) -> std::string {
        if constexpr (requires { m.header.round; })
          return std::string(when) + ":" + wire::name_of(message) + ":" + std::to_string(m.header.round.value());
        else
          return "";
      },
      message);
}

Result<void> run(const std::string& path) {
  SOTTO_TRY(const auto folder, client::SiteFolder::open(path));
  SOTTO_TRY(const auto config, client::read_site_config(folder.site().config));
  const char* wanted = std::getenv("SOTTO_BARRIER");
  const char* hold = std::getenv("SOTTO_HOLD");
  const auto at = [&](const std::string& here, bool let_it_leave) {
    while (hold && here == hold && !file_exists(path + "/go")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (!wanted || here != wanted) return;
    if (let_it_leave) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    std::raise(SIGKILL);
  };
  client::SiteHooks hooks;
  hooks.before_send = [&](const wire::ToCoordinator& m) { at(barrier_of("before", m), false); };
  hooks.after_send = [&](const wire::ToCoordinator& m) {
    if (const auto round = barrier_of("", m); !round.empty()) {
      std::string mark = "sent" + round;  // "sent:keys:1"
      std::ranges::replace(mark, ':', '-');
      write_file_atomically(path + "/" + mark, "").value();
    }
    at(barrier_of("after", m), true);
  };
  hooks.on_update = [&](RoundId round, const std::vector<std::uint32_t>& update) {
    write_file_atomically(path + "/x-" + std::to_string(round.value()) + ".u32", words(update)).value();
  };
  hooks.on_sum = [&](RoundId round, const std::vector<SiteIndex>& survivors, const std::vector<std::uint32_t>& sum) {
    std::string names;
    for (const auto& s : survivors) names += std::to_string(s.value()) + "\n";
    write_file_atomically(path + "/sum-" + std::to_string(round.value()) + ".u32", words(sum)).value();
    write_file_atomically(path + "/survivors-" + std::to_string(round.value()), names).value();
  };
  return client::run_site(folder, config, {true, {}}, hooks);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: hooked_client SITE_FOLDER\n");
    return 2;
  }
  const auto done = run(argv[1]);
  if (done.ok()) return 0;
  std::fprintf(stderr, "hooked_client: %s\n", done.error().message.c_str());
  return 1;
}
