// Blind review: what a rater sees, what a sheet keeps, what a rating may be, and what the report says of it.
#include "evaluation/review.h"

#include <filesystem>
#include <set>

#include "base/files.h"
#include "evaluation/review_report.h"
#include "evaluation/review_set.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::evaluation {
namespace {

const std::string kToml = R"(title = "Coding"
models = ["base-model", "tuned-model"]
raters = ["anna", "ben"]
[[dimension]]
name = "safe"
question = "Safe?"
anchors = ["no", "partly", "yes"]
)";

struct Folder {
  TemporaryFolder folder;
  explicit Folder(int items = 10, const std::string& toml = kToml) {
    std::string lines;
    for (int i = 0; i < items; ++i)
      lines += Json::object({{"id", "i" + std::to_string(i)},
                             {"prompt", "p"},
                             {"first", "F" + std::to_string(i)},
                             {"second", "S" + std::to_string(i)},
                             {"difference", i / 10.0}})
                   .dump() +
               "\n";
    write_file_atomically(folder.file("items.jsonl"), lines).value();
    write_file_atomically(folder.file("review.toml"), toml).value();
  }
};

Json rating(const std::string& id, const std::string& preference, int left, int right, const std::string& comment = "") {
  return Json::object({{"id", id},
                       {"preference", preference},
                       {"points", Json::object({{"safe", Json::array({left, right})}})},
                       {"comment", comment},
                       {"seconds", 2.5}});
}

std::string refusal(const std::string& toml) {
  const Folder f(2, toml);
  const auto set = read_review(f.folder.path());
  return set.ok() ? "" : set.error().message;
}

}  // namespace

