// Command lines: subcommands, flags, help and version. CLI11 does the parsing (cli.cc). Wrong usage prints one line to
// stderr, with the command or option that was probably meant, and exits 2; an Error from a command prints its sentence and
// exits 1 (2 for kUnsupported); a Failure exits 1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace sotto {

class Command {
 public:
  // The value behind `target` is the default; it must outlive run(). `name` as CLI11 takes it: "--epsilon" or
  // "-e,--epsilon"; a name without dashes is positional. An optional target has no default, and help shows none.
  Command& option(const std::string& name, std::string& target, const std::string& help, bool required = false);
  Command& option(const std::string& name, double& target, const std::string& help, bool required = false);
  Command& option(const std::string& name, std::int64_t& target, const std::string& help, bool required = false);
  Command& option(const std::string& name, std::optional<double>& target, const std::string& help, bool required = false);
  Command& option(const std::string& name, std::optional<std::int64_t>& target, const std::string& help,
                  bool required = false);
  Command& option(const std::string& name, std::vector<std::string>& target, const std::string& help, bool required = false);
  Command& flag(const std::string& name, bool& target, const std::string& help);
  Command& json(bool& target, const std::string& help = "machine-readable");  // --json
  // Shown at the end of the command's help, behind the program's and the command's names: "--model model.gguf".
  Command& example(const std::string& arguments);
  // Runs when the command was named; returns the exit code's cause: ok is 0.
  Command& on_run(std::function<Result<void>()> action);
  // The heading in help over the commands that are added from now on.
  Command& group(const std::string& heading);
  Command& subcommand(const std::string& name, const std::string& help);
  // A command that a later version brings: exits 2 with "not in this version". Returns this command, not the new one.
  Command& later(const std::string& name, const std::string& help);

  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  ~Command();

 private:
  friend class Cli;
  struct State;
  explicit Command(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Cli {
 public:
  Cli(const std::string& program, const std::string& version, const std::string& description);
  ~Cli();
  Command& root();
  int run(int argc, char** argv);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
