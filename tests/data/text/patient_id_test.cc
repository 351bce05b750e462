// One patient, one id: spellings that differ in white space or normal form are one, in every reader.
#include "data/text/patient_id.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "data/files/distinct_files.h"
#include "data/records/data_set.h"
#include "data/records/hold_out.h"
#include "data/text/encoding.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::data {
namespace {

std::set<std::string> patients_in(const std::string& name) {
  std::set<std::string> out;
  for (const auto& record : read_records(SOTTO_VECTORS "/cases/" + name).value()) out.insert(record.patient_id);
  return out;
}

}  // namespace

TEST_CASE("an id is in normal form C and without white space at its ends", "[patient_id]") {
  CHECK(patient_id("P1").value() == "P1");
  for (const char* spelling : {" P1", "P1 ", "\tP1\r\n", "\xc2\xa0P1\xe2\x80\x89", "\xef\xbb\xbfP1", "P1\xe2\x80\x8b"})
    CHECK(patient_id(spelling).value() == "P1");
  CHECK(patient_id("U\xcc\x88").value() == "\xc3\x9c");
  CHECK(patient_id("a b").value() == "a b");  // within it, a space is part of it
  CHECK(patient_id("p1").value() == "p1");    // and so is the case
  for (const char* blank : {"", " ", "\t\n", "\xc2\xa0", "\xe2\x80\x8b"}) CHECK_FALSE(patient_id(blank).ok());
}

TEST_CASE("ids that a person would read as one are alike in their loose form", "[patient_id]") {
  const auto loose = loose_patient_id("P1");
  for (const char* spelling : {"p1", "\xef\xbc\xb0\xef\xbc\x91",
                               "P\xc2\xad"
                               "1"})
    CHECK(loose_patient_id(spelling) == loose);
  CHECK(loose_patient_id("A  7") == loose_patient_id("a\xc2\xa0"
                                                     "7"));
  CHECK(loose_patient_id("P1") != loose_patient_id("P2"));
}

TEST_CASE("spellings of one id in a file are one patient; case stays", "[patient_id]") {
  CHECK(patients_in("ag-id-spaces.jsonl") == std::set<std::string>{"P1", "p1"});
  CHECK(patients_in("af-unicode-ids.jsonl") == std::set<std::string>{"\xc3\x9c", "患者-Ü-1"});
}

TEST_CASE("a blank id and a key that occurs twice are refused with the line and the key", "[patient_id]") {
  const auto refusal = [](const std::string& name) { return read_records(SOTTO_VECTORS "/cases/" + name).error().message; };
  CHECK(refusal("ai-blank-id.jsonl").find("ai-blank-id.jsonl:1: field 'patient_id' is \"  \"") != std::string::npos);
  CHECK(refusal("r-duplicate-key.jsonl").find("r-duplicate-key.jsonl:1: the key 'input'") != std::string::npos);
  CHECK(refusal("s-duplicate-patient-key.jsonl").find(".jsonl:1: the key 'patient_id'") != std::string::npos);
}

TEST_CASE("a file counts once by whatever name", "[patient_id]") {
  const TemporaryFolder folder;
  const auto path = folder.file("a.jsonl");
  write_file_atomically(path, std::string_view("x")).value();
  std::filesystem::create_symlink(path, folder.file("link.jsonl"));
  std::filesystem::create_hard_link(path, folder.file("hard.jsonl"));
  const auto other = folder.file("b.jsonl");
  write_file_atomically(other, std::string_view("x")).value();
  const auto around = folder.file("") + "./a.jsonl";
  CHECK(distinct_files({path, around, folder.file("link.jsonl"), other, folder.file("hard.jsonl"), path, "none", "none"}) ==
        std::vector<std::string>{path, other, "none", "none"});
}

TEST_CASE("a line that is not UTF-8 is refused as such, and its encoding is guessed", "[patient_id]") {
  const std::string latin =
      "{\"patient_id\":\"1\",\"instruction\":\"Wie gro\xdf ist der Patient und welche Gr\xf6\xdf"
      "e hat der Tumor?\",\"output\":\"Die Gr\xf6\xdf"
      "e betr\xe4gt f\xfcnf Zentimeter.\"}";
  const auto record = parse_record(latin, "f:3");
  REQUIRE_FALSE(record.ok());
  CHECK(record.error().message.starts_with("f:3: not UTF-8"));
  const auto guess = encoding_of(latin);
  CHECK((guess == "ISO-8859-1" || guess == "windows-1252"));
  CHECK(encoding_of(std::string("\xff\xfe{\0\"\0a\0\"\0", 10)) == "UTF-16LE");
}

}  // namespace sotto::data
