// A model in use: the log of what it was asked, drift and signals, and feedback that becomes records only when somebody
// approved it.
#include "base/files.h"
#include "curation/feedback.h"
#include "curation/usage_drift.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::curation {
namespace {

std::string write(const TemporaryFolder& folder, const std::string& name, const std::string& text) {
  REQUIRE(write_file_atomically(folder.file(name), text).ok());
  return folder.file(name);
}

std::string question(int i, bool other) {
  static const char* const kOld[] = {"cough", "fever", "rash", "pain", "dose", "tablet", "sleep", "blood"};
  static const char* const kNew[] = {"invoice", "lawsuit", "contract", "tenant", "clause", "court", "fee", "notary"};
  return std::string("what about ") + (other ? kNew : kOld)[i % 8] + " and " + (other ? kNew : kOld)[(i * 3 + 1) % 8];
}

std::vector<Use> uses(int n, bool second_half_moved, bool second_half_worse) {
  std::vector<Use> out;
  for (int i = 0; i < n; ++i) {
    Use use;
    use.id = std::to_string(i);
    use.messages = {{"user", question(i, second_half_moved && i >= n / 2)}};
    use.correct = i < n / 2 || !second_half_worse ? i % 10 != 0 : i % 2 == 0;
    out.push_back(use);
  }
  return out;
}

std::string refusal(const std::string& text) {
  const TemporaryFolder folder;
  const auto read = read_usage(write(folder, "log.jsonl", text));
  REQUIRE_FALSE(read.ok());
  return read.error().message;
}

TEST_CASE("a logged query's patient has one spelling", "[usage]") {
  const TemporaryFolder folder;
  const auto read = read_usage(write(folder, "log.jsonl",
                                     R"({"id": "a", "prompt": "q", "patient_id": " P1 "}
{"id": "b", "prompt": "q", "patient_id": 17}
{"id": "c", "prompt": "q", "patient_id": ""}
)"));
  REQUIRE(read.ok());
  CHECK((*read)[0].patient_id == "P1");
  CHECK((*read)[1].patient_id == "17");
  CHECK((*read)[2].patient_id.empty());
  CHECK(refusal(R"({"id": "a", "prompt": "q", "patient_id": "  "})").find("'patient_id' is blank") != std::string::npos);
}

TEST_CASE("queries and what was said of them come together, in whichever line it stands", "[usage]") {
  const TemporaryFolder folder;
  const auto read = read_usage(write(
      folder, "log.jsonl",
      R"({"id": "a", "time": "2026-01-01T00:00:00Z", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q1"}], "response": "r1", "patient_id": "p"}
{"prompt": "q2", "response": "r2", "rating": 2}

{"for": "a", "rating": 5, "by": "anna"}
{"for": "a", "correct": true, "correction": "better"}
)"));
  REQUIRE(read.ok());
  REQUIRE(read->size() == 2);
  CHECK((*read)[0].question() == "q1");
  CHECK((*read)[0].rating == 5);
  CHECK((*read)[0].correct == true);
  CHECK((*read)[0].correction == "better");
  CHECK((*read)[0].by == "anna");
  CHECK((*read)[1].question() == "q2");
  CHECK((*read)[1].id.find("log.jsonl:2") != std::string::npos);
}

TEST_CASE("a line of the log that cannot be right is refused by its number", "[usage]") {
  CHECK(refusal("{\"prompt\": \"q\"}\n{\"for\": \"nobody\", \"rating\": 3}\n").find("log.jsonl:2") != std::string::npos);
  CHECK(refusal("{\"prompt\": \"q\", \"rating\": 6}\n").find("from 1 to 5") != std::string::npos);
  CHECK(refusal("{\"id\": \"a\", \"prompt\": \"q\"}\n{\"id\": \"a\", \"prompt\": \"q\"}\n").find("twice") !=
        std::string::npos);
  CHECK(refusal("[1]\n").find("no JSON object") != std::string::npos);
  CHECK(refusal("{\"response\": \"r\"}\n").find("prompt") != std::string::npos);
  CHECK(refusal("{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}\n").find("must end with") !=
        std::string::npos);
  CHECK(refusal("{\"prompt\": 3}\n").find("log.jsonl:1") != std::string::npos);
}

