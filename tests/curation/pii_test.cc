#include "curation/pii/pii.h"

#include <sstream>

#include "base/files.h"
#include "curation/pii/minimisation.h"
#include "curation/pii/surrogate_dates.h"
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
  return minimiser(seed).text(text, patient, ignored).value();
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

TEST_CASE("every spelling of the vectors goes, and every line of clinical text stays", "[pii]") {
  const auto lines = [](const std::string& name) {
    std::vector<Json> out;
    std::istringstream in(read_text_file(SOTTO_VECTORS "/pii/" + name).value());
    for (std::string one; std::getline(in, one);) out.push_back(Json::parse(one, name).value());
    return out;
  };
  const auto go = lines("go.jsonl"), stay = lines("stay.jsonl");
  CHECK(stay.size() >= go.size());
  for (const auto& json : go) {
    const std::string text = json.at("text").as_string(), gone = json.at("gone").as_string();
    CAPTURE(text, found(text));
    CHECK(replaced(text, "p").find(gone) == std::string::npos);
  }
  for (const auto& json : stay) {
    const std::string text = json.at("text").as_string();
    CAPTURE(text, found(text));
    CHECK(replaced(text, "p") == text);
  }
}

TEST_CASE("names keep their order, capitals and what stands between", "[pii]") {
  const auto parts = [](const std::string& text) { return replaced(text, "p"); };
  const std::string name = parts("John Miller"), given = name.substr(0, name.find(' ')),
                    surname = name.substr(given.size() + 1);
  CHECK(parts("Miller, John") == surname + ", " + given);
  CHECK(parts("John\nMiller") == given + "\n" + surname);
  CHECK(folded_name(parts("JOHN MILLER")) == folded_name(name));
  CHECK(parts("JOHN MILLER") == [&] {
    std::string capitals = name;
    for (char& c : capitals) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    return capitals;
  }());
}

TEST_CASE("identifiers in any field of a record go, and the fields left alone are named", "[minimiser]") {
  const TemporaryFolder folder;
  auto own = minimiser();
  const auto done = minimise_files(own, {SOTTO_VECTORS "/cases/other-fields.jsonl"}, {}, folder.file("out")).value();
  const std::string text = read_text_file(folder.file("out")).value();
  CAPTURE(text);
  for (const char* gone : {"John", "Miller", "617", "555-0148"}) CHECK(text.find(gone) == std::string::npos);
  CHECK(Json::parse(text, "out")->at("patient_id").as_string() == "P1");
  CHECK(done.kept == std::set<std::string>{"patient_id"});
  for (const auto& line :
       {R"({"patient_id":"P","instruction":"q","output":"a","contact":{"John Miller":{"tel":["617-555-0148"]}}})"}) {
    write_file_atomically(folder.file("deep"), std::string_view(line)).value();
    REQUIRE(minimise_files(own, {folder.file("deep")}, {}, folder.file("deep.out")).ok());
    CHECK(read_text_file(folder.file("deep.out"))->find("Miller") == std::string::npos);
    CHECK(read_text_file(folder.file("deep.out"))->find("0148") == std::string::npos);
  }
}

