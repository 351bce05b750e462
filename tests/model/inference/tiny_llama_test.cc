#include <algorithm>
#include <cstring>

#include "model/files/fingerprint.h"
#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

// The tokens of one row of expected.safetensors that its mask keeps. Positions start at 0 in each (position_ids says so, for
// the left-padded row too), so the row can be given without its padding.
struct Row {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;  // of those tokens
  double loglik = 0;
};

std::vector<Row> expected_rows() {
  const auto file = read_safetensors("tiny/llama/expected.safetensors");
  const auto ids = integers(file, "input_ids"), mask = integers(file, "attention_mask");
  const auto logits = floats(file, "logits");
  const auto bytes = file.bytes(*file.find_tensor("loglik"));
  const std::size_t columns = 40, vocab = logits.size() / ids.size();
  std::vector<Row> rows(ids.size() / columns);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (mask[i] == 0) continue;
    auto& row = rows[i / columns];
    row.ids.push_back(static_cast<std::int32_t>(ids[i]));
    row.logits.insert(row.logits.end(), logits.begin() + static_cast<std::ptrdiff_t>(i * vocab),
                      logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocab));
  }
  for (std::size_t r = 0; r < rows.size(); ++r) std::memcpy(&rows[r].loglik, bytes.data() + 8 * r, 8);
  return rows;
}

std::vector<std::uint32_t> all_rows(const Row& row) {
  std::vector<std::uint32_t> rows(row.ids.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i);
  return rows;
}

}  // namespace

TEST_CASE("a tiny Llama gives the logits of the reference implementation in fp32", "[model]") {
  const auto model = tiny_llama();
  for (const auto& row : expected_rows())
    CHECK(largest_difference(model.logits(row.ids, all_rows(row)).value(), row.logits) <
          2e-4);  // the vectors' own tolerance
}

TEST_CASE("in bf16 the logits stay within what 8 bits of each factor allow", "[model]") {
  auto loaded = LanguageModel::load(vector_path("tiny/llama"), {.precision = Precision::kBf16, .threads = 1});
  if (!loaded.ok()) {
    WARN(loaded.error().message);
    return;
  }
  CHECK(loaded->precision() == Precision::kBf16);
  for (const auto& row : expected_rows())
    CHECK(relative_difference(loaded->logits(row.ids, all_rows(row)).value(), row.logits) <
          0.03);  // measured 0.011: 8 bits of each factor in two layers
}

TEST_CASE("scores are log-probabilities whose sum is the reference's log-likelihood", "[model]") {
  const auto model = tiny_llama();
  for (const auto& row : expected_rows()) {
    const auto scores = model.score(row.ids, 5).value();
    CHECK(scores.token_logprobs.size() == row.ids.size() - 1);
    CHECK(scores.total == Approx(row.loglik).margin(1e-3));  // 39 terms, each within 2e-4, signs vary
    REQUIRE(scores.top.size() == 5);
    const auto last = model.logits(row.ids, std::vector{static_cast<std::uint32_t>(row.ids.size() - 1)}).value();
    CHECK(scores.top[0].id == std::max_element(last.begin(), last.end()) - last.begin());
    for (std::size_t i = 1; i < 5; ++i) CHECK(scores.top[i].logprob <= scores.top[i - 1].logprob);
  }
}

TEST_CASE("evaluation of a batch gives each example what it gets alone, and what its scores say", "[model]") {
  const auto model = tiny_llama();
  std::vector<data::Example> examples;
  for (const auto& row : expected_rows()) {
    data::Example example{row.ids, {}};
    for (std::size_t t = 0; t < row.ids.size(); ++t)
      example.labels.push_back(t > 3 && t + 4 < row.ids.size() ? row.ids[t] : data::kNoLabel);
    examples.push_back(example);
  }
  const auto together = model.evaluate(examples).value();
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const auto alone = model.evaluate(std::span(&examples[i], 1)).value().front();
    CHECK(together[i].loss_sum == alone.loss_sum);
    CHECK(together[i].correct == alone.correct);
    CHECK(together[i].tokens == examples[i].ids.size() - 8);
    const auto scores = model.score(examples[i].ids).value();
    double sum = 0;
    for (std::size_t t = 4; t + 4 < examples[i].ids.size(); ++t) sum -= scores.token_logprobs[t - 1];
    CHECK(together[i].loss_sum == Approx(sum).margin(1e-3));
  }
}

