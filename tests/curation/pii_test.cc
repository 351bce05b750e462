#include "curation/pii.h"

#include <sstream>

#include "base/files.h"
#include "curation/minimisation.h"
#include "curation/surrogate_dates.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::curation {
namespace {

const PiiFinder& finder() {
  static const PiiFinder kFinder = PiiFinder::make({}).value();
  return kFinder;
}

std::string found(const std::string& text) {
  std::string out;
  for (const auto& span : finder().find(text))
    out += std::string(name_of(span.kind)) + "=" + text.substr(span.begin, span.end - span.begin) + ";";
  return out;
}

Minimiser minimiser(std::uint64_t seed = 1) {
  FixedRandom random(seed);
  return Minimiser(PiiFinder::make({}).value(), MinimiserKey::random(random));
}

std::string replaced(const std::string& text, const std::string& patient, std::uint64_t seed = 1) {
  std::vector<Replacement> ignored;
  return minimiser(seed).text(text, patient, ignored);
}

}  // namespace

TEST_CASE("check digits are those of the standards' own examples", "[pii]") {
  CHECK(luhn_valid("4111 1111 1111 1111"));
  CHECK(luhn_valid("5500-0000-0000-0004"));
  CHECK_FALSE(luhn_valid("4111 1111 1111 1112"));
  CHECK(iban_valid("GB82 WEST 1234 5698 7654 32"));
  CHECK(iban_valid("DE89370400440532013000"));
  CHECK_FALSE(iban_valid("DE88370400440532013000"));
  CHECK(nhs_valid("943 476 5919"));
  CHECK_FALSE(nhs_valid("943 476 5918"));
}

TEST_CASE("each kind is found where it stands", "[pii]") {
  CHECK(found("Write to jane.doe+x@mail.example.org, please.") == "email=jane.doe+x@mail.example.org;");
  CHECK(found("Call (555) 123-4567 or +44 20 7946 0958.") == "phone=(555) 123-4567;phone=+44 20 7946 0958;");
  CHECK(found("On +1-449-254-9026x73043 or 001-947-903-1602x85272.") ==
        "phone=+1-449-254-9026x73043;phone=001-947-903-1602x85272;");
  CHECK(found("Seen 2021-03-04, again 3/5/2021 and on March 7, 2021.") ==
        "date=2021-03-04;date=3/5/2021;date=March 7, 2021;");
  CHECK(found("MRN: 00123456, stable") == "record_number=00123456;");
  CHECK(found("SSN 123-45-6789") == "ssn=123-45-6789;");
  CHECK(found("card 4111 1111 1111 1111.") == "card=4111 1111 1111 1111;");
  CHECK(found("NHS 943 476 5919") == "nhs_number=943 476 5919;");
  CHECK(found("pay DE89 3704 0044 0532 0130 00 now") == "iban=DE89 3704 0044 0532 0130 00;");
  CHECK(found("from 192.168.1.17 at https://x.org/a?b=1.") == "ip_address=192.168.1.17;url=https://x.org/a?b=1;");
  CHECK(found("lives at 12 Old Mill Road, Springfield, IL 62704 since") ==
        "address=12 Old Mill Road, Springfield, IL 62704;");
  CHECK(found("John Smith saw Dr. Patel; Mrs. O'Neil's son Peter Müller came.") ==
        "name=John Smith;name=Patel;name=O'Neil;name=Peter Müller;");
}

TEST_CASE("what only looks like it is left alone", "[pii]") {
  for (const std::string text : {"E11.9 and S52.92XA", "blood pressure 120/80, pulse 72", "version 1.2.3.4444",
                                 "take 2-3 tablets at 10:45", "May cause drowsiness", "Grace period", "ICD-10-CM 2026",
                                 "ratio 3/5", "4111 1111 1111 1112", "300.400.500.600", "Parkinson disease"}) {
    CAPTURE(text, found(text));
    CHECK(finder().find(text).empty());
  }
  PiiConfig keep;
  keep.keep = {"John Hopkins"};
  CHECK(PiiFinder::make(keep).value().find("at John Hopkins").empty());
  PiiConfig only;
  only.kinds = {PiiKind::kDate};
  CHECK(PiiFinder::make(only).value().find("John Smith, 2021-03-04").size() == 1);
}

