#include "curation/pii/outside_detector.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/json.h"
#include "data/text/utf8.h"

extern char** environ;

namespace sotto::curation {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);
constexpr std::size_t kMostAnswer = 64U << 20;

// Presidio's names.
PiiKind kind_of(const std::string& name) {
  if (const auto kind = pii_kind(name); kind.ok()) return *kind;
  struct Row {
    const char* name;
    PiiKind kind;
  };
  constexpr std::array<Row, 12> kRows = {{{"PERSON", PiiKind::kName},
                                          {"DATE_TIME", PiiKind::kDate},
                                          {"PHONE_NUMBER", PiiKind::kPhone},
                                          {"EMAIL_ADDRESS", PiiKind::kEmail},
                                          {"LOCATION", PiiKind::kAddress},
                                          {"URL", PiiKind::kUrl},
                                          {"IP_ADDRESS", PiiKind::kIpAddress},
                                          {"US_SSN", PiiKind::kSsn},
                                          {"CREDIT_CARD", PiiKind::kCard},
                                          {"IBAN_CODE", PiiKind::kIban},
                                          {"UK_NHS", PiiKind::kNhsNumber},
                                          {"MEDICAL_RECORD_NUMBER", PiiKind::kRecordNumber}}};
  for (const auto& row : kRows)
    if (name == row.name) return row.kind;
  return PiiKind::kOther;
}

// Where each character of a text begins, and its end.
std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at < text.size();) {
    out.push_back(at);
    data::next_code_point(text, at);
  }
  out.push_back(text.size());
  return out;
}

}  // namespace

struct OutsideDetector::State {
  std::string name;
  pid_t pid = -1;
  int to = -1, from = -1;
  std::string rest;  // what came behind the last answer's line

  ~State() {
    if (to >= 0) ::close(to);
    if (from >= 0) ::close(from);
    if (pid <= 0) return;
    for (int tries = 0; tries < 50; ++tries) {  // its input has ended: it may finish
      if (::waitpid(pid, nullptr, WNOHANG) != 0) return;
      ::usleep(20'000);
    }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  Error failed(const std::string& what) const { return invalid("the detector '" + name + "' " + what); }

  // Writes and reads as both sides are ready: a long text and a long answer may not fit into the pipes.
  Result<std::string> exchange(std::string_view line) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (true) {
      if (const auto end = rest.find('\n'); line.empty() && end != std::string::npos) {
        std::string answer = rest.substr(0, end);
        rest.erase(0, end + 1);
        return answer;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return failed("gave no answer within a minute");
      std::array<pollfd, 2> ends = {{{from, POLLIN, 0}, {line.empty() ? -1 : to, POLLOUT, 0}}};
      if (::poll(ends.data(), ends.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
        return failed(std::string("cannot be reached: ") + std::strerror(errno));
      if (ends[0].revents != 0) SOTTO_TRY_VOID(read_some());
      if (ends[1].revents != 0) {
        const auto written = ::write(to, line.data(), line.size());
        if (written < 0 && errno != EAGAIN && errno != EINTR) return failed("ended before it had read a text");
        if (written > 0) line.remove_prefix(static_cast<std::size_t>(written));
      }
    }
  }

  Result<void> read_some() {
    std::array<char, 65536> part{};
    const auto got = ::read(from, part.data(), part.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (got <= 0) return failed("ended without an answer; run it by hand with one line of {\"text\": \"...\"}");
    rest.append(part.data(), static_cast<std::size_t>(got));
    if (rest.size() > kMostAnswer) return failed("answers with more than 64 MiB");
    return {};
  }
};

OutsideDetector::OutsideDetector(std::unique_ptr<State> state) : state_(std::move(state)) {}
OutsideDetector::OutsideDetector(OutsideDetector&&) noexcept = default;
OutsideDetector& OutsideDetector::operator=(OutsideDetector&&) noexcept = default;
OutsideDetector::~OutsideDetector() = default;

Result<OutsideDetector> OutsideDetector::start(const std::vector<std::string>& command) {
  SOTTO_CHECK(!command.empty());
  auto state = std::make_unique<State>();
  state->name = command.front();
  std::array<int, 2> in{}, out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0) throw Failure("no pipe can be made");
  if (::pipe2(out.data(), O_CLOEXEC) != 0) throw Failure("no pipe can be made");
  state->to = in[1];
  state->from = out[0];
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int failed = ::posix_spawnp(&state->pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  if (failed != 0) {
    state->pid = -1;
    return state->failed(std::string("cannot be started: ") + std::strerror(failed));
  }
  ::fcntl(state->to, F_SETFL, O_NONBLOCK);
  ::signal(SIGPIPE, SIG_IGN);  // a command that ends is told by write()
  return OutsideDetector(std::move(state));
}

Result<std::vector<PiiSpan>> OutsideDetector::find(std::string_view text) {
  SOTTO_TRY(const std::string line, state_->exchange(Json::object({{"text", text}}).dump() + "\n"));
  const auto json = Json::parse(line, "the detector '" + state_->name + "'");
  const Json* spans = json.ok() ? json->find("spans") : nullptr;
  if (spans == nullptr || !spans->is_array())
    return state_->failed("answered " + line.substr(0, 100) + ", and {\"spans\": [...]} is wanted");
  const auto starts = character_starts(text);
  std::vector<PiiSpan> out;
  for (const Json& span : spans->items()) {
    const Json *start = span.find("start"), *end = span.find("end"), *kind = span.find("kind");
    if (kind == nullptr) kind = span.find("entity_type");
    const bool numbers = start != nullptr && end != nullptr && start->is_int() && end->is_int();
    if (!numbers || start->as_int() < 0 || end->as_int() <= start->as_int() ||
        end->as_int() >= static_cast<std::int64_t>(starts.size()))
      return state_->failed("answered with the span " + span.dump().substr(0, 100) + " of a text of " +
                            std::to_string(starts.size() - 1) + " characters");
    out.push_back({starts[static_cast<std::size_t>(start->as_int())], starts[static_cast<std::size_t>(end->as_int())],
                   kind != nullptr && kind->is_string() ? kind_of(kind->as_string()) : PiiKind::kOther});
  }
  return out;
}

}  // namespace sotto::curation
