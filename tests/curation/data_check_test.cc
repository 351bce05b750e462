#include "curation/data_check.h"

#include <filesystem>

#include "base/files.h"
#include "curation/check_page.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::curation {
namespace {

std::string line(const std::string& patient, const std::string& question, const std::string& answer) {
  return Json::object({{"patient_id", patient}, {"instruction", question}, {"output", answer}}).dump() + "\n";
}

std::string chat(const std::string& patient, const std::string& question, const std::string& answer) {
  const auto message = [](const char* role, const std::string& content) {
    return Json::object({{"role", role}, {"content", content}});
  };
  return Json::object(
             {{"patient_id", patient}, {"messages", Json::array({message("user", question), message("assistant", answer)})}})
             .dump() +
         "\n";
}

const Json& limit(const Json& report, const std::string& name) {
  for (const auto& one : report.at("limits").items())
    if (one.at("name").as_string() == name) return one;
  throw Failure("no limit " + name);
}

}  // namespace

TEST_CASE("a messy file is counted line by line, both formats mixed, and the worst come first", "[data_check]") {
  const TemporaryFolder folder;
  const auto path = folder.file("raw.jsonl");
  const std::string text = line("a", "Code for type 2 diabetes?", "E11.9") + chat("b", "Code for asthma?", "J45.909") +
                           "{\"patient_id\": \"c\"}\n" + "\n" + "not json\n" +
                           line("a", "Code for type 2 diabetes?", "E11.9") +
                           line("c", "Dose of aspirin?", "Take [insert dose] \xef\xbf\xbd");
  write_file_atomically(path, text).value();
  const CheckConfig config;
  DataCheck check(config, {}, [](const data::Record&) { return TokenCounts{10, 3}; });
  REQUIRE(check.add_file(path, Part::kTraining).ok());
  const Json report = check.report();
  CHECK(report.at("records").as_int() == 4);
  CHECK(report.at("patients").as_int() == 3);
  CHECK(report.at("broken").at("lines").as_int() == 2);
  CHECK(report.at("broken").at("first").at(0).as_string().starts_with(path + ":3"));
  CHECK(report.at("broken").at("first").at(1).as_string().starts_with(path + ":5"));
  CHECK(report.at("duplicates").at("within_patients").at("exact").as_int() == 1);
  CHECK(report.at("lengths").at("answer_tokens").at("median").as_int() == 3);
  CHECK(report.at("flaws").at("placeholder").as_int() == 1);
  CHECK(report.at("flaws").at("replacement characters").as_int() == 1);
  CHECK(report.at("worst").at(0).at("score").as_double() == 0);
  CHECK(report.at("worst").at(2).at("where").as_string() == path + ":7");
  CHECK_FALSE(report.at("ok").as_bool());  // broken lines
  CHECK_FALSE(limit(report, "broken").at("ok").as_bool());
  CHECK_FALSE(limit(report, "damaged").at("ok").as_bool());
  CHECK(limit(report, "leaks").at("ok").as_bool());
}

TEST_CASE("ids that differ in case alone are reported, the file counts once, and blank ids are broken lines",
          "[data_check]") {
  const TemporaryFolder folder;
  const auto path = folder.file("a.jsonl");
  write_file_atomically(path, line("P1", "q", "a") + line(" P1 ", "q2", "b") + line("p1", "q3", "c") + line("  ", "q4", "d"))
      .value();
  std::filesystem::create_symlink(path, folder.file("again.jsonl"));
  const CheckConfig config;
  DataCheck check(config, {}, {});
  REQUIRE(check.add_file(path, Part::kTraining).ok());
  REQUIRE(check.add_file(folder.file("again.jsonl"), Part::kTraining).ok());
  const Json report = check.report();
  CHECK(report.at("records").as_int() == 3);
  CHECK(report.at("patients").as_int() == 2);
  CHECK(report.at("patients_spelled_alike").dump() == R"([["P1","p1"]])");
  CHECK(report.at("warnings").items().size() == 2);
  CHECK(report.at("broken").at("lines").as_int() == 1);
  CHECK(report.at("broken").at("first").at(0).as_string().find(path + ":4: field 'patient_id'") == 0);
}

TEST_CASE("a file that is not UTF-8 is named with its encoding", "[data_check]") {
  const TemporaryFolder folder;
  const std::string latin =
      "{\"patient_id\":\"1\",\"instruction\":\"Welche Gr\xf6\xdf"
      "e hat der Tumor f\xfcr den Patienten?\","
      "\"output\":\"Die Gr\xf6\xdf"
      "e betr\xe4gt f\xfcnf Zentimeter.\"}\n";
  write_file_atomically(folder.file("latin"), latin + latin).value();
  const CheckConfig config;
  DataCheck check(config, {}, {});
  REQUIRE(check.add_file(folder.file("latin"), Part::kTraining).ok());
  const Json report = check.report();
  REQUIRE(report.at("warnings").items().size() == 1);
  const std::string warning = report.at("warnings").at(0).as_string();
  CHECK(warning.find("not UTF-8; it looks like ISO-8859-1") != std::string::npos);
  CHECK(warning.find("iconv -f ISO-8859-1 -t UTF-8") != std::string::npos);
}

