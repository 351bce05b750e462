#include "base/json.h"

#include <limits>

#include "tests/support/catch.h"

using namespace sotto;

TEST_CASE("JSON keeps the order of members and gives the same bytes again", "[base]") {
  const std::string text = R"({"b":1,"a":[true,null,"é\n",0.1],"c":{}})";
  CHECK(Json::parse(text, "x")->dump() == text);
}

TEST_CASE("JSON that is broken is refused with its line", "[base]") {
  const auto broken = Json::parse("{\n\"a\": }\n", "file.json");
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().message.starts_with("file.json:2:"));
  CHECK_FALSE(Json::parse(std::string(100000, '['), "deep").ok());
}

TEST_CASE("checked reads name the field", "[base]") {
  const Json value = Json::object({{"n", 3}, {"s", "x"}});
  CHECK(*value.get_int("n") == 3);
  CHECK(*value.get_double("n") == 3.0);
  CHECK(value.get_string("n").error().message == "field 'n' is not a string");
  CHECK_FALSE(value.get_array("none").ok());
}

TEST_CASE("a field that is not there is missing, not of another type", "[base]") {
  const Json value = Json::object({{"n", 3}});
  CHECK(value.get_string("none").error().message == "field 'none' is missing");
  CHECK(value.get_int("none").error().message == "field 'none' is missing");
  CHECK(value.get_double("none").error().message == "field 'none' is missing");
  CHECK(value.get_bool("none").error().message == "field 'none' is missing");
  CHECK(value.get_array("none").error().message == "field 'none' is missing");
  CHECK(value.get_object("none").error().message == "field 'none' is missing");
  CHECK(value.get_bool("n").error().message == "field 'n' is not true or false");
}

TEST_CASE("non-finite numbers are written as text and read back", "[base]") {
  const Json infinite(std::numeric_limits<double>::infinity());
  CHECK(infinite.dump() == "\"inf\"");
  CHECK(Json::parse("\"inf\"", "x")->as_double() == std::numeric_limits<double>::infinity());
}

TEST_CASE("bytes that are not UTF-8 never break a dump", "[base]") {
  CHECK_FALSE(Json(std::string("a\xff")).dump().empty());
}

TEST_CASE("a key that occurs twice in one object is refused by name, at any depth", "[base]") {
  for (const char* text : {R"({"b":1,"a":2,"a":3})", R"([{"x":{"b":1,"a":2,"c":3,"a":2}}])", R"({"a":1,"\u0061":1})"}) {
    const auto parsed = Json::parse(text, "x");
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().message == "x: the key 'a' occurs twice in one JSON object; leave one of them out");
  }
  CHECK(Json::parse(R"([{"a":1},{"a":{"a":2}}])", "x").ok());
}

TEST_CASE("nesting is limited to a hundred levels, wide objects are not", "[base]") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(Json::parse(nested(101), "deep").ok());
  const auto too_deep = Json::parse(nested(102), "deep");
  REQUIRE_FALSE(too_deep.ok());
  CHECK(too_deep.error().message == "deep: JSON nested deeper than 100");
  std::string wide = "{";
  for (int i = 0; i < 200'000; ++i) wide += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
  const auto object = Json::parse(wide + "}", "wide").value();
  REQUIRE(object.members().size() == 200'000);
  CHECK(object.members().back().second.as_int() == 199'999);
}

TEST_CASE("a number too large for a double is refused", "[base]") {
  const auto result = Json::parse("[1e999]", "file");
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().message.starts_with("file: not valid JSON"));
}
