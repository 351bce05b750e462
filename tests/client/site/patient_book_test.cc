#include "client/site/patient_book.h"

#include <unistd.h>

#include <filesystem>

#include "client/site/site_spending.h"
#include "privacy/mechanism/noise.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::client;

namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("sotto-book-" + std::to_string(::getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
  PatientBook book() const { return PatientBook::open(path.string()).value(); }
};

privacy::DpEvent event(double sigma, std::uint64_t count) {
  const privacy::Grid grid(privacy::ClipNorm(0.3), 1000);
  return privacy::planned_event(privacy::Unit::kPatient, privacy::SamplingRate(0.02), privacy::NoiseMultiplier(sigma), grid,
                                count);
}

audit::Spent spent(const std::vector<privacy::DpEvent>& events) {
  audit::Spent out;
  out.add(audit::RoundCost(events));
  return out;
}

Digest log_id(std::uint8_t n) {
  Digest d{};
  d[0] = n;
  return d;
}

}  // namespace

TEST_CASE("a patient has one budget for good: the same people under another budget's name are refused", "[book]") {
  const Folder folder;
  REQUIRE(folder.book().claim("patients", {"P1", "P2", "P3"}).ok());
  REQUIRE(folder.book().claim("patients", {"P2", "P9"}).ok());  // a new file with old and new people
  const auto renamed = folder.book().claim("patients-v2", {"P9", "Q1"});
  REQUIRE_FALSE(renamed.ok());
  CHECK(renamed.error().message.find("1 of these patients belong to the budget 'patients'") != std::string::npos);
  CHECK(renamed.error().message.find("P9") == std::string::npos);
  CHECK(folder.book().claim("staff", {"Q1", "Q2"}).ok());
  CHECK_FALSE(folder.book().claim("patients", {"Q1"}).ok());
  // Nothing was written by the refusals, and no id stands in the book.
  CHECK(fs::file_size(folder.path / "patients.patients") == 4 * 16);
  CHECK_FALSE(fs::exists(folder.path / "patients-v2.patients"));
  CHECK((fs::status(folder.path).permissions() & fs::perms::others_all) == fs::perms::none);
}

TEST_CASE("a book without its key recognises nobody, and says so", "[book]") {
  const Folder folder;
  REQUIRE(folder.book().claim("patients", {"P1"}).ok());
  fs::remove(folder.path / "patients.key");
  const auto opened = PatientBook::open(folder.path.string());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().message.find("lacks its patients.key") != std::string::npos);
}

TEST_CASE("what another folder of the site spent counts here, by budget, and stays when that folder is gone", "[book]") {
  const Folder folder;
  const auto a = spent({event(1.0, 4)});
  const auto b = spent({event(0.7, 2), event(0.7, 1)});
  REQUIRE(folder.book().publish("patients", log_id(1), a).ok());
  REQUIRE(folder.book().publish("patients", log_id(2), b).ok());
  REQUIRE(folder.book().publish("staff", log_id(1), spent({event(0.5, 9)})).ok());
  CHECK(folder.book().elsewhere("patients", log_id(1))->events == std::vector{event(0.7, 3)});
  CHECK(folder.book().elsewhere("patients", log_id(2))->events == std::vector{event(1.0, 4)});
  CHECK(folder.book().elsewhere("patients", log_id(3))->events.size() == 2);
  CHECK(folder.book().elsewhere("nobody", log_id(1))->events.empty());
  REQUIRE(folder.book().publish("patients", log_id(2), spent({})).ok());  // a run without privacy
  CHECK(folder.book().elsewhere("patients", log_id(1))->without_privacy);
  REQUIRE(
      write_file_atomically((folder.path / "spent" / ("patients." + to_hex(log_id(2)))).string(), std::string("x")).ok());
  CHECK_FALSE(folder.book().elsewhere("patients", log_id(1)).ok());  // unknown is not nothing
}

TEST_CASE("the rounds that a budget still pays for are the most that fit", "[budget]") {
  const std::vector<privacy::DpEvent> round = {event(1.0, 4)};
  const auto epsilon_of = [&](std::uint64_t rounds) {
    return audit::composed_epsilon(spent({event(1.0, 4 * rounds)}), 1e-5);
  };
  CHECK(affordable_rounds({}, round, epsilon_of(7), 1e-5) == 7);
  CHECK(affordable_rounds({}, round, epsilon_of(7) - 1e-6, 1e-5) == 6);
  CHECK(affordable_rounds(spent({event(1.0, 12)}), round, epsilon_of(7), 1e-5) == 4);
  CHECK(affordable_rounds({}, round, 0.01, 1e-5) == 0);
  CHECK(affordable_rounds(spent({}), round, 8, 1e-5) == 0);
}
