// What tuning searches over, and how a setting comes into a plan's text.
#include <set>

#include "base/files.h"
#include "client/search/search_command.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {
namespace {

std::string refusal(const std::string& toml) {
  const TemporaryFolder folder;
  REQUIRE(write_file_atomically(folder.file("tune.toml"), toml).ok());
  const auto plan = read_tune_plan(folder.file("tune.toml"));
  return plan.ok() ? "" : plan.error().message;
}

TEST_CASE("a setting replaces its own line, joins its table, or brings its table along", "[tune]") {
  const std::string plan =
      "run = \"a\"  # name\n[optimizer]\nkind = \"sgd\"\nlearning_rate = 0.1  # fast\n[[train.mixture]]\nfile = \"x\"\n";
  CHECK(with_setting(plan, "optimizer.learning_rate", "0.5") ==
        "run = \"a\"  # name\n[optimizer]\nkind = \"sgd\"\nlearning_rate = 0.5\n[[train.mixture]]\nfile = \"x\"\n");
  CHECK(with_setting(plan, "run", "\"b\"").starts_with("run = \"b\"\n[optimizer]"));
  CHECK(with_setting(plan, "optimizer.beta1", "0.8").find("[optimizer]\nbeta1 = 0.8\nkind") != std::string::npos);
  CHECK(with_setting(plan, "lora.rank", "4").ends_with("file = \"x\"\n[lora]\nrank = 4\n"));
  CHECK(with_setting(plan, "sites", "[]").starts_with("sites = []\nrun"));
  CHECK(with_setting("[lora]\n# rank = 2\nrank = 8", "lora.rank", "4") == "[lora]\n# rank = 2\nrank = 4\n");
  CHECK(with_setting("[train]\nout = \"a\"\n[train.more]\nout = \"b\"\n", "train.out", "\"c\"") ==
        "[train]\nout = \"c\"\n[train.more]\nout = \"b\"\n");
}

TEST_CASE("a grid has every combination once, and a random search stays within its ranges", "[tune]") {
  TunePlan plan;
  plan.kind = SearchKind::kGrid;
  plan.parameters = {{"a", {"1", "2"}}, {"b", {"x", "y", "z"}}};
  FixedRandom random(1);
  const auto grid = settings_of(plan, random);
  REQUIRE(grid.ok());
  CHECK(std::set<Settings>(grid->begin(), grid->end()).size() == 6);
  for (int i = 0; i < 10; ++i) plan.parameters.push_back({"c" + std::to_string(i), {"1", "2"}});
  CHECK_FALSE(settings_of(plan, random).ok());
  plan.kind = SearchKind::kRandom;
  plan.trials = 200;
  plan.parameters = {{"rate", {}, 0.001, 0.1, true}, {"rank", {"4", "8"}}};
  const auto drawn = settings_of(plan, random);
  REQUIRE(drawn.ok());
  int below = 0;
  for (const auto& s : *drawn) {
    const double rate = std::stod(s[0].second);
    CHECK((rate >= 0.001 && rate <= 0.1));
    below += rate < 0.01 ? 1 : 0;
  }
  CHECK((below > 60 && below < 140));  // half of the logarithm's range; 200 fair coins are outside in one of 10^7 seeds
}

TEST_CASE("a search that cannot be is refused by key", "[tune]") {
  const std::string start = "plan = \"run.toml\"\n";
  CHECK(read_tune_plan(SOTTO_SOURCE "/configs/tune.toml").ok());
  CHECK(refusal(start).find("[[parameter]]") != std::string::npos);
  CHECK(refusal(start + "kind = \"guess\"\n[[parameter]]\nkey = \"a\"\nvalues = [\"1\"]\n").find("'kind'") !=
        std::string::npos);
  CHECK(refusal(start + "[[parameter]]\nkey = \"a\"\n").find("either 'values'") != std::string::npos);
  CHECK(refusal(start + "[[parameter]]\nkey = \"a\"\nlow = 0\nhigh = 1\nlog = true\n").find("above 0") != std::string::npos);
  CHECK(refusal(start + "kind = \"grid\"\n[[parameter]]\nkey = \"a\"\nlow = 0\nhigh = 1\n").find("needs 'values'") !=
        std::string::npos);
  CHECK(refusal(start + "[[parameter]]\nkey = \"privacy.epsilon\"\nvalues = [\"1\"]\n").find("not a setting") !=
        std::string::npos);
}

}  // namespace
}  // namespace sotto::client
