#include "data/records/record.h"

#include "tests/support/catch.h"

namespace sotto::data {
namespace {

bool refused_with(const std::string& line, const std::string& word) {
  const auto record = parse_record(line, "site.jsonl:7");
  const std::string message = record.ok() ? "" : record.error().message;
  CAPTURE(line, message);
  CHECK(message.find("site.jsonl:7") != std::string::npos);
  CHECK(message.find(word) != std::string::npos);
  return !message.empty();
}

}  // namespace

TEST_CASE("an instruction becomes the messages of a chat", "[record]") {
  const auto record =
      parse_record(
          R"({"id":"r1","site":2,"patient_id":"P1","encounter":3,"task":"code","chapter":10,"copy":true,"instruction":"Code this.","input":"Asthma","output":"J45"})",
          "x", {.system_prompt = "Be brief."})
          .value();
  CHECK(record.messages ==
        std::vector<ChatMessage>{{"system", "Be brief."}, {"user", "Code this.\nAsthma"}, {"assistant", "J45"}});
  CHECK(record.id == "r1");
  CHECK(record.site == "2");
  CHECK(record.patient_id == "P1");
  CHECK(record.encounter == 3);
  CHECK(record.task == "code");
  CHECK(record.chapter == "10");
  CHECK(record.copy);
}

TEST_CASE("without input or system prompt neither leaves a trace", "[record]") {
  for (const char* line : {R"({"patient_id":"P","instruction":"I","output":"O"})",
                           R"({"patient_id":"P","instruction":"I","input":"","output":"O"})"})
    CHECK(parse_record(line, "x").value().messages == std::vector<ChatMessage>{{"user", "I"}, {"assistant", "O"}});
}

TEST_CASE("a chat keeps its own messages", "[record]") {
  const auto record =
      parse_record(
          R"({"patient_id":41,"messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]})",
          "x", {.system_prompt = "not used"})
          .value();
  CHECK(record.patient_id == "41");
  CHECK(record.messages == std::vector<ChatMessage>{{"system", "S"}, {"user", "Q"}, {"assistant", "A"}});
}

TEST_CASE("a record that cannot be used is refused by file, line, field and value", "[record]") {
  CHECK(refused_with("nonsense", "not valid JSON"));
  CHECK(refused_with("[1]", "no JSON object"));
  CHECK(refused_with(R"({"instruction":"I","output":"O"})", "'patient_id' is missing"));
  CHECK(refused_with(R"({"patient_id":"","instruction":"I","output":"O"})", "'patient_id'"));
  CHECK(refused_with(R"({"patient_id":[1],"instruction":"I","output":"O"})", "'patient_id' is [1]"));
  CHECK(refused_with(R"({"patient_id":"P"})", "neither"));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"I","output":"O","messages":[]})", "both"));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"I"})", "'output' is missing"));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"I","output":""})", "'output' is \"\""));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"","output":"O"})", "'instruction'"));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"I","input":3,"output":"O"})", "'input' is 3"));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"I","output":"O","encounter":"x"})", "'encounter' is \"x\""));
  CHECK(refused_with(R"({"patient_id":"P","instruction":"I","output":"O","copy":1})", "'copy' is 1"));
  CHECK(refused_with(R"({"patient_id":"P","messages":7})", "'messages' is 7"));
  CHECK(refused_with(R"({"patient_id":"P","messages":[]})", "'messages'"));
  CHECK(refused_with(R"({"patient_id":"P","messages":[{"role":"user","content":"Q"}]})", "'messages'"));
  CHECK(refused_with(R"({"patient_id":"P","messages":[{"role":"assistant","content":"A"}]})", "user"));
  CHECK(
      refused_with(R"({"patient_id":"P","messages":[{"role":"robot","content":"Q"}]})", "'messages[0].role' is \"robot\""));
  CHECK(refused_with(R"({"patient_id":"P","messages":[{"role":"user","content":"Q"},{"role":"system","content":"S"}]})",
                     "messages[1].role"));
  CHECK(refused_with(R"({"patient_id":"P","messages":[{"role":"user"}]})", "'messages[0].content' is missing"));
  CHECK(refused_with(R"({"patient_id":")" + std::string(300, 'p') + R"(","instruction":"I","output":"O"})", "256"));
}

TEST_CASE("lines are numbered from one, empty ones skipped", "[record]") {
  const std::string good = R"({"patient_id":"P","instruction":"I","output":"O"})";
  CHECK(parse_records("\xef\xbb\xbf" + good + "\r\n\n  \n" + good, "f").value().size() == 2);
  const auto bad = parse_records(good + "\n\n" + good + "\nbroken\n", "f");
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().message.find("f:4:") == 0);
  CHECK(parse_records("", "f").value().empty());
}

TEST_CASE("a whole file is read, a missing one refused", "[record]") {
  const auto records = read_records(SOTTO_VECTORS "/fixture/records.jsonl").value();
  CHECK(records.size() == 240);
  CHECK(records[0].id == "f0");
  const auto missing = read_records(SOTTO_VECTORS "/fixture/none.jsonl");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::kNotFound);
}

}  // namespace sotto::data