TEST_CASE("each rater gets an own order and own sides, the most different items first, and keeps them", "[review]") {
  const Folder f(50);
  const auto set = read_review(f.folder.path()).value();
  FixedRandom random(1);
  const auto anna = open_sheet(f.folder.path(), set, "anna", random).value();
  const auto ben = open_sheet(f.folder.path(), set, "ben", random).value();
  CHECK(std::set(anna.order.begin(), anna.order.end()).size() == 50);
  CHECK(anna.order != ben.order);
  CHECK(anna.swapped != ben.swapped);
  CHECK(anna.token != ben.token);
  CHECK(anna.token.size() == 32);
  for (std::size_t i = 0; i < 10; ++i) CHECK(std::stoi(anna.order[i].substr(1)) >= 40);
  for (std::size_t i = 40; i < 50; ++i) CHECK(std::stoi(anna.order[i].substr(1)) < 10);
  const auto swapped = std::count(anna.swapped.begin(), anna.swapped.end(), true);
  CHECK((swapped > 10 && swapped < 40));
  const auto again = open_sheet(f.folder.path(), set, "anna", random).value();
  CHECK(again.order == anna.order);
  CHECK(again.swapped == anna.swapped);
  CHECK(again.token == anna.token);
  namespace fs = std::filesystem;
  CHECK((fs::status(f.folder.file("ratings/anna.json")).permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
        fs::perms::none);
}

TEST_CASE("a rater sees sides without models, and a rating comes back as it was given", "[review]") {
  const Folder f;
  const auto set = read_review(f.folder.path()).value();
  FixedRandom random(2);
  auto sheet = make_sheet(set, "anna", random);
  bool both[2] = {};
  for (std::size_t place = 0; place < sheet.order.size(); ++place) {
    const bool swapped = sheet.swapped[place];
    both[swapped ? 1 : 0] = true;
    const Json before = blind_view(set, sheet, place);
    CHECK(before.dump().find("model") == std::string::npos);
    CHECK(before.at("left").as_string()[0] == (swapped ? 'S' : 'F'));
    CHECK(before.at("rating").is_null());
    rate(set, sheet, rating(sheet.order[place], "left", 2, 0, "<b>&\"")).value();
    const auto& kept = sheet.ratings.at(sheet.order[place]);
    CHECK(kept.preference == (swapped ? Preference::kSecond : Preference::kFirst));
    CHECK(kept.points[0][swapped ? 1 : 0] == 2);
    const Json shown = blind_view(set, sheet, place).at("rating");
    CHECK(shown.at("preference").as_string() == "left");
    CHECK(shown.at("points").at("safe").at(0).as_int() == 2);
    CHECK(shown.at("comment").as_string() == "<b>&\"");
  }
  CHECK((both[0] && both[1]));
  CHECK(first_open(sheet) == sheet.order.size());
  save_sheet(f.folder.path(), set, sheet).value();
  const auto read = read_sheet(f.folder.path(), set, "anna").value();
  for (const auto& [id, kept] : sheet.ratings) {
    CHECK(read.ratings.at(id).preference == kept.preference);
    CHECK(read.ratings.at(id).points == kept.points);
    CHECK(read.ratings.at(id).comment == kept.comment);
    CHECK(read.ratings.at(id).seconds == kept.seconds);
  }
}

TEST_CASE("a rating that cannot be is refused and changes nothing", "[review]") {
  const Folder f;
  const auto set = read_review(f.folder.path()).value();
  FixedRandom random(3);
  auto sheet = make_sheet(set, "anna", random);
  CHECK_FALSE(rate(set, sheet, rating("nowhere", "left", 0, 0)).ok());
  CHECK_FALSE(rate(set, sheet, rating("i1", "first", 0, 0)).ok());
  CHECK_FALSE(rate(set, sheet, rating("i1", "left", 3, 0)).ok());
  CHECK_FALSE(rate(set, sheet, rating("i1", "left", 0, -1)).ok());
  CHECK_FALSE(rate(set, sheet, Json::object({{"id", "i1"}, {"preference", "tie"}, {"comment", ""}, {"seconds", 1}})).ok());
  auto negative = rating("i1", "tie", 0, 0);
  negative.set("seconds", -1);
  CHECK_FALSE(rate(set, sheet, negative).ok());
  CHECK_FALSE(rate(set, sheet, Json::array()).ok());
  CHECK(sheet.ratings.empty());
  std::string umlauts;
  for (int i = 0; i < 3000; ++i) umlauts += "\xC3\xBC";
  rate(set, sheet, rating("i1", "tie", 0, 0, umlauts + "x")).value();
  CHECK(sheet.ratings.at("i1").comment.size() == 4000);
}

TEST_CASE("items that were added are shown last; one that was taken away is an error", "[review]") {
  const Folder f(4);
  FixedRandom random(4);
  const auto small = read_review(f.folder.path()).value();
  const auto before = open_sheet(f.folder.path(), small, "anna", random).value();
  auto larger = small;
  larger.items.push_back({"new", "p", {"a", "b"}, 99});
  const auto after = open_sheet(f.folder.path(), larger, "anna", random).value();
  CHECK(after.order.size() == 5);
  CHECK(after.order.back() == "new");
  CHECK(std::equal(before.order.begin(), before.order.end(), after.order.begin()));
  const auto gone = open_sheet(f.folder.path(), small, "anna", random);
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().message.find("'new'") != std::string::npos);
}

TEST_CASE("a review that cannot be right is refused by name", "[review]") {
  const auto replaced = [](const std::string& what, const std::string& with) {
    return std::string(kToml).replace(kToml.find(what), what.size(), with);
  };
  CHECK(refusal(kToml).empty());
  CHECK(refusal(replaced("\"anna\", \"ben\"", "\"../x\"")).find("'../x'") != std::string::npos);
  CHECK(refusal(replaced("\"anna\", \"ben\"", "\"anna\", \"anna\"")).find("twice") != std::string::npos);
  CHECK(refusal(replaced("\"base-model\", ", "")).find("two different models") != std::string::npos);
  CHECK(refusal(replaced("[\"no\", \"partly\", \"yes\"]", "[\"no\"]")).find("2 to 7") != std::string::npos);
  CHECK(refusal(replaced("\"safe\"", "\"preference\"")).find("preference") != std::string::npos);
  CHECK(refusal(replaced("title", "titel")).find("titel") != std::string::npos);
}

