#include "curation/record_checks.h"

#include <cmath>

#include "base/files.h"
#include "curation/diversity.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::curation {
namespace {

data::Record record(const std::string& question, const std::string& answer) {
  data::Record out;
  out.patient_id = "p";
  out.messages = {{"user", question}, {"assistant", answer}};
  return out;
}

Notes notes(const std::string& question, const std::string& answer, const CheckConfig& config = {}) {
  return check_record(record(question, answer), 0, config);
}

}  // namespace

TEST_CASE("damaged encodings are told from honest text", "[record_checks]") {
  CHECK(notes("a",
              "temperature 39 \xef\xbf\xbd"
              "C")
            .has(Flaw::kReplacementCharacters));
  CHECK(notes("a",
              "Fr\xc3\x83\xc2\xbc"
              "hst\xc3\x83\xc2\xbc"
              "ck")
            .has(Flaw::kMojibake));                                                        // "Frühstück" as Latin-1
  CHECK(notes("a", "the patient\xc3\xa2\xe2\x82\xac\xe2\x84\xa2s").has(Flaw::kMojibake));  // an apostrophe as Windows-1252
  CHECK(notes("a",
              "39 \xc3\x82\xc2\xb0"
              "C")
            .has(Flaw::kMojibake));
  CHECK(notes("a", std::string("x\x01y")).has(Flaw::kControlCharacters));
  CHECK(notes("a", "fever &amp; cough<br/>").has(Flaw::kMarkup));
  for (const std::string honest : {"Frühstück, 39 °C, Ångström, naïve, CORAÇÃO, São Paulo", "a < b and b > c",
                                   "line\n\tindented\r\n", "Привет, 今日は", "€ 5 – “quoted”"}) {
    CAPTURE(honest);
    CHECK(text_flaws(honest) == 0);
  }
}

TEST_CASE("empty, echoed, repeated and unfinished answers are found", "[record_checks]") {
  CHECK(notes("a question", " \n").has(Flaw::kEmptyAnswer));
  CHECK(notes("a question", " \n").score == 0);
  CHECK(notes("the same", "the same ").has(Flaw::kEcho));
  CHECK(notes("a", "Take one tablet. Take one tablet. Take one tablet. Take one tablet.").has(Flaw::kRepetition));
  CHECK_FALSE(notes("a", "Take one tablet. Drink water. Rest well today. Call us tomorrow.").has(Flaw::kRepetition));
  CHECK(notes("a", "Dear [insert name], see below").has(Flaw::kPlaceholder));
  CHECK(notes("code?", "E11.9").flaws == 0);
  CHECK(notes("code?", "E11.9").score == 1);
}

TEST_CASE("a language that is not declared is named when there is enough text to tell", "[record_checks]") {
  CheckConfig config;
  config.languages = {"en"};
  const std::string german =
      "Der Patient klagt seit drei Tagen über Fieber und Husten, die Lunge ist frei, und wir geben ihm heute ein "
      "Medikament.";
  CHECK(language_of(german) == "de");
  CHECK(notes(german, "Bitte morgen wiederkommen.", config).has(Flaw::kOtherLanguage));
  CHECK_FALSE(notes("The patient has had a fever and a cough for three days, and the lungs are clear.",
                    "Please come back tomorrow.", config)
                  .has(Flaw::kOtherLanguage));
  CHECK_FALSE(notes("J18.9", "?", config).has(Flaw::kOtherLanguage));
}

TEST_CASE("a high-stakes question wants a word of caution", "[record_checks]") {
  CheckConfig config;
  config.stakes = Phrases::make({"dose", "chest pain"}).value();
  config.caution = Phrases::make({"ask a doctor", "re:(?i:emergency (?:room|number))"}).value();
  CHECK(notes("Which dose of warfarin?", "5 mg.", config).has(Flaw::kNoCaution));
  CHECK_FALSE(notes("Which DOSE of warfarin?", "5 mg is usual, but Ask a Doctor.", config).has(Flaw::kNoCaution));
  CHECK_FALSE(notes("I have chest pain.", "Call the Emergency Number now.", config).has(Flaw::kNoCaution));
  CHECK_FALSE(notes("Is it overdosed?", "No.", config).has(Flaw::kNoCaution));  // "dose" inside a word
}

TEST_CASE("the effective number of values is that of equally common ones", "[diversity]") {
  Diversity diversity;
  for (int i = 0; i < 8; ++i) {
    auto one = record("What is it?", "x");
    one.task = "task " + std::to_string(i % 4);
    diversity.add(one, "");
  }
  CHECK(diversity.json().at("task").at("effective").as_double() == Approx(4));
  CHECK(diversity.json().at("task").at("entropy_bits").as_double() == Approx(2));
  CHECK(diversity.json().at("style").at("effective").as_double() == Approx(1));
}

TEST_CASE("the divergence of two wordings is 0 for the same and 1 for nothing in common", "[diversity]") {
  QueryProfile a, b, c, d;
  a.add("fever and cough");
  b.add("Cough and FEVER");
  c.add("invoice tax");
  d.add("fever");
  d.add("invoice");
  CHECK(a.divergence(b) == Approx(0).margin(1e-12));
  CHECK(a.divergence(c) == Approx(1));
  QueryProfile e;
  e.add("fever");
  // P = {1/2, 1/2}, Q = {1, 0}: 1/2 (1/2 log2(2/3) + 1/2 log2 2) + 1/2 log2(4/3).
  CHECK(d.divergence(e) == Approx(0.5 * (0.5 * std::log2(0.5 / 0.75) + 0.5) + 0.5 * std::log2(1 / 0.75)));
  CHECK(a.median_words() == 3);
}

TEST_CASE("the commented configuration is read, and what is wrong in one is named", "[check_config]") {
  const auto config = read_check_config(SOTTO_SOURCE "/configs/check.toml");
  INFO((config.ok() ? std::string() : config.error().message));
  REQUIRE(config.ok());
  CHECK(config->topics.size() >= 2);
  CHECK_FALSE(config->stakes.empty());
  const TemporaryFolder folder;
  const auto path = folder.file("check.toml");
  write_file_atomically(path, std::string_view("[limits]\nleaks = 2\n")).value();
  CHECK(read_check_config(path).error().message.find("leaks") != std::string::npos);
  write_file_atomically(path, std::string_view("[caution]\nstakes = [\"re:^a\"]\n")).value();
  CHECK(read_check_config(path).error().message.find("stakes") != std::string::npos);
  write_file_atomically(path, std::string_view("[limit]\nleaks = 0\n")).value();
  CHECK_FALSE(read_check_config(path).ok());
}

}  // namespace sotto::curation
