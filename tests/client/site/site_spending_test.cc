// A folder that spends, its book, and what is put back, copied or killed between them. fsync() is this file's: a child
// process ends at the write that it is told to end at, as a kill would end it.
#include "client/site/site_spending.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "base/clock.h"
#include "client/site/book_version_1.h"
#include "client/site/own_log.h"
#include "crypto/system_random.h"
#include "privacy/mechanism/noise.h"
#include "tests/support/catch.h"

namespace {

int writes_left = -1;  // -1: all

}  // namespace

extern "C" int fsync(int fd) {
  if (writes_left == 0) ::_exit(77);
  if (writes_left > 0) --writes_left;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

using namespace sotto;
using namespace sotto::client;

namespace {

namespace fs = std::filesystem;

constexpr double kDelta = 1e-5;
const RunId kRun("alone");

std::vector<privacy::DpEvent> round_of(double sigma) {
  const privacy::Grid grid(privacy::ClipNorm(0.3), 1000);
  return {privacy::planned_event(privacy::Unit::kPatient, privacy::SamplingRate(0.02), privacy::NoiseMultiplier(sigma), grid,
                                 4)};
}

double epsilon_of(std::uint64_t rounds) {
  audit::Spent spent;
  for (std::uint64_t i = 0; i < rounds; ++i) spent.add(audit::RoundCost(round_of(1.0)));
  return audit::composed_epsilon(spent, kDelta);
}

struct Place {
  fs::path path = fs::temp_directory_path() / ("sotto-spending-" + std::to_string(::getpid()));
  Place() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Place() { fs::remove_all(path); }
  std::string at(const std::string& name) const { return (path / name).string(); }
  void copy(const std::string& from, const std::string& to) const {
    fs::remove_all(path / to);
    fs::copy(path / from, path / to, fs::copy_options::recursive);
  }
};

// What a run of one folder does.
class Spender {
 public:
  static Result<std::unique_ptr<Spender>> open(const Place& place, const std::string& folder = "out",
                                               const std::string& book = "book") {
    crypto::SystemRandom random;
    SOTTO_TRY_VOID(make_folder(place.at(folder), FileMode::kPrivate));
    SOTTO_TRY(auto key, own_key(place.at(folder), random));
    SOTTO_TRY(auto log, audit::EventLog::open(place.at(folder) + "/log"));
    SOTTO_TRY_VOID(begin_own_log(log, key, random));
    SOTTO_TRY(auto patients, PatientBook::open(place.at(book)));
    std::unique_ptr<Spender> out(new Spender(std::move(log), std::move(patients)));
    SOTTO_TRY(out->ledger_, audit::Ledger::open(out->log_));
    SOTTO_TRY(out->mine_, take_up(out->shared()));
    if (!out->ledger_->spending().binding_of(kRun))
      SOTTO_TRY_VOID(out->ledger_->bind({kRun, "patients", "patient", 100, kDelta}, wall_clock()));
    return out;
  }
  Result<void> reserve(std::uint32_t round, double limit = 100, double sigma = 1.0) {
    return client::reserve(shared(), {kRun, RoundId(round), round_of(sigma), audit::BudgetLimit{limit, kDelta}},
                           wall_clock());
  }
  Result<void> commit(std::uint32_t round, double sigma = 1.0) {
    return client::commit(shared(), {kRun, RoundId(round), round_of(sigma), {}}, wall_clock());
  }
  Result<void> round(std::uint32_t n) {
    SOTTO_TRY_VOID(reserve(n));
    return commit(n);
  }
  SharedLedger shared() { return {&book_, &log_, &*ledger_}; }
  double spent() const { return ledger_->spent(kDelta); }
  std::size_t rounds() const { return ledger_->spending().rounds().size(); }

 private:
  Spender(audit::EventLog log, PatientBook book) : log_(std::move(log)), book_(std::move(book)) {}
  audit::EventLog log_;
  PatientBook book_;
  std::optional<audit::Ledger> ledger_;
  std::optional<FileLock> mine_;
};

std::unique_ptr<Spender> open(const Place& place, const std::string& folder = "out") {
  auto out = Spender::open(place, folder);
  INFO((out.ok() ? std::string() : out.error().message));
  REQUIRE(out.ok());
  return std::move(out).value();
}

template <class T>
bool says(const Result<T>& result, const std::string& words) {
  const bool found = !result.ok() && result.error().message.find(words) != std::string::npos;
  if (!found) WARN((result.ok() ? std::string("it went on") : result.error().message));
  return found;
}

double in_the_book(const Place& place) {
  return audit::composed_epsilon(PatientBook::open(place.at("book"))->lock()->elsewhere("patients", Digest{}), kDelta);
}

}  // namespace

TEST_CASE("a restored copy of a folder spends nothing, and lowers nothing", "[spending]") {
  const Place place;
  {
    auto run = open(place);
    REQUIRE(run->round(0).ok());
    REQUIRE(run->round(1).ok());
  }
  place.copy("out", "kept");
  {
    auto run = open(place);
    for (std::uint32_t r = 2; r < 6; ++r) REQUIRE(run->round(r).ok());
  }
  CHECK(in_the_book(place) == Approx(epsilon_of(6)));
  place.copy("out", "whole");
  place.copy("kept", "out");
  const auto restored = Spender::open(place);
  CHECK(says(restored, "has 6 entries, and the book of patients"));
  CHECK(says(restored, "has seen 14 of it"));
  CHECK(in_the_book(place) == Approx(epsilon_of(6)));
  place.copy("whole", "out");
  CHECK(open(place)->rounds() == 6);  // the newest copy goes on
}

TEST_CASE("a copy of a folder with an open reservation cannot take its steps a second time", "[spending]") {
  const Place place;
  REQUIRE(open(place)->reserve(0).ok());
  place.copy("out", "kept");
  REQUIRE(open(place)->commit(0).ok());
  place.copy("kept", "out");
  CHECK(says(Spender::open(place), "an older copy"));
}

TEST_CASE("two copies of a folder do not work at the same time, and only the one that went on may", "[spending]") {
  const Place place;
  REQUIRE(open(place)->round(0).ok());
  place.copy("out", "copy");
  {
    auto first = open(place);
    CHECK(says(Spender::open(place, "copy"), "is being worked with already"));
    REQUIRE(first->round(1).ok());
  }
  CHECK(says(Spender::open(place, "copy"), "an older copy"));
  // A log that went on by itself, to the same size and with other entries.
  {
    auto log = audit::EventLog::open(place.at("copy") + "/log").value();
    const auto size = audit::EventLog::open(place.at("out") + "/log")->size();
    while (log.size() <= size) REQUIRE(log.append(audit::RunRefused{kRun, {}, "no"}, wall_clock()).ok());
  }
  CHECK(says(Spender::open(place, "copy"), "are not those that the book of patients"));
}

TEST_CASE("a folder remembers its book: an older copy of it, another or a fresh one is refused", "[spending]") {
  const Place place;
  REQUIRE(open(place)->round(0).ok());
  place.copy("book", "older");
  REQUIRE(open(place, "other")->round(0).ok());  // spends, and is deleted
  REQUIRE(open(place)->round(1).ok());
  fs::remove_all(place.path / "other");
  CHECK(says(Spender::open(place, "out", "older"), "has spent from a newer copy of the book of patients"));
  CHECK(says(Spender::open(place, "out", "fresh"), "has spent from another book of patients than"));
  fs::remove(place.path / "out/book.json");
  CHECK(says(Spender::open(place, "out", "fresher"), "knows nothing of it"));
  CHECK(open(place)->spent() == Approx(epsilon_of(3)));  // the folder that is gone, too
}

TEST_CASE("what ran otherwise than reserved is in the book with both costs", "[spending]") {
  const Place place;
  auto run = open(place);
  REQUIRE(run->reserve(0).ok());
  CHECK_FALSE(run->commit(0, 2.0).ok());
  audit::Spent both;
  both.add(audit::RoundCost(round_of(1.0)));
  both.add(audit::RoundCost(round_of(2.0)));
  CHECK(in_the_book(place) == Approx(audit::composed_epsilon(both, kDelta)));
}

TEST_CASE("a reservation that a kill kept from the log is paid once, or besides another one", "[spending]") {
  for (const double sigma : {1.0, 2.0}) {
    const Place place;
    {
      auto run = open(place);
      REQUIRE(run->round(0).ok());
      audit::Spent here;
      for (int i = 0; i < 2; ++i) here.add(audit::RoundCost(round_of(1.0)));
      REQUIRE(run->shared().book->lock()->write_spent("patients", run->shared().log->image(), here).ok());
    }
    auto run = open(place);
    const double limit = epsilon_of(2) + 1e-9;
    CHECK(run->reserve(1, limit, sigma).ok() == (sigma == 1.0));
    if (sigma != 1.0) {
      CHECK(run->reserve(1, 100, sigma).ok());
      CHECK(run->spent() > epsilon_of(2));
    }
  }
}

// Stops at each write in turn; then the same folder goes on, within a limit that the run itself needs, and the book never has
// less than the log.
TEST_CASE("a kill at any write between book and log leaves a folder that goes on and counts what ran", "[spending]") {
  const double limit = epsilon_of(3) + 1e-9;
  int stops = 0;
  for (int writes = 0;; ++writes) {
    const Place place;
    REQUIRE(open(place)->round(0).ok());
    const pid_t child = ::fork();
    if (child == 0) {
      writes_left = writes;
      auto run = Spender::open(place);
      const bool done =
          run.ok() && (*run)->reserve(1, limit).ok() && (*run)->commit(1).ok() && keep((*run)->shared(), kRun, 4).ok();
      ::_exit(done ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    INFO("after " << writes << " writes");
    REQUIRE((WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
    {
      auto run = open(place);
      CHECK(in_the_book(place) >= run->spent() - 1e-9);
      const auto& rounds = run->shared().ledger->spending().rounds();
      const auto known = rounds.find({kRun, RoundId(1)});
      if (known == rounds.end()) REQUIRE(run->reserve(1, limit).ok());
      if (known == rounds.end() || known->second.state == audit::RoundSpend::State::kReserved) REQUIRE(run->commit(1).ok());
      REQUIRE(run->reserve(2, limit).ok());
      REQUIRE(run->commit(2).ok());
      CHECK(run->spent() == Approx(epsilon_of(3)));
    }
    CHECK(in_the_book(place) == Approx(epsilon_of(3)));
    if (WEXITSTATUS(status) == 0) break;
    ++stops;
  }
  CHECK(stops > 12);  // each entry, head and witness is written, and its folder synced
}

// The same of a book and a folder that are only being made.
TEST_CASE("a kill while a book is made leaves a book that opens", "[spending]") {
  int stops = 0;
  for (int writes = 0;; ++writes) {
    const Place place;
    const pid_t child = ::fork();
    if (child == 0) {
      writes_left = writes;
      ::_exit(Spender::open(place).ok() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    INFO("after " << writes << " writes");
    REQUIRE((WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
    REQUIRE(open(place)->round(0).ok());
    if (WEXITSTATUS(status) == 0) break;
    ++stops;
  }
  CHECK(stops > 8);
}

// As version 1 left it: two patients, and what another log and this one have spent.
void write_version_1(const Place& place, const Digest& own_log) {
  const std::string folder = place.at("book");
  REQUIRE(make_folder(folder + "/spent", FileMode::kPrivate).ok());
  REQUIRE(write_file_atomically(folder + "/patients.key", Bytes(32, 7), FileMode::kPrivate).ok());
  Bytes marks(32, 1);
  std::fill(marks.begin() + 16, marks.end(), std::uint8_t{2});
  REQUIRE(write_file_atomically(folder + "/patients.patients", marks, FileMode::kPrivate).ok());
  for (const Digest& log : {own_log, Digest{9}}) {
    const audit::SpentElsewhere spent{"patients", 0, round_of(1.0), round_of(1.0)};
    REQUIRE(write_file_atomically(folder + "/spent/patients." + to_hex(log), audit::encode(audit::Event(spent)),
                                  FileMode::kPrivate)
                .ok());
  }
}

TEST_CASE("a book of version 1 is taken over with all that was spent, wherever a kill stops that", "[spending]") {
  const auto take_over = [](const std::string& folder) -> Result<void> {
    if (!is_book_of_version_1(folder)) return {};
    SOTTO_TRY(const auto old, read_version_1(folder));
    return take_over_version_1(folder, old);
  };
  int stops = 0;
  for (int writes = 0;; ++writes) {
    const Place place;
    write_version_1(place, Digest{8});
    CHECK(says(PatientBook::open(place.at("book")), "is a book of patients of version 1"));
    const pid_t child = ::fork();
    if (child == 0) {
      writes_left = writes;
      ::_exit(take_over(place.at("book")).ok() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    INFO("after " << writes << " writes");
    REQUIRE((WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
    REQUIRE(take_over(place.at("book")).ok());
    CHECK(in_the_book(place) == Approx(epsilon_of(2)));
    CHECK(fs::is_regular_file(place.path / "book/spent"));
    CHECK(fs::exists(place.path / "book/version-1/patients.patients"));
    CHECK(fs::exists(place.path / "book/version-1/spent"));
    auto other = Spender::open(place);
    REQUIRE(other.ok());
    CHECK((*other)->reserve(0, epsilon_of(2) + 1e-9).error().code == ErrorCode::kOverBudget);
    if (WEXITSTATUS(status) == 0) break;
    ++stops;
  }
  CHECK(stops > 10);
}

TEST_CASE("a log that a book of version 1 charged goes on when it has what the book counts, and not before", "[spending]") {
  const Place place;
  Digest log{};
  {
    auto run = open(place);
    REQUIRE(run->round(0).ok());
    log = run->shared().log->image().id();
  }
  place.copy("out", "older");
  fs::remove_all(place.path / "book");
  write_version_1(place, log);
  REQUIRE(take_over_version_1(place.at("book"), *read_version_1(place.at("book"))).ok());
  fs::remove(place.path / "out/book.json");  // version 1 had none
  fs::remove(place.path / "older/book.json");
  {
    auto bytes = read_binary_file(place.at("older") + "/log").value();
    const auto image = audit::read_log(place.at("older") + "/log").value();
    bytes.resize(bytes.size() - audit::frame_of(image.records.back()).size() -
                 audit::frame_of(image.records[image.records.size() - 2]).size());  // without reserved and committed
    REQUIRE(write_file_atomically(place.at("older") + "/log", bytes, FileMode::kPrivate).ok());
  }
  CHECK(says(Spender::open(place, "older"), "lacks reservations that the book of patients"));
  CHECK(open(place)->round(1).ok());
  CHECK(says(Spender::open(place, "older"), "an older copy"));
}
