// Passports: what they hold, what they refuse, and by what a model is known.
#include "lineage/passport.h"

#include "lineage/weights.h"
#include "tests/lineage/lineage_fixture.h"
#include "tests/support/catch.h"

namespace sotto::lineage {
namespace {

std::string refusal(const Json& json) {
  const auto parsed = parse_passport(json.dump(), "file");
  REQUIRE_FALSE(parsed.ok());
  CHECK(parsed.error().message.starts_with("file"));
  return parsed.error().message;
}

TEST_CASE("a passport comes back as it was written", "[passport]") {
  const auto first = made(1), second = made(2, "second", first.passport.model);
  CHECK(second.passport.parent == first.passport.model);
  CHECK(second.passport.domain == "coding");
  CHECK(encode(second.passport.plan) == encode(second.plan));
  CHECK(second.passport.json.at("privacy").at("epsilon").as_double() > 0.1);
  CHECK(second.passport.json.at("hyper_parameters").at("rounds").as_int() == 2);
  CHECK(made(1, "open", std::nullopt, false).passport.json.at("privacy").at("epsilon").as_string() == "none");
}

TEST_CASE("a passport with a member missing, of another type or of another run is refused by name", "[passport]") {
  const Json good = made(1).passport.json;
  for (const auto& [name, value] : good.members()) {
    if (name == "parent" || name == "trained" || name == "precision" || name == "rounds" || name == "steps" ||
        name == "recipe")
      continue;
    Json broken = Json::object();
    for (const auto& [other, v] : good.members())
      if (other != name) broken.set(other, v);
    CHECK(refusal(broken).find(name) != std::string::npos);
    broken.set(name, 3);
    CHECK(refusal(broken).find(name) != std::string::npos);
  }
  Json other = good;
  other.set("run", "another");
  CHECK(refusal(other).find("another run") != std::string::npos);
  other = good;
  other.set("format", "sotto/passport/9");
  CHECK(parse_passport(other.dump(), "file").error().code == ErrorCode::kUnsupported);
  other = good;
  other.set("plan", "00ff");
  refusal(other);
  CHECK_FALSE(parse_passport("{", "file").ok());
}

TEST_CASE("a model is known by its weights and scales, in whatever order they come", "[passport]") {
  const auto state = some_adapter(1);
  auto scaled = state;
  scaled.layout.modules[0].scale = 4;
  CHECK(weights_of(state) != weights_of(some_adapter(2)));
  CHECK(weights_of(state) != weights_of(scaled));
  const auto bytes = [](const std::vector<float>& v) {
    return ByteSpan(reinterpret_cast<const std::uint8_t*>(v.data()), v.size() * 4);
  };
  const NamedTensor a{
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32", {2, 4}, bytes(state.factors[0].a)};
  const NamedTensor b{
      "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", "F32", {4, 2}, bytes(state.factors[0].b)};
  const std::map<std::string, double> scales{{"model.layers.0.self_attn.q_proj", 2.0}};
  CHECK(weights_of({b, a}, scales) == weights_of(state));
  auto half = a;
  half.type = "F16";
  CHECK(weights_of({half, b}, scales) != weights_of(state));
}

}  // namespace
}  // namespace sotto::lineage
