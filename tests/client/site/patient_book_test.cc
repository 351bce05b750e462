#include "client/site/patient_book.h"

#include <unistd.h>

#include <filesystem>

#include "base/json.h"
#include "client/site/locked_book.h"
#include "client/site/site_spending.h"
#include "client/site/spent_sets.h"
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
  LockedBook open() const { return book().lock().value(); }
  std::string file(const std::string& name) const { return (path / name).string(); }
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

// A log with one entry, of its own.
audit::LogImage image(std::uint8_t n, const Folder& folder) {
  auto log = audit::EventLog::open(folder.file("of-a-test-" + std::to_string(n))).value();
  audit::SiteCreated created{"alone", {}, {}};
  created.salt[0] = n;
  if (log.size() == 0) REQUIRE(log.append(created, audit::Time{}).ok());
  return log.image();
}

People training(const PatientBook& book, const std::vector<std::string>& ids) {
  People out;
  for (const auto& id : ids) out.training.insert(book.mark_of_patient(id));
  return out;
}
People held_out(const PatientBook& book, const std::vector<std::string>& ids) {
  People out;
  for (const auto& id : ids) out.held_out.insert(book.mark_of_patient(id));
  return out;
}

bool says(const Result<void>& result, const std::string& words) {
  return !result.ok() && result.error().message.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a patient has one budget for good: the same people under another budget's name are refused", "[book]") {
  const Folder folder;
  const auto book = folder.book();
  REQUIRE(folder.open().claim("patients", training(book, {"P1", "P2", "P3"})).ok());
  REQUIRE(folder.open().claim("patients", training(book, {"P2", "P9"})).ok());  // a new file with old and new people
  const auto before = folder.open().image().tree.size();
  const auto renamed = folder.open().claim("patients-v2", training(book, {"P9", "Q1"}));
  CHECK(says(renamed, "1 of these patients belong to the budget 'patients'"));
  CHECK_FALSE(says(renamed, "P9"));
  CHECK(folder.open().image().tree.size() == before);  // nothing was written by the refusal
  CHECK(folder.open().claim("staff", training(book, {"Q1", "Q2"})).ok());
  CHECK_FALSE(folder.open().claim("patients", training(book, {"Q1"})).ok());
  CHECK(read_text_file(folder.file("log"))->find("P9") == std::string::npos);
  CHECK((fs::status(folder.path).permissions() & fs::perms::others_all) == fs::perms::none);
}

TEST_CASE("who trained is never held out, and who was held out never trains", "[book]") {
  const Folder folder;
  const auto book = folder.book();
  People both = training(book, {"P1", "P2"});
  both.held_out = held_out(book, {"H1"}).held_out;
  REQUIRE(folder.open().claim("patients", both).ok());
  CHECK(folder.open().claim("patients", both).ok());  // the same again
  CHECK(says(folder.open().claim("patients", held_out(book, {"P2", "H2"})), "1 of the patients whom holdout_fraction"));
  CHECK(says(folder.open().claim("patients", training(book, {"P3", "H1"})),
             "1 of the patients who would train were held out"));
  CHECK(folder.open().claim("patients", training(book, {"P3"})).ok());
  CHECK(folder.open().claim("patients", held_out(book, {"H2"})).ok());
}

TEST_CASE("text outside the guarantee is held against who trains, by the patient and by what is said", "[book]") {
  const Folder folder;
  const auto book = folder.book();
  People people = training(book, {"P1", "P2"});
  people.records.insert(book.mark_of_record(as_bytes("fever")));
  REQUIRE(folder.open().claim("patients", people).ok());
  const auto outside = [&](const std::vector<std::pair<std::string, std::string>>& records) {
    Outside out;
    for (const auto& [patient, text] : records) {
      out.patient_of.push_back(book.mark_of_patient(patient));
      out.records.push_back(book.mark_of_record(as_bytes(text)));
    }
    return out;
  };
  const auto both = outside({{"P1", "cough"}, {"X", "fever"}, {"X", "cold"}, {"Y", "cold"}});
  CHECK(folder.open().protected_in(both) == std::pair<std::size_t, std::size_t>(2, 2));
  const auto free = outside({{"X", "cold"}, {"Y", "cold"}});
  CHECK(folder.open().protected_in(free).first == 0);
  REQUIRE(folder.open().claim_outside(free).ok());
  CHECK(says(folder.open().claim("patients", training(book, {"Y"})), "stand in validation, watched or public text"));
  CHECK(folder.open().training_among({book.mark_of_patient("P1"), book.mark_of_patient("Y")}) == 1);
}

TEST_CASE("a book without its key recognises nobody, and says so", "[book]") {
  const Folder folder;
  const auto book = folder.book();
  REQUIRE(folder.open().claim("patients", training(book, {"P1"})).ok());
  fs::remove(folder.path / "patients.key");
  const auto opened = PatientBook::open(folder.path.string());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().message.find("lacks its patients.key") != std::string::npos);
}