TEST_CASE("the fixture's model gives the reference's logits at the last position", "[model]") {
  const auto expected = read_json("fixture/expected.json");
  const auto model = LanguageModel::load(vector_path("fixture"), {.precision = Precision::kFp32, .threads = 1}).value();
  std::vector<std::int32_t> ids;
  for (const auto& id : expected.at("ids").items()) ids.push_back(static_cast<std::int32_t>(id.as_int()));
  std::vector<float> logits;
  for (const auto& v : expected.at("last_logits").items()) logits.push_back(static_cast<float>(v.as_double()));
  const std::vector<std::uint32_t> last = {static_cast<std::uint32_t>(ids.size() - 1)};
  CHECK(largest_difference(model.logits(ids, last).value(), logits) < 2e-4);
}

TEST_CASE("generation goes on with the likeliest token, whoever is in the batch, and stops at a stop id", "[model]") {
  const auto model = tiny_llama();
  std::vector<std::vector<std::int32_t>> prompts;
  for (const auto& row : expected_rows()) prompts.push_back({row.ids.begin(), row.ids.begin() + 9});
  prompts.push_back({7});
  const auto made = model.generate(prompts, {.max_new_tokens = 12, .stop_ids = {}, .sampling = {}}).value();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    REQUIRE(made[i].size() == 12);
    auto ids = prompts[i];
    for (const auto id : made[i]) {  // without any cache
      CHECK(model.score(ids, 1).value().top[0].id == id);
      ids.push_back(id);
    }
    const auto alone =
        model.generate(std::span(&prompts[i], 1), {.max_new_tokens = 12, .stop_ids = {}, .sampling = {}}).value();
    CHECK(alone.front() == made[i]);
    const auto stopped =
        model.generate(std::span(&prompts[i], 1), {.max_new_tokens = 12, .stop_ids = {made[i][4]}, .sampling = {}}).value();
    const auto first = std::ranges::find(made[i], made[i][4]);
    CHECK(stopped.front() == std::vector<std::int32_t>(made[i].begin(), first));
  }
  CHECK(model.generate(prompts, {.max_new_tokens = 0, .stop_ids = {}, .sampling = {}}).value()[0].empty());
}

TEST_CASE("ids outside the vocabulary, empty and too long sequences are refused", "[model]") {
  const auto model = tiny_llama();
  const std::vector<std::int32_t> outside = {1, 256}, negative = {-1}, empty, too_long(257, 1);
  CHECK(model.score(outside).error().message.find("256") != std::string::npos);
  CHECK_FALSE(model.score(negative).ok());
  CHECK_FALSE(model.score(empty).ok());
  CHECK(model.score(too_long).error().message.find("257") != std::string::npos);
  CHECK_FALSE(model.logits(std::vector<std::int32_t>{1, 2}, std::vector<std::uint32_t>{2}).ok());
  CHECK_FALSE(model.generate(std::vector<std::vector<std::int32_t>>{outside}, {}).ok());
  const std::vector<data::Example> unlabelled = {{{1, 2, 3}, {1, data::kNoLabel, data::kNoLabel}}};
  CHECK_FALSE(model.evaluate(unlabelled).ok());
}

TEST_CASE("a device that is not there is refused by its name", "[model]") {
  for (const std::string device : {"cuda:99", "cuda", "cuda:x", "cuda:1x", "tpu", ""}) {
    const auto loaded = LanguageModel::load(vector_path("tiny/llama"), {.device = device});
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.error().message.find("\"" + device + "\"") != std::string::npos);
  }
}

TEST_CASE("a model's hash is that of its content: the same for the same files, another for another model", "[model]") {
  const auto tiny = model_hash(vector_path("tiny/llama")).value();
  CHECK(tiny == model_hash(vector_path("tiny/llama")).value());
  CHECK(tiny != model_hash(vector_path("fixture")).value());
  CHECK_FALSE(model_hash(vector_path("nothing here")).ok());
  CHECK_FALSE(model_hash(vector_path("chat_template")).ok());  // a folder without a model
}

}  // namespace sotto::model