TEST_CASE("a detector of the site's own is asked beside the built-in patterns", "[minimiser]") {
  const TemporaryFolder folder;
  const auto program = folder.file("detector.py");
  write_file_atomically(program, std::string_view(R"(import json, sys
for line in sys.stdin:
    text = json.loads(line)["text"]
    spans = []
    for word, kind in (("Zebulon", "PERSON"), ("ward 7\u00fc", "WARD"), ("John Miller Zebulon", "name")):
        at = text.find(word)
        if at >= 0: spans.append({"start": at, "end": at + len(word), "entity_type": kind})
    print(json.dumps({"spans": spans}), flush=True)
)"))
      .value();
  auto own = minimiser();
  own.add(OutsideDetector::start({"python3", program}).value());
  std::vector<Replacement> list;
  const auto out = own.text("\xc3\xbc Zebulon is on ward 7\xc3\xbc.", "p", list).value();
  CAPTURE(out);
  CHECK(out.find("Zebulon") == std::string::npos);
  CHECK(out.find("on [removed].") != std::string::npos);
  const auto more = own.text("John Miller Zebulon, 617-555-0148", "p", list).value();
  for (const char* gone : {"John", "Zebulon", "0148"}) CHECK(more.find(gone) == std::string::npos);
  const std::string longer(300'000, 'x');
  CHECK(own.text(longer, "p", list).value() == longer);  // more than the pipes hold
}

TEST_CASE("a detector that cannot be started, ends or answers something else is named", "[minimiser]") {
  CHECK(OutsideDetector::start({"no-such-detector"}).error().message.find("'no-such-detector' cannot be started") !=
        std::string::npos);
  std::vector<Replacement> list;
  const auto refusal = [&](const std::vector<std::string>& command) {
    auto own = minimiser();
    own.add(OutsideDetector::start(command).value());
    const auto done = own.text("some text", "p", list);
    REQUIRE_FALSE(done.ok());
    return done.error().message;
  };
  CHECK(refusal({"true"}).find("'true' ended") != std::string::npos);
  CHECK(refusal({"sh", "-c", "read x; echo hello; cat >/dev/null"}).find("answered hello") != std::string::npos);
  CHECK(refusal({"sh", "-c", "read x; echo '{\"spans\":[{\"start\":3,\"end\":99}]}'; cat >/dev/null"})
            .find("of a text of 9 characters") != std::string::npos);
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
  CHECK(moved_date("March 2021", 30) == "April 2021");
  CHECK(moved_date("2021-03-01T10:30:00Z", -1) == "2021-02-28T10:30:00Z");
  CHECK(moved_date("2021/03/01 10:30", -1) == "2021/02/28 10:30");
  CHECK(moved_date("20210301", -1) == "20210228");
  CHECK(moved_date("20210301T1030", -1) == "20210228T1030");
  CHECK(moved_date("1-Mar-2021", -1) == "28-Feb-2021");
  CHECK(moved_date("1-MAR-2021", -1) == "28-FEB-2021");
  CHECK(moved_date("1 march 2021", -1) == "28 february 2021");
  CHECK(moved_date("5 January", 30) == "4 February");
  CHECK(moved_date("the 5th of January", 30) == "the 4th of February");
  CHECK_FALSE(moved_date("20211301", 1));
  CHECK_FALSE(moved_date("5 apples", 1));
}

TEST_CASE("surrogates are the same within a patient, others for another, and keep their form", "[minimiser]") {
  const std::string text =
      "John Smith, MRN: 12345678, card 4111 1111 1111 1111, seen 2021-03-04 and 2021-03-14. Mr. Smith called (555) "
      "123-4567.";
  std::vector<Replacement> list;
  const std::string out = minimiser().text(text, "p1", list).value();
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
  CHECK(minimiser().text("nothing here", "p", again).value() == "nothing here");
  CHECK(again.empty());
}

TEST_CASE("a patient's records come out alike whoever else is in the file; numbers stay and are named", "[minimiser]") {
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
  auto own_minimiser = minimiser();
  const auto alone = minimise_files(own_minimiser, {folder.file("alone")}, {}, folder.file("a")).value();
  CHECK(alone.records == 1);
  CHECK(alone.counts[static_cast<std::size_t>(PiiKind::kName)] == 3);
  CHECK(alone.counts[static_cast<std::size_t>(PiiKind::kDate)] == 1);
  minimise_files(own_minimiser, {folder.file("company")}, {}, folder.file("c")).value();
  const std::string text = read_text_file(folder.file("a")).value();
  CHECK(read_text_file(folder.file("c")).value().ends_with(text));
  const Json record = Json::parse(text, "a").value();
  CHECK(record.at("n").as_int() == 3);
  CHECK(record.at("id").as_string().starts_with("id-"));
  CHECK(alone.kept == std::set<std::string>{"n", "patient_id"});
  std::ostringstream diff;
  preview_files(own_minimiser, {folder.file("alone")}, {}, diff).value();
  CHECK(diff.str().find("- Is John Smith well?\n+ Is ") != std::string::npos);
  CHECK(diff.str().starts_with("@@ " + folder.file("alone") + ":1\n"));
  write_file_atomically(folder.file("broken"), own + "{}\n").value();
  const auto broken = minimise_files(own_minimiser, {folder.file("broken")}, {}, folder.file("b"));
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