TEST_CASE("records and patients that would train nothing are counted", "[data_check]") {
  const TemporaryFolder folder;
  write_file_atomically(folder.file("a"), line("a", "short", "x") + line("a", "long", "x") + line("b", "long", "x") +
                                              line("c", "refused", "x"))
      .value();
  CheckConfig config;
  config.max_tokens = 100;
  DataCheck check(config, {}, [](const data::Record& record) -> Result<TokenCounts> {
    const auto& question = record.messages.front().content;
    if (question == "refused") return invalid("no");
    return question == "long" ? TokenCounts{100, 3, 100} : TokenCounts{99, 3, 99};
  });
  REQUIRE(check.add_file(folder.file("a"), Part::kTraining).ok());
  const Json report = check.report();
  CHECK(report.at("trains_nothing").at("records").as_int() == 3);
  CHECK(report.at("trains_nothing").at("patients").as_int() == 2);
  CHECK(report.at("warnings").at(0).as_string().find("3 records and 2 whole patients") == 0);
}

TEST_CASE("a leak into the validation set fails the check", "[data_check]") {
  const TemporaryFolder folder;
  write_file_atomically(folder.file("train"),
                        line("a", "one question of many words", "x") + line("b", "another question", "y"))
      .value();
  write_file_atomically(folder.file("val"),
                        line("c", "one question of many words", "x") + line("d", "something else altogether", "z"))
      .value();
  const CheckConfig config;
  DataCheck check(config, {}, {});
  REQUIRE(check.add_file(folder.file("train"), Part::kTraining).ok());
  REQUIRE(check.add_file(folder.file("val"), Part::kValidation).ok());
  const Json report = check.report();
  CHECK(report.at("duplicates").at("validation").at("exact").as_int() == 1);
  CHECK(report.at("duplicates").at("validation").at("records").at(0).as_string() == folder.file("val") + ":1");
  CHECK(limit(report, "leaks").at("value").as_double() == Approx(0.5));
  CHECK_FALSE(report.at("ok").as_bool());
}

TEST_CASE("declared topics and situations are counted and the missing ones are named", "[data_check]") {
  const TemporaryFolder folder;
  write_file_atomically(folder.file("a"),
                        line("a", "Does diabetes run in families?", "yes") + line("b", "I had a stroke", "ok"))
      .value();
  CheckConfig config;
  config.topics.push_back({"diabetes", "common", Phrases::make({"diabetes"}).value(), 1});
  config.topics.push_back({"stroke", "emergency", Phrases::make({"stroke"}).value(), 2});
  config.topics.push_back({"vaccination", "preventive", Phrases::make({"vaccine"}).value(), 1});
  config.limits.uncovered = 0.5;
  DataCheck check(config, {}, {});
  REQUIRE(check.add_file(folder.file("a"), Part::kTraining).ok());
  const Json report = check.report();
  CHECK(report.at("coverage").at("missing").dump() == R"(["stroke","vaccination"])");
  CHECK(report.at("coverage").at("situations").at("emergency").as_int() == 1);
  CHECK(report.at("coverage").at("situations").at("preventive").as_int() == 0);
  CHECK(limit(report, "uncovered").at("value").as_double() == Approx(2.0 / 3));
  CHECK(report.at("diversity").at("topic").at("values").at("diabetes").as_int() == 1);
}

TEST_CASE("a production sample is compared, and another template than training's is a warning", "[data_check]") {
  const TemporaryFolder folder;
  write_file_atomically(folder.file("train"), line("a", "fever and cough", "x")).value();
  write_file_atomically(folder.file("served"), std::string("{\"text\": \"[INST] fever and cough [/INST]\"}\ninvoice tax\n"))
      .value();
  const CheckConfig config;
  DataCheck check(config, {}, {});
  REQUIRE(check.add_file(folder.file("train"), Part::kTraining).ok());
  REQUIRE(check.add_production(folder.file("served"), "<|im_start|>user\n").ok());
  const Json report = check.report();
  REQUIRE(report.at("warnings").items().size() == 1);
  CHECK(report.at("warnings").at(0).as_string().find("[INST]") != std::string::npos);
  CHECK(report.at("production").at("queries").as_int() == 2);
  const double divergence = report.at("production").at("divergence_bits").as_double();
  CHECK((divergence > 0 && divergence < 1));
  CHECK_FALSE(check.add_production("/no/such/file", "").ok());
}

TEST_CASE("the page shows what the report says, with every text escaped and nothing loaded", "[data_check]") {
  const TemporaryFolder folder;
  const auto path = folder.file("<script>alert(1)");
  write_file_atomically(path, line("a", "What?", "TODO") + "x\n").value();
  const CheckConfig config;
  DataCheck check(config, {}, {});
  REQUIRE(check.add_file(path, Part::kTraining).ok());
  const std::string page = check_page(check.report());
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("&lt;script&gt;alert(1):1") != std::string::npos);
  CHECK(page.find("placeholder") != std::string::npos);
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);
  CHECK(page == check_page(check.report()));
}

}  // namespace sotto::curation