TEST_CASE("questions like those of the training raise no signal, others do", "[usage]") {
  std::vector<std::string> training;
  for (int i = 0; i < 200; ++i) training.push_back(question(i * 7, false));
  const DriftOptions options{100};
  const auto same = usage_report(uses(400, false, false), training, options);
  REQUIRE(same.ok());
  CHECK_FALSE(same->at("retrain").as_bool());
  CHECK(same->at("windows").items().size() == 4);
  const auto moved = usage_report(uses(400, true, false), training, options);
  REQUIRE(moved.ok());
  CHECK(moved->at("retrain").as_bool());
  CHECK(moved->at("signals").at(0).as_string().find("moved away") != std::string::npos);
  const auto alone = usage_report(uses(400, true, false), {}, options);  // the first window is the reference
  REQUIRE(alone.ok());
  CHECK(alone->at("retrain").as_bool());
  CHECK(usage_text(*alone).find("SIGNAL") != std::string::npos);
}

TEST_CASE("fewer right answers than at first raise a signal, chance alone does not", "[usage]") {
  const auto worse = usage_report(uses(400, false, true), {}, {100});
  REQUIRE(worse.ok());
  CHECK(worse->at("retrain").as_bool());
  CHECK(worse->at("signals").at(0).as_string().find("'correct' went from 90.0 %") != std::string::npos);
  const auto few = usage_report(uses(40, false, true), {}, {20});  // 2 of 20 wrong, then 10 of 20: the intervals still meet
  REQUIRE(few.ok());
  CHECK_FALSE(few->at("retrain").as_bool());
  CHECK_FALSE(usage_report(uses(150, false, false), {}, {100}).ok());
  CHECK_FALSE(usage_report(uses(50, false, false), {"a"}, {100}).ok());
  const auto rest = usage_report(uses(240, false, false), {"what about cough"}, {100});  // 40 left over join the last window
  REQUIRE(rest.ok());
  CHECK(rest->at("windows").at(1).at("queries").as_int() == 140);
}

TEST_CASE("feedback becomes a record only with a patient and a person's approval", "[usage]") {
  const TemporaryFolder folder;
  const auto read = read_usage(write(
      folder, "log.jsonl", R"({"id": "a", "prompt": "q1", "response": "wrong", "patient_id": "p1", "correction": "right"}
{"id": "b", "prompt": "q2", "response": "good", "patient_id": "p2", "rating": 5}
{"id": "c", "prompt": "q3", "response": "poor", "patient_id": "p3", "rating": 1}
{"id": "d", "prompt": "q4", "response": "r", "correction": "of nobody"}
)"));
  REQUIRE(read.ok());
  const auto collected = collect_feedback(*read, folder.file("candidates.jsonl"));
  REQUIRE(collected.ok());
  CHECK(collected->taken == 2);
  CHECK(collected->left_out == 1);
  const auto untouched = accept_feedback(folder.file("candidates.jsonl"), folder.file("none.jsonl"), "Dr. A");
  REQUIRE(untouched.ok());
  CHECK(untouched->taken == 0);
  std::string text = read_text_file(folder.file("candidates.jsonl")).value();
  text.replace(text.find("\"approved\":null"), 15, "\"approved\":true");
  write(folder, "candidates.jsonl", text);
  const auto accepted = accept_feedback(folder.file("candidates.jsonl"), folder.file("records.jsonl"), "Dr. A");
  REQUIRE(accepted.ok());
  CHECK(accepted->taken == 1);
  const auto records = data::read_records(folder.file("records.jsonl"));
  REQUIRE(records.ok());
  CHECK(records->at(0).patient_id == "p1");
  CHECK(records->at(0).messages.back().content == "right");
  CHECK_FALSE(accept_feedback(folder.file("candidates.jsonl"), folder.file("x.jsonl"), "").ok());
  text.replace(text.find("\"approved\":null"), 15, "\"approved\":\"ok\"");
  write(folder, "candidates.jsonl", text);
  const auto unclear = accept_feedback(folder.file("candidates.jsonl"), folder.file("x.jsonl"), "Dr. A");
  REQUIRE_FALSE(unclear.ok());
  CHECK(unclear.error().message.find("candidates.jsonl:2") != std::string::npos);
  CHECK_FALSE(file_exists(folder.file("x.jsonl")));
}

}  // namespace
}  // namespace sotto::curation
