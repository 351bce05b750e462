#include "base/program/cli.h"

#include <unistd.h>

#include <cstdio>

#include "base/files.h"
#include "base/spelling.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto {
namespace {

struct Outcome {
  int code = 0;
  std::string out, err;
};

// A program with two commands, a group of them, and options of every kind.
class Program {
 public:
  Program() : cli_("tool", "1.0", "A tool.") {
    cli_.root().group("Making");
    cli_.root()
        .subcommand("calibrate", "find a value")
        .option("--noise-multiplier", noise, "noise")
        .option("--steps", steps, "steps")
        .option("--accountant", accountant, "which")
        .json(json)
        .example("--steps 3")
        .on_run([]() -> Result<void> { return {}; });
    cli_.root().group("Looking");
    Command& ledger = cli_.root().subcommand("ledger", "look");
    ledger.subcommand("show", "print it").option("path", path, "a file", true).example("log").on_run([]() -> Result<void> {
      return {};
    });
  }

  Outcome run(std::vector<std::string> words) {
    const TemporaryFolder folder;
    std::vector<char*> argv{const_cast<char*>("tool")};
    for (auto& word : words) argv.push_back(word.data());
    Outcome done;
    std::fflush(stdout);
    std::fflush(stderr);
    const int out = ::dup(STDOUT_FILENO), err = ::dup(STDERR_FILENO);
    REQUIRE(std::freopen(folder.file("out").c_str(), "w", stdout) != nullptr);
    REQUIRE(std::freopen(folder.file("err").c_str(), "w", stderr) != nullptr);
    done.code = cli_.run(static_cast<int>(argv.size()), argv.data());
    std::fflush(stdout);
    std::fflush(stderr);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::close(out);
    ::close(err);
    done.out = read_text_file(folder.file("out")).value();
    done.err = read_text_file(folder.file("err")).value();
    return done;
  }

  std::optional<double> noise;
  std::optional<std::int64_t> steps;
  std::string accountant = "pld", path;
  bool json = false;

 private:
  Cli cli_;
};

Outcome run(std::vector<std::string> words) { return Program().run(std::move(words)); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("usage lines name the program and the whole command, and end with an example", "[cli]") {
  const auto help = run({"ledger", "show", "--help"});
  CHECK(help.code == 0);
  CHECK(has(help.out, "Usage: tool ledger show [OPTIONS] path\n"));
  CHECK(has(help.out, "Example:\n  tool ledger show log\n"));
}

TEST_CASE("a default that means none is not shown, and one that is a value is", "[cli]") {
  const auto help = run({"calibrate", "--help"});
  CHECK(has(help.out, "--noise-multiplier FLOAT"));
  CHECK(has(help.out, "=pld"));
  CHECK_FALSE(has(help.out, "e+"));
  CHECK_FALSE(has(help.out, "-1"));
}

TEST_CASE("commands stand in help under the headings of their groups", "[cli]") {
  const auto help = run({"--help"});
  const auto making = help.out.find("Making:"), looking = help.out.find("Looking:");
  REQUIRE(making != std::string::npos);
  REQUIRE(looking != std::string::npos);
  CHECK(help.out.find("calibrate") > making);
  CHECK(help.out.find("calibrate") < looking);
  CHECK(help.out.find("ledger") > looking);
}

TEST_CASE("an optional value is set when it is given, negative ones too", "[cli]") {
  Program program;
  CHECK(program.run({"calibrate", "--noise-multiplier", "-1.5"}).code == 0);
  CHECK(program.noise == -1.5);
  CHECK_FALSE(program.steps);
}

TEST_CASE("a mistyped command or option is answered with the one that was probably meant", "[cli]") {
  const auto command = run({"calibarte"});
  CHECK(command.code == 2);
  CHECK(command.err == "tool: 'tool' has no command 'calibarte'; did you mean 'calibrate'? (see 'tool --help')\n");
  const auto inner = run({"ledger", "shwo", "log"});
  CHECK(inner.code == 2);
  CHECK(has(inner.err, "'tool ledger' has no command 'shwo'; did you mean 'show'? (see 'tool ledger --help')"));
  const auto option = run({"calibrate", "--acountant", "rdp"});
  CHECK(option.code == 2);
  CHECK(has(option.err, "'tool calibrate' has no option '--acountant'; did you mean '--accountant'?"));
  const auto unlike = run({"xyzzy"});
  CHECK(unlike.code == 2);
  CHECK(has(unlike.err, "'xyzzy'"));
  CHECK_FALSE(has(unlike.err, "did you mean"));
}

TEST_CASE("a misspelt option is told before the required one that it leaves out", "[cli]") {
  const auto missing = run({"ledger", "show"});
  CHECK(missing.code == 2);
  CHECK(has(missing.err, "path is required"));
  CHECK(has(missing.err, "(see 'tool ledger show --help')"));
}

TEST_CASE("words are compared by insertions, deletions, replacements and swaps", "[cli]") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "abc") == 0);
  CHECK(edit_distance("abcd", "acbd") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(probably_meant("aproove", {"approve", "refuse"}) == "approve");
  CHECK(probably_meant("invit", {"init", "invite"}) == "invite");
  CHECK(probably_meant("frobnicate", {"approve", "refuse"}).empty());
  CHECK(probably_meant("x", {}).empty());
}

}  // namespace sotto
