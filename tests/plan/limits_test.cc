// A site judges a plan from the wire by the limits that the operator's file has: each number of a plan is put just outside its
// limits, once in a plan and once in a file, and both are refused in the same words.
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include "base/files.h"
#include "plan/file_fields.h"
#include "plan/plan_fields.h"
#include "plan/plan_file.h"
#include "plan/run_plan.h"
#include "tests/support/catch.h"

using namespace sotto;
using plan::for_each_field;
using plan::Row;

namespace {

RunPlan valid_plan() {
  RunPlan p;
  p.run = RunId("limits");
  p.lora.targets = {"q_proj"};
  p.expected_batch = 24;
  for (int i = 0; i < 4; ++i) p.sites.push_back({"site-" + std::to_string(i), 1000, 24.0 / 1000, 0.5, 1.0});
  return p;
}

template <class T>
constexpr bool kIsNumber = std::is_same_v<T, double> || std::is_same_v<T, std::uint32_t> || std::is_same_v<T, std::uint64_t>;

struct Outside {
  Row row;
  bool whole;
  std::vector<double> values;
};

double below(double limit) { return limit == 0 ? -1e-9 : limit - std::abs(limit) * 1e-9; }

// Every number of `fields`, with values that its row excludes.
template <class Fields>
std::vector<Outside> numbers_of(Fields& fields) {
  std::vector<Outside> out;
  for_each_field(fields, [&](const Row& row, auto& member) {
    using T = std::remove_cvref_t<decltype(member)>;
    if constexpr (kIsNumber<T>) {
      const auto& l = row.limits;
      Outside of{row, !std::is_same_v<T, double>, {}};
      if (of.whole) {
        if (l.low >= 1) of.values.push_back(l.low - 1);
        if (l.low == 1 && l.or_zero) of.values.pop_back();
        of.values.push_back(l.high + 1);
      } else {
        constexpr double kInfinity = std::numeric_limits<double>::infinity();
        of.values = {std::nan(""), kInfinity, -kInfinity};
        if (!(l.above && l.low == 0 && l.or_zero)) of.values.push_back(l.above ? l.low : below(l.low));
        if (l.high < plan::kNoLimit) of.values.push_back(l.below ? l.high : -below(-l.high));
      }
      out.push_back(of);
    }
  });
  return out;
}

template <class Fields>
void put(Fields& fields, const Row& where, double value) {
  for_each_field(fields, [&](const Row& row, auto& member) {
    using T = std::remove_cvref_t<decltype(member)>;
    if constexpr (kIsNumber<T>)
      if (row.key == where.key) member = static_cast<T>(value);
  });
}

std::string why(const Result<void>& checked) { return checked.ok() ? "" : checked.error().message; }
bool ends_with(const std::string& text, const std::string& end) { return text.ends_with(end); }

// What a file with this one key changed says.
std::string why_of_file(const Row& row, bool whole, double value) {
  const bool prompt = row.key.starts_with("prompt.");
  std::map<std::string, std::string> keys{{"run", "\"limits\""},      {"model.sha256", "\"" + std::string(64, '0') + "\""},
                                          {"privacy.epsilon", "8.0"}, {"privacy.expected_batch", "24"},
                                          {"training.rounds", "4"},   {"optimizer.learning_rate", "0.01"}};
  keys[prompt ? "training.trained" : "lora.targets"] = prompt ? "\"prompt\"" : "[\"q_proj\"]";
  char number[64];
  std::snprintf(number, sizeof number, whole ? "%.0f" : "%.17e", value);
  keys[std::string(row.key)] = number;
  std::string text;
  for (const auto& [key, v] : keys) text += key + " = " + v + "\n";
  const auto path = (std::filesystem::temp_directory_path() / "sotto-limits.toml").string();
  REQUIRE(write_file_atomically(path, text).ok());
  const auto file = plan::read_plan_file(path);
  return file.ok() ? "" : file.error().message;
}

}  // namespace

