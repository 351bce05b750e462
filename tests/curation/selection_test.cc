#include <algorithm>

#include "base/files.h"
#include "curation/record_selection.h"
#include "curation/splitting.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::curation {
namespace {

std::string line(const std::string& patient, const std::string& question, const std::string& answer) {
  return Json::object({{"patient_id", patient}, {"instruction", question}, {"output", answer}, {"extra", "kept as it is"}})
             .dump() +
         "\n";
}

struct Outcome {
  std::string kept;
  std::string reasons;
};

Outcome selected(const TemporaryFolder& folder, const std::string& text, const SelectionOptions& options = {}) {
  write_file_atomically(folder.file("raw"), text).value();
  const CheckConfig config;
  DataCheck check(config, {}, {});
  check.add_file(folder.file("raw"), Part::kTraining).value();
  select(check, options, folder.file("kept"), folder.file("reasons")).value();
  return {read_text_file(folder.file("kept")).value(), read_text_file(folder.file("reasons")).value()};
}

const std::string kQuestion = "Which code stands for a simple fracture of the left forearm of a child";

}  // namespace

TEST_CASE("kept lines are the lines themselves, and every other line says why it went", "[selection]") {
  const TemporaryFolder folder;
  const auto good = line("a", kQuestion, "S52.92XA");
  const auto out = selected(folder, good + "broken\n" + good + line("b", "x", "  ") + line("c", kQuestion, "S52.92XA"));
  CHECK(out.kept == good + line("c", kQuestion, "S52.92XA"));
  CHECK(std::ranges::count(out.reasons, '\n') == 3);
  CHECK(out.reasons.find("not valid JSON") != std::string::npos);
  CHECK(out.reasons.find("the same as " + folder.file("raw") + ":1, of the same patient") != std::string::npos);
  CHECK(out.reasons.find("empty answer") != std::string::npos);
  CHECK(selected(folder, good + good, {0.5, true}).kept == good + good);
}

TEST_CASE("a line with a key that occurs twice is not passed on", "[selection]") {
  const TemporaryFolder folder;
  const auto good = line("a", kQuestion, "S52.92XA");
  const auto out = selected(
      folder, good + R"({"patient_id":"P1","input":"first","input":"second","instruction":"q","output":"a"})" + "\n");
  CHECK(out.kept == good);
  CHECK(out.reasons.find("the key 'input' occurs twice") != std::string::npos);
}

TEST_CASE("all spellings of one patient's id stand on one side of a split", "[selection]") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i) {
    const std::string id = "Pati\xc3\xabnt " + std::to_string(i);
    text +=
        line(id, "q", "a") + line(" " + id + "\xc2\xa0", "q", "b") + line("Patie\xcc\x88nt " + std::to_string(i), "q", "c");
  }
  write_file_atomically(folder.file("raw"), text).value();
  FixedRandom random(3);
  const auto count = split_files({folder.file("raw"), folder.file("./raw")},
                                 data::HoldOut(data::HoldOutKey::random(random), 0.5), folder.file("out"), "")
                         .value();
  CHECK(count.training % 3 == 0);
  CHECK(count.validation % 3 == 0);
  CHECK(count.training + count.validation == 120);
  CHECK(count.validation > 0);
}

TEST_CASE("files without any record are an error, and leave nothing behind", "[selection]") {
  const TemporaryFolder folder;
  write_file_atomically(folder.file("raw"), "\n \n").value();
  const CheckConfig config;
  DataCheck check(config, {}, {});
  check.add_file(folder.file("raw"), Part::kTraining).value();
  CHECK_FALSE(check.report().at("ok").as_bool());
  CHECK(select(check, {}, folder.file("kept"), folder.file("reasons")).error().message.find("no record") !=
        std::string::npos);
  CHECK_FALSE(file_exists(folder.file("kept")));
  FixedRandom random(3);
  const auto split =
      split_files({folder.file("raw")}, data::HoldOut(data::HoldOutKey::random(random), 0.2), folder.file("parts"));
  CHECK(split.error().message.find("no record in '" + folder.file("raw")) != std::string::npos);
  CHECK_FALSE(file_exists(folder.file("parts") + "/train.jsonl"));
}

TEST_CASE("a repeat of a line that went is no repeat", "[selection]") {
  const TemporaryFolder folder;
  const auto bad = line("a", kQuestion + " or of an adult", "TODO TODO");
  const auto good = line("a", kQuestion + " or of an adult", "S52.92XA");
  CHECK(selected(folder, bad + good, {0.5, false}).kept == good);
}

TEST_CASE("what becomes of a patient's lines does not depend on other patients", "[selection]") {
  const TemporaryFolder folder;
  std::string own;
  for (int i = 0; i < 6; ++i) own += line("p", i % 2 == 0 ? kQuestion : kQuestion + " today", i == 5 ? "TODO" : "S52");
  std::string others;
  for (int i = 0; i < 6; ++i) others += line("q" + std::to_string(i), kQuestion, "S52");
  const auto alone = selected(folder, own).kept;
  const auto company = selected(folder, others + own).kept;
  REQUIRE_FALSE(alone.empty());
  CHECK(company.ends_with(alone));
  CHECK(company == others + alone);
}

TEST_CASE("a split keeps patients together and is the same under the same key", "[splitting]") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 200; ++i) text += line("p" + std::to_string(i % 50), "question " + std::to_string(i), "x");
  write_file_atomically(folder.file("all"), text).value();
  const auto key = [] {
    FixedRandom random(3);
    return data::HoldOutKey::random(random);
  };
  const auto counts = split_files({folder.file("all")}, data::HoldOut(key(), 0.3), folder.file("out")).value();
  CHECK(counts.training + counts.validation == 200);
  CHECK(counts.validation > 0);
  CHECK(counts.validation % 4 == 0);  // four records a patient
  const auto validation = read_text_file(folder.file("out") + "/val.jsonl").value();
  split_files({folder.file("all")}, data::HoldOut(key(), 0.3), folder.file("again")).value();
  CHECK(read_text_file(folder.file("again") + "/val.jsonl").value() == validation);
  write_file_atomically(folder.file("broken"), std::string_view("{}\n")).value();
  CHECK_FALSE(split_files({folder.file("broken")}, data::HoldOut(key(), 0.3), folder.file("none")).ok());
  CHECK_FALSE(file_exists(folder.file("none") + "/train.jsonl"));
}

}  // namespace sotto::curation
