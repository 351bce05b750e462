#include "data/records/data_set.h"

#include <set>

#include "tests/support/catch.h"

namespace sotto::data {
namespace {

struct Loaded {
  Tokenizer tokenizer = Tokenizer::make(load_tokenizer_spec(SOTTO_VECTORS "/fixture").value()).value();
  ChatTemplate chat = ChatTemplate::make(tokenizer).value();
};

Record record(const std::string& patient, const std::string& question, const std::string& answer) {
  Record out;
  out.patient_id = patient;
  out.messages = {{"system", "S"}, {"user", question}, {"assistant", answer}};
  return out;
}

}  // namespace

TEST_CASE("records are grouped by patient, in order of first appearance", "[data_set]") {
  const Loaded model;
  const auto set = encode({record("b", "q", "x"), record("a", "q", "y"), record("b", "q", "z")}, model.chat, {});
  REQUIRE(set.units.size() == 2);
  CHECK(set.units[0].patient_id == "b");
  CHECK(set.units[0].examples == std::vector<std::uint32_t>{0, 2});
  CHECK(set.units[1].examples == std::vector<std::uint32_t>{1});
  CHECK(set.examples.size() == 3);
  CHECK(set.examples[2] == model.chat.example(record("b", "q", "z").messages).value());
}

TEST_CASE("as unit of privacy a record stands alone", "[data_set]") {
  const Loaded model;
  const auto set = encode({record("b", "q", "x"), record("b", "q", "z")}, model.chat, {.unit = privacy::Unit::kRecord});
  REQUIRE(set.units.size() == 2);
  CHECK(set.units[1].patient_id == "b");
  CHECK(set.units[1].examples == std::vector<std::uint32_t>{1});
}

TEST_CASE("a long example is cut at the end and skipped when no answer is left", "[data_set]") {
  const Loaded model;
  const Example whole = model.chat.example(record("a", "question", "answer").messages).value();
  const std::size_t prompt = whole.ids.size() - 1 - whole.response_tokens();  // one line break stands behind the answer
  const auto at = [&](std::size_t max_tokens) {
    return encode({record("a", "question", "answer")}, model.chat, {.max_tokens = max_tokens});
  };
  CHECK(at(whole.ids.size()).truncated == 0);
  const auto cut = at(prompt + 1);
  CHECK(cut.truncated == 1);
  CHECK(cut.skipped == 0);
  REQUIRE(cut.examples.size() == 1);
  CHECK(cut.examples[0].ids.size() == prompt + 1);
  CHECK(cut.examples[0].response_tokens() == 1);
  const auto gone = at(prompt);
  CHECK(gone.skipped == 1);
  CHECK(gone.truncated == 0);
  CHECK(gone.examples.empty());
  CHECK(gone.units.empty());
}

TEST_CASE("units none of whose records is encoded are counted, because they train nothing", "[data_set]") {
  const Loaded model;
  const Example whole = model.chat.example(record("a", "q", "x").messages).value();
  const std::string longer = "question " + std::string(300, 'x');
  const auto records = {record("a", "q", "x"), record("a", longer, "x"), record("b", longer, "x"), record("b", longer, "y"),
                        record("c", longer, "z")};
  const auto patients = encode(records, model.chat, {.max_tokens = whole.ids.size()});
  CHECK(patients.skipped == 4);
  CHECK(patients.units.size() == 1);
  CHECK(patients.idle_units == 2);
  CHECK(encode(records, model.chat, {.unit = privacy::Unit::kRecord, .max_tokens = whole.ids.size()}).idle_units == 4);
  CHECK(encode(records, model.chat, {.max_tokens = 4096}).idle_units == 0);
}

TEST_CASE("what becomes of a record does not depend on the others", "[data_set]") {
  const Loaded model;
  auto records = read_records(SOTTO_VECTORS "/fixture/records.jsonl").value();
  const auto all = encode(records, model.chat, {.max_tokens = 48});
  CHECK(all.records.size() + all.skipped == 240);
  std::size_t next = 0;
  for (const auto& one : records) {
    const auto alone = encode({one}, model.chat, {.max_tokens = 48});
    if (alone.skipped == 1) continue;
    REQUIRE(next < all.examples.size());
    CHECK(alone.examples[0] == all.examples[next]);
    ++next;
  }
  CHECK(next == all.examples.size());
  std::set<std::string> patients;
  for (const auto& one : all.records) patients.insert(one.patient_id);
  CHECK(patients.size() == all.units.size());
}

}  // namespace sotto::data
