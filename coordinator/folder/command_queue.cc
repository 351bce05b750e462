#include "coordinator/folder/command_queue.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/files.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr ErrorCode kCodes[] = {ErrorCode::kInvalid,    ErrorCode::kNotFound, ErrorCode::kRefused,
                                ErrorCode::kOverBudget, ErrorCode::kProtocol, ErrorCode::kUnavailable,
                                ErrorCode::kUnsupported};

void remove(const std::string& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

// A request is a file of a few megabytes at most. Anything else that has such a name (a pipe would keep its reader waiting) is
// not opened, or not waited for.
Result<Json> read_request(const std::string& path) {
  constexpr off_t kLargest = 16 << 20;
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
    return unavailable("cannot open '" + path + "': " + std::strerror(errno));
  struct stat info{};
  const bool readable = fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= kLargest;
  std::string text(readable ? static_cast<std::size_t>(info.st_size) : 0, '\0');
  const ssize_t n = readable ? ::read(fd, text.data(), text.size()) : -1;
  if (fd >= 0) ::close(fd);
  if (n < 0) return invalid("'" + path + "' is no file of a request");
  text.resize(static_cast<std::size_t>(n));
  return Json::parse(text, path);
}

Result<Json> answer_in(const Json& json) {
  if (const Json* answer = json.find("answer")) return *answer;
  SOTTO_TRY(const auto code, json.get_string("code"));
  SOTTO_TRY(const auto message, json.get_string("message"));
  const auto known = std::ranges::find_if(kCodes, [&](ErrorCode c) { return code == to_string(c); });
  return Error{known == std::end(kCodes) ? ErrorCode::kInvalid : *known, message};
}

}  // namespace

Result<std::vector<QueuedCommand>> take_requests(const std::string& spool) {
  std::vector<QueuedCommand> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(spool, error)) {
    if (entry.path().extension() != ".request") continue;
    const std::string id = entry.path().stem().string();
    auto json = read_request(entry.path().string());
    if (json.ok() && json->is_object())
      out.push_back({id, std::move(json).value()});
    else if (!json.ok() && json.error().code == ErrorCode::kUnavailable)
      return json.error();
    else
      SOTTO_TRY_VOID(answer_request(spool, id, invalid("the request is no JSON object")));
  }
  if (error) return unavailable("cannot read '" + spool + "': " + error.message());
  std::ranges::sort(out, {}, &QueuedCommand::id);
  return out;
}

Result<void> answer_request(const std::string& spool, const std::string& id, const Result<Json>& answer) {
  const Json json = answer.ok()
                        ? Json::object({{"answer", *answer}})
                        : Json::object({{"code", to_string(answer.error().code)}, {"message", answer.error().message}});
  SOTTO_TRY_VOID(write_file_atomically(spool + "/" + id + ".answer", json.dump() + "\n", FileMode::kPrivate));
  remove(spool + "/" + id + ".request");
  return {};
}

Result<Json> ask_server(const std::string& spool, const Json& request, RandomSource& random,
                        std::chrono::milliseconds timeout) {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto number = std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count());
  const std::string base = spool + "/" + number + "-" + std::to_string(random.bits64());
  SOTTO_TRY_VOID(write_file_atomically(base + ".request", request.dump() + "\n", FileMode::kPrivate));
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (!file_exists(base + ".answer")) {
    if (std::chrono::steady_clock::now() > end) {
      remove(base + ".request");
      return unavailable("the running 'sotto-coordinator serve' did not answer within " +
                         std::to_string(timeout.count() / 1000) + " s; look at its log");
    }
    std::this_thread::sleep_for(50ms);
  }
  const auto json = Json::read_file(base + ".answer");
  remove(base + ".answer");
  if (!json.ok()) return json.error();
  return answer_in(*json);
}

}  // namespace sotto::coordinator