TEST_CASE("dates move by days and keep their spelling", "[pii]") {
  CHECK(moved_date("2021-03-01", -1) == "2021-02-28");
  CHECK(moved_date("3/1/2021", -1) == "2/28/2021");
  CHECK(moved_date("03/01/2021", -1) == "02/28/2021");
  CHECK(moved_date("31.12.2020", 1) == "01.01.2021");
  CHECK(moved_date("25/12/20", 10) == "04/01/21");
  CHECK(moved_date("March 1, 2021", -1) == "February 28, 2021");
  CHECK(moved_date("1 Mar 2021", -1) == "28 Feb 2021");
  CHECK(moved_date("Feb. 28, 2020", 1) == "Feb. 29, 2020");
  CHECK_FALSE(moved_date("2021-02-30", 1));
  CHECK_FALSE(moved_date("March 2021", 1));
}

TEST_CASE("surrogates are the same within a patient, others for another, and keep their form", "[minimiser]") {
  const std::string text =
      "John Smith, MRN: 12345678, card 4111 1111 1111 1111, seen 2021-03-04 and 2021-03-14. Mr. Smith called (555) "
      "123-4567.";
  std::vector<Replacement> list;
  const std::string out = minimiser().text(text, "p1", list);
  REQUIRE(list.size() == 7);
  CHECK(out == replaced(text, "p1"));
  CHECK(out != replaced(text, "p2"));
  CHECK(out != replaced(text, "p1", 2));
  for (const auto& one : list) {
    CAPTURE(one.original, one.surrogate);
    CHECK(one.original != one.surrogate);
    CHECK(out.find(one.surrogate) != std::string::npos);
    CHECK(out.find(one.original) == std::string::npos);
  }
  const std::string name = list[0].surrogate;
  CHECK(list[5].surrogate == name.substr(name.find(' ') + 1));  // "Mr. Smith" is the same Smith
  CHECK(luhn_valid(list[2].surrogate));
  CHECK(moved_date(list[3].surrogate, 10) == list[4].surrogate);  // the interval stays
  std::vector<Replacement> again;
  CHECK(minimiser().text("nothing here", "p", again) == "nothing here");
  CHECK(again.empty());
}

TEST_CASE("a patient's records come out alike whoever else is in the file; all else in them stays", "[minimiser]") {
  const TemporaryFolder folder;
  const auto line = [](const std::string& patient, const std::string& question) {
    return Json::object({{"id", "John Smith"},
                         {"patient_id", patient},
                         {"instruction", question},
                         {"output", "Yes, John Smith."},
                         {"n", 3}})
               .dump() +
           "\n";
  };
  const std::string own = line("p", "Is John Smith well?\nBorn 1980-01-02.");
  write_file_atomically(folder.file("alone"), own).value();
  write_file_atomically(folder.file("company"), line("q", "Is John Smith ill?") + own).value();
  const auto alone = minimise_files(minimiser(), {folder.file("alone")}, {}, folder.file("a")).value();
  CHECK(alone.records == 1);
  CHECK(alone.counts[static_cast<std::size_t>(PiiKind::kName)] == 2);
  CHECK(alone.counts[static_cast<std::size_t>(PiiKind::kDate)] == 1);
  minimise_files(minimiser(), {folder.file("company")}, {}, folder.file("c")).value();
  const std::string text = read_text_file(folder.file("a")).value();
  CHECK(read_text_file(folder.file("c")).value().ends_with(text));
  const Json record = Json::parse(text, "a").value();
  CHECK(record.at("n").as_int() == 3);
  CHECK(record.at("id").as_string() == "John Smith");  // ids are the site's own and no model sees them
  std::ostringstream diff;
  preview_files(minimiser(), {folder.file("alone")}, {}, diff).value();
  CHECK(diff.str().find("- Is John Smith well?\n+ Is ") != std::string::npos);
  CHECK(diff.str().starts_with("@@ " + folder.file("alone") + ":1\n"));
  write_file_atomically(folder.file("broken"), own + "{}\n").value();
  const auto broken = minimise_files(minimiser(), {folder.file("broken")}, {}, folder.file("b"));
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().message.find("broken:2") != std::string::npos);
  CHECK_FALSE(file_exists(folder.file("b")));
}

TEST_CASE("the commented configuration for personal data is read", "[pii]") {
  CHECK(read_pii_config(SOTTO_SOURCE "/configs/pii.toml").value().keep.size() == 2);
  const TemporaryFolder folder;
  write_file_atomically(folder.file("p"), std::string_view("kinds = [\"shoe\"]\n")).value();
  CHECK(read_pii_config(folder.file("p")).error().message.find("'shoe' is no kind") != std::string::npos);
}

}  // namespace sotto::curation