TEST_CASE("a plan and a file are refused in the same words just outside the limits of each number", "[plan]") {
  RunPlan base = valid_plan();
  REQUIRE(why(validate(base)) == "");
  std::size_t tried = 0;
  for (const auto& [row, whole, values] : numbers_of(base))
    for (const double value : values) {
      INFO(row.key << " = " << value);
      RunPlan p = valid_plan();
      put(p, row, value);
      CHECK(why(validate(p)).starts_with("plan: " + std::string(row.key) + " = "));
      CHECK(ends_with(why(validate(p)), ", but it must be " + row.limits.words(whole)));
      if (p.trained == TrainedPart::kB) {
        p.sites.resize(1);
        CHECK(ends_with(why(validate_alone(p)), ", but it must be " + row.limits.words(whole)));
      }
      ++tried;
      if (row.source == plan::Source::kComputed) continue;
      const auto told = why_of_file(row, whole, value);
      CHECK(told.find("'" + std::string(row.key) + "' is ") != std::string::npos);
      CHECK(ends_with(told, ", must be " + row.limits.words(whole)));
    }
  CHECK(tried > 80);
}

TEST_CASE("each number of a site's part of a plan has limits, too", "[plan]") {
  SitePlan site;
  for (const auto& [row, whole, values] : numbers_of(site))
    for (const double value : values) {
      INFO(row.key << " = " << value);
      RunPlan p = valid_plan();
      put(p.sites[2], row, value);
      CHECK(why(validate(p)).starts_with("plan: " + std::string(row.key) + " of site 'site-2' = "));
      CHECK(ends_with(why(validate(p)), ", but it must be " + row.limits.words(whole)));
    }
}

TEST_CASE("a number that stands for no value of an enumeration is refused when a plan is decoded, by field and number",
          "[plan]") {
  RunPlan base = valid_plan();
  std::vector<std::string_view> keys;
  for_each_field(base, [&](const Row& row, auto& member) {
    if constexpr (NamedEnum<std::remove_cvref_t<decltype(member)>>) keys.push_back(row.key);
  });
  CHECK(keys.size() == 9);
  for (const auto key : keys) {
    RunPlan p = valid_plan();
    for_each_field(p, [&](const Row& row, auto& member) {
      using T = std::remove_cvref_t<decltype(member)>;
      if constexpr (NamedEnum<T>)
        if (row.key == key) member = static_cast<T>(77);
    });
    INFO(key);
    const auto decoded = decode_plan(encode(p));
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().message.find(std::string(key) + " = 77") != std::string::npos);
    CHECK(why(validate(p)).find(std::string(key) + " = 77") != std::string::npos);
  }
}

TEST_CASE("values that have a number and are not in this version are refused by name in plans and in files", "[plan]") {
  const std::vector<std::pair<std::string, std::string>> cases{{"mode", "joint"}, {"privacy.unit", "site"}};
  for (const auto& [key, name] : cases) {
    RunPlan p = valid_plan();
    if (key == "mode") p.mode = static_cast<Mode>(2);
    if (key == "privacy.unit") p.unit = static_cast<privacy::Unit>(3);
    const auto decoded = decode_plan(encode(p));
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().code == ErrorCode::kUnsupported);
    const std::string shown = key + " = \"" + name + "\"";
    CHECK(decoded.error().message.find(shown) != std::string::npos);
    CHECK(validate(p).error().code == ErrorCode::kUnsupported);
    const auto path = (std::filesystem::temp_directory_path() / "sotto-later.toml").string();
    REQUIRE(write_file_atomically(path, "run = \"later\"\n" + shown + "\n").ok());
    const auto file = plan::read_plan_file(path);
    REQUIRE_FALSE(file.ok());
    CHECK(file.error().code == ErrorCode::kUnsupported);
    CHECK(file.error().message.find(path + ": " + shown) == 0);
  }
}