TEST_CASE("what another folder of the site spent counts here, by budget, and stays when that folder is gone", "[book]") {
  const Folder folder;
  const auto book = folder.book();
  const auto one = image(1, folder), two = image(2, folder), three = image(3, folder);
  REQUIRE(folder.open().write_spent("patients", one, spent({event(1.0, 4)})).ok());
  REQUIRE(folder.open().write_spent("patients", two, spent({event(0.7, 2), event(0.7, 1)})).ok());
  REQUIRE(folder.open().write_spent("staff", one, spent({event(0.5, 9)})).ok());
  CHECK(folder.open().elsewhere("patients", one.id()).events == std::vector{event(0.7, 3)});
  CHECK(folder.open().elsewhere("patients", two.id()).events == std::vector{event(1.0, 4)});
  CHECK(folder.open().elsewhere("patients", three.id()).events.size() == 2);
  CHECK(folder.open().elsewhere("nobody", one.id()).events.empty());
  REQUIRE(folder.open().write_spent("patients", two, spent({})).ok());  // a run without privacy
  CHECK(folder.open().elsewhere("patients", one.id()).without_privacy);
}

TEST_CASE("what a log has spent never falls, whatever it says later", "[book]") {
  const Folder folder;
  const auto book = folder.book();
  const auto one = image(1, folder);
  REQUIRE(folder.open().write_spent("patients", one, spent({event(1.0, 20)})).ok());
  REQUIRE(folder.open().write_spent("patients", one, spent({event(1.0, 3)})).ok());
  CHECK(folder.open().spent_by("patients", one.id()).events == std::vector{event(1.0, 20)});
  REQUIRE(folder.open().write_spent("patients", one, spent({event(0.7, 2), event(1.0, 21)})).ok());
  CHECK(folder.open().spent_by("patients", one.id()).events == std::vector{event(0.7, 2), event(1.0, 21)});
}

TEST_CASE("what was spent is compared by counts, and a selection's choices stay together", "[book]") {
  const auto both = joined(spent({event(1.0, 4), event(0.7, 1)}), spent({event(0.7, 3)}));
  CHECK(both.events == std::vector{event(0.7, 3), event(1.0, 4)});
  CHECK(both.own_share == both.events);
  CHECK(beyond(both, spent({event(1.0, 1), event(0.7, 3)})).events == std::vector{event(1.0, 3)});
  CHECK(is_nothing(beyond(spent({event(1.0, 4)}), spent({event(1.0, 4)}))));
  CHECK(beyond(spent({}), spent({event(1.0, 4)})).without_privacy);
  CHECK_FALSE(beyond(spent({}), spent({})).without_privacy);
  const auto choice = [](double sigma) {
    auto out = event(sigma, 4);
    out.trials = {privacy::TrialsKind::kGeometric, 2, 2};
    return out;
  };
  const auto one = spent({choice(1.0), choice(0.7)}), other = spent({choice(1.0), choice(0.5)});
  CHECK(joined(one, other).events == std::vector{choice(1.0), choice(0.5), choice(1.0), choice(0.7)});
  CHECK(joined(one, one).events == one.events);
  audit::Spent twice = one;
  twice.add(one);
  CHECK(beyond(twice, one).events == one.events);
}

TEST_CASE("a file of the book that was removed, exchanged, cut or put back from an older copy shows", "[book]") {
  const Folder folder, other;
  const auto book = folder.book();
  const auto one = image(1, folder);
  REQUIRE(folder.open().write_spent("patients", one, spent({event(1.0, 4)})).ok());
  const fs::path kept = folder.path.string() + ".kept";
  fs::remove_all(kept);
  fs::copy(folder.path, kept, fs::copy_options::recursive);
  REQUIRE(folder.open().write_spent("patients", one, spent({event(1.0, 9)})).ok());
  const fs::path now = folder.path.string() + ".now";
  fs::remove_all(now);
  fs::copy(folder.path, now, fs::copy_options::recursive);

  const auto refuses = [&](const std::string& words) {
    const auto opened = PatientBook::open(folder.path.string());
    INFO((opened.ok() ? std::string("it opened") : opened.error().message));
    CHECK((!opened.ok() && opened.error().message.find(words) != std::string::npos));
    fs::remove_all(folder.path);
    fs::copy(now, folder.path, fs::copy_options::recursive);
    CHECK(PatientBook::open(folder.path.string()).ok());
  };
  fs::copy_file(kept / "log", folder.path / "log", fs::copy_options::overwrite_existing);
  refuses("head.json tells of 3 entries, and its log has 2");
  fs::remove(folder.path / "log");
  refuses("its log is gone or empty");
  fs::remove(folder.path / "log");
  fs::remove(folder.path / "head.json");
  refuses("its log is gone or empty");
  fs::remove(folder.path / "head.json");
  refuses("its head.json is gone");
  fs::resize_file(folder.path / "log", fs::file_size(folder.path / "log") - 40);
  refuses("head.json tells of 3 entries, and its log has 2");
  fs::resize_file(folder.path / "log", 0);
  refuses("its log is gone or empty");
  const std::string key = read_text_file(folder.file("patients.key")).value();
  REQUIRE(
      write_file_atomically(folder.file("patients.key"), std::string(key.rbegin(), key.rend()), FileMode::kPrivate).ok());
  refuses("patients.key is not the key that it was begun with");
  auto log = read_binary_file(folder.file("log")).value();
  log[log.size() / 2] ^= 1;
  REQUIRE(write_file_atomically(folder.file("log"), log, FileMode::kPrivate).ok());
  refuses("is bad");
  // An older head beside a newer log is what a kill leaves: the log's entries count.
  fs::copy_file(kept / "head.json", folder.path / "head.json", fs::copy_options::overwrite_existing);
  CHECK(folder.open().spent_by("patients", one.id()).events == std::vector{event(1.0, 9)});
  fs::remove_all(kept);
  fs::remove_all(now);
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