TEST_CASE("the report: win rate, intervals, points, agreement and disagreements", "[review]") {
  const Folder f(4);
  const auto set = read_review(f.folder.path()).value();
  FixedRandom random(5);
  std::vector<Sheet> sheets{make_sheet(set, "anna", random), make_sheet(set, "ben", random)};
  const auto give = [&](Sheet& sheet, const std::string& id, Preference p, std::uint32_t first, std::uint32_t second) {
    sheet.ratings[id] = {p, {{first, second}}, "because\x1b", 4};
  };
  give(sheets[0], "i0", Preference::kSecond, 0, 2);
  give(sheets[0], "i1", Preference::kSecond, 1, 2);
  give(sheets[0], "i2", Preference::kTie, 1, 1);
  give(sheets[1], "i0", Preference::kFirst, 2, 0);
  give(sheets[1], "i1", Preference::kSecond, 1, 2);
  const Json report = review_json(set, sheets);
  const auto& p = report.at("preference");
  CHECK(p.at("win_rate").as_double() == Approx(3.5 / 5));
  CHECK(p.at("first").as_int() == 1);
  CHECK(p.at("ties").as_int() == 1);
  CHECK(p.at("wilson").at(0).as_double() < 0.7);
  const auto& cohen = report.at("agreement").at("preference").at("cohen").at(0);
  CHECK(cohen.at("items").as_int() == 2);
  CHECK(cohen.at("kappa").as_double() == Approx(0));  // they agree on i1 and not on i0: as by chance
  CHECK(report.at("agreement").at("preference").at("fleiss").at("items").as_int() == 2);
  const auto& safe = report.at("dimensions").at("safe");
  CHECK(safe.at("first").as_double() == Approx(2.0));   // (1 + 2 + 2 + 3 + 2) / 5
  CHECK(safe.at("second").as_double() == Approx(2.4));  // (3 + 3 + 2 + 1 + 3) / 5
  REQUIRE(report.at("disagreements").items().size() == 1);
  CHECK(report.at("disagreements").at(0).at("id").as_string() == "i0");
  const auto text = review_text(report);
  CHECK(text.find("tuned-model against base-model") != text.npos);
  CHECK(text.find('\x1b') == text.npos);
}

TEST_CASE("the report of a review that nobody has rated yet says so and holds no nan", "[review]") {
  const Folder f(4);
  const auto set = read_review(f.folder.path()).value();
  FixedRandom random(5);
  const std::vector<Sheet> sheets{make_sheet(set, "anna", random), make_sheet(set, "ben", random)};
  const Json report = review_json(set, sheets);
  CHECK(report.dump().find("nan") == std::string::npos);
  CHECK(report.at("agreement").at("preference").at("fleiss").at("kappa").is_null());
  const auto text = review_text(report);
  CHECK(text.find("nan") == std::string::npos);
  CHECK(text.find("0 of 4 items rated\n") != std::string::npos);
  CHECK(text.find("Fleiss none") != std::string::npos);
}

TEST_CASE("a comparison becomes a folder for review, without the answers that are alike", "[review]") {
  TemporaryFolder folder;
  Task task;
  task.name = "t \"quoted\"";
  for (const auto* id : {"a", "b", "c"}) {
    task.items.emplace_back();
    task.items.back().id = id;
    task.items.back().prompt = "p";
  }
  const Outcome first{"base", "", {}, {"same", "one two", "x"}, {}},
      second{"adapter \\ \n", "", {}, {" same", "one three", "y"}, {}};
  const auto path = folder.file("review");
  write_review(path, task, first, second).value();
  const auto set = read_review(path).value();
  CHECK(set.title == "Review: t \"quoted\"");
  CHECK(set.models[1] == "adapter \\ \n");
  REQUIRE(set.items.size() == 2);
  CHECK(set.items[0].difference == Approx(0.5));
  CHECK(set.items[1].difference == 1);
  CHECK_FALSE(write_review(path, task, first, second).ok());
  CHECK_FALSE(write_review(folder.file("other"), task, first, first).ok());
  task.kind = TaskKind::kChoice;
  CHECK_FALSE(write_review(folder.file("other"), task, first, second).ok());
}

}  // namespace sotto::evaluation
