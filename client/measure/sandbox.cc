#include "client/measure/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

namespace sotto::client {
namespace {

constexpr const char* kBwrap = "/usr/bin/bwrap";
constexpr const char* kPython = "/usr/bin/python3";

// No /proc: Python needs none, and many containers let nobody mount one.
std::vector<std::string> command_line(const SandboxLimits& limits) {
  std::vector<std::string> out{kBwrap, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--ro-bind",
                               "/usr", "/usr"};
  for (const char* name : {"lib", "lib64", "bin"})
    if (std::filesystem::is_symlink(std::string("/") + name))
      out.insert(out.end(), {"--symlink", std::string("usr/") + name, std::string("/") + name});
  out.insert(out.end(), {"--size", std::to_string(limits.memory / 4), "--tmpfs", "/tmp", "--dev", "/dev", "--chdir", "/tmp",
                         kPython, "-I", "-"});
  return out;
}

void set_limit(int resource, rlim_t value) {
  const rlimit limit{value, value};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

// In the child, between fork and exec: nothing but system calls.
[[noreturn]] void become(int in, int null, char* const* arguments, const SandboxLimits& limits) {
  ::setpgid(0, 0);
  ::dup2(in, 0);
  ::dup2(null, 1);
  ::dup2(null, 2);
  set_limit(RLIMIT_CPU, static_cast<rlim_t>(limits.seconds));
  set_limit(RLIMIT_AS, limits.memory);
  set_limit(RLIMIT_FSIZE, limits.memory / 4);
  set_limit(RLIMIT_NOFILE, 64);
  set_limit(RLIMIT_CORE, 0);
  ::execv(arguments[0], arguments);
  ::_exit(127);
}

// The program as an unlinked file: the child can read it, and nothing of it stays.
Result<int> file_with(const std::string& text) {
  const int fd = ::open(std::filesystem::temp_directory_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return unavailable(std::string("no temporary file for the sandbox: ") + std::strerror(errno));
  for (std::size_t at = 0; at < text.size();) {
    const auto n = ::write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      ::close(fd);
      return unavailable(std::string("no temporary file for the sandbox: ") + std::strerror(errno));
    }
    at += static_cast<std::size_t>(n);
  }
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

// The exit status as waitpid gives it; -1 when the time was over and everything in the sandbox was killed.
int wait_for(pid_t child, int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int status = 0;
  for (;;) {
    if (::waitpid(child, &status, WNOHANG) == child) return status;
    if (std::chrono::steady_clock::now() > deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(-child, SIGKILL);  // bwrap's death ends its process namespace
  ::waitpid(child, &status, 0);
  return -1;
}

}  // namespace

Result<void> check_sandbox() {
  for (const char* program : {kBwrap, kPython})
    if (::access(program, X_OK) != 0)
      return unavailable(std::string("metric 'code_runs' runs what a model wrote in a sandbox, and '") + program +
                         "' is missing; install Debian's packages bubblewrap and python3");
  SOTTO_TRY(const bool works, runs_well("pass\n"));
  if (!works)
    return unavailable(
        "metric 'code_runs' needs a sandbox, and bubblewrap cannot make one here: this system allows no user namespaces "
        "(sysctl kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns, or the container's "
        "settings)");
  return {};
}

Result<bool> runs_well(const std::string& python, const SandboxLimits& limits) {
  SOTTO_TRY(const int in, file_with(python));
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto line = command_line(limits);
  std::vector<char*> arguments;
  for (const auto& word : line) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) become(in, null, arguments.data(), limits);
  ::close(in);
  ::close(null);
  if (child < 0) return unavailable(std::string("the sandbox cannot be started: ") + std::strerror(errno));
  ::setpgid(child, child);
  const int status = wait_for(child, limits.seconds);
  return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string code_in(std::string_view answer) {
  const auto open = answer.find("```");
  if (open == answer.npos) return std::string(answer);
  const auto begin = answer.find('\n', open);
  if (begin == answer.npos) return "";
  const auto end = answer.find("\n```", begin);
  return std::string(answer.substr(begin + 1, end == answer.npos ? end : end - begin));
}

}  // namespace sotto::client
