#include "base/result.h"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/overloaded.h"
#include "tests/support/catch.h"

namespace sotto {
namespace {

// A range that says when its last holder is gone.
struct Watched {
  std::shared_ptr<int> held;
  std::vector<std::string> words;
  auto begin() const { return words.begin(); }
  auto end() const { return words.end(); }
};

Result<Watched> words(const std::shared_ptr<int>& held) { return Watched{held, {"one", "two"}}; }

}  // namespace

TEST_CASE("a loop over the value of a temporary result runs while the value lives", "[result]") {
  const auto held = std::make_shared<int>(0);
  std::string all;
  for (const auto& word : words(held).value()) {
    CHECK(held.use_count() == 2);
    all += word;
  }
  CHECK(all == "onetwo");
  CHECK(held.use_count() == 1);
}

TEST_CASE("a reference to the value of a temporary result keeps it alive", "[result]") {
  const auto held = std::make_shared<int>(0);
  const auto& kept = words(held).value();
  CHECK(held.use_count() == 2);
  CHECK(kept.words.size() == 2);
}

TEST_CASE("the value of a temporary result is handed out by value, a named result's by reference", "[result]") {
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<Result<std::string>>().value()), std::string>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<Result<std::string>>()), std::string>);
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<Result<std::string>&>().value()), std::string&>);
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<const Result<std::string>&>().value()), const std::string&>);
}

TEST_CASE("a variant is visited by one lambda for each alternative", "[result]") {
  const auto name = [](const std::variant<int, std::string>& v) {
    return std::visit(Overloaded{[](int) { return "number"; }, [](const std::string&) { return "text"; }}, v);
  };
  CHECK(std::string(name(3)) == "number");
  CHECK(std::string(name("three")) == "text");
}

}  // namespace sotto
