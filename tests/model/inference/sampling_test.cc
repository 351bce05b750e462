#include "model/inference/sampling.h"

#include <map>

#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

double setting(const Json& settings, const char* name, double otherwise) {
  const Json* value = settings.find(name);
  return value == nullptr ? otherwise : value->as_double();
}

Sampling sampling_of(const Json& settings) {
  Sampling s;
  s.temperature = setting(settings, "temperature", 1);
  s.top_k = static_cast<std::uint32_t>(setting(settings, "top_k", 0));
  s.top_p = setting(settings, "top_p", 1);
  s.min_p = setting(settings, "min_p", 0);
  s.repetition_penalty = setting(settings, "repetition_penalty", 1);
  return s;
}

}  // namespace

TEST_CASE("the next token's distribution is that of the reference's warpers", "[model]") {
  const auto file = read_json("sampling/distributions.json");
  for (const auto& c : file.at("cases").items()) {
    INFO(c.at("settings").dump());
    std::vector<float> logits;
    for (const auto& v : c.at("logits").items()) logits.push_back(static_cast<float>(v.as_double()));
    std::vector<std::int32_t> seen;
    for (const auto& v : c.at("seen").items()) seen.push_back(static_cast<std::int32_t>(v.as_int()));
    std::vector<double> probabilities(logits.size());
    for (const auto& token : next_tokens(logits, seen, sampling_of(c.at("settings"))))
      probabilities[static_cast<std::size_t>(token.id)] = token.probability;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double expected = c.at("probabilities").at(i).as_double();
      CHECK(probabilities[i] == Approx(expected).margin(1e-5));
      CHECK((probabilities[i] == 0) == (expected == 0));
    }
  }
}

TEST_CASE("a seed draws the same tokens again, another sequence and another seed others, as often as they are likely",
          "[model]") {
  const std::vector<float> logits = {2, 1, 0, -1};
  Sampling sampling;
  sampling.temperature = 1;
  sampling.seed = 7;
  const auto draw = [&](std::uint64_t seed, std::uint64_t sequence) {
    sampling.seed = seed;
    Sampler sampler(sampling, sequence);
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 4000; ++i) ids.push_back(sampler.next(logits, {}));
    return ids;
  };
  const auto ids = draw(7, 0);
  CHECK(ids == draw(7, 0));
  CHECK(ids != draw(7, 1));
  CHECK(ids != draw(8, 0));
  std::map<std::int32_t, int> counts;
  for (const auto id : ids) ++counts[id];
  for (const auto& token : next_tokens(logits, {}, sampling))  // 5 standard deviations of 4000 draws: at most 0.04
    CHECK(counts[token.id] / 4000.0 == Approx(token.probability).margin(0.04));
}

TEST_CASE("without temperature the likeliest token comes, of equal ones the first, after the penalty", "[model]") {
  Sampling greedy;
  CHECK(Sampler(greedy, 0).next(std::vector<float>{1, 3, 3, -1}, {}) == 1);
  greedy.repetition_penalty = 2;
  CHECK(Sampler(greedy, 0).next(std::vector<float>{1, 3, 2.5F, -1}, std::vector<std::int32_t>{1, 1, 3}) == 2);
}

TEST_CASE("settings that are none are refused by their names", "[model]") {
  const auto refusal = [](auto set) {
    Sampling sampling;
    set(sampling);
    const auto result = check(sampling);
    return result.ok() ? std::string() : result.error().message;
  };
  CHECK(refusal([](Sampling&) {}).empty());
  CHECK(refusal([](Sampling& s) { s.temperature = -1; }).starts_with("temperature"));
  CHECK(refusal([](Sampling& s) { s.temperature = std::nan(""); }).starts_with("temperature"));
  CHECK(refusal([](Sampling& s) { s.top_p = 0; }).starts_with("top-p"));
  CHECK(refusal([](Sampling& s) { s.top_p = 1.5; }).starts_with("top-p"));
  CHECK(refusal([](Sampling& s) { s.min_p = 2; }).starts_with("min-p"));
  CHECK(refusal([](Sampling& s) { s.repetition_penalty = 0; }).starts_with("repetition-penalty"));
}

}  // namespace sotto::model
