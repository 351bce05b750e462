#include "base/program/cli.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/spelling.h"

namespace sotto {

struct Command::State {
  CLI::App* app = nullptr;
  std::function<Result<void>()> action;
  std::vector<std::unique_ptr<Command>> children;
  std::string heading;  // of the children to come
};

struct Cli::State {
  CLI::App app;
  std::unique_ptr<Command> root;
  State(const std::string& description, const std::string& program) : app(description, program) {}
};

namespace {

template <class T>
void add(CLI::App& app, const std::string& name, T& target, const std::string& help, bool required) {
  auto* option = app.add_option(name, target, help);
  if (required) option->required();
  if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
    if (!required) option->capture_default_str();
  }
}

// "sotto-client data check"
std::string full_name(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return (parent ? full_name(*parent) + " " : "") + app.get_name();
}

// The deepest command that the user named.
const CLI::App* named(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? &app : named(*chosen.front());
}

}  // namespace

Command::Command(std::unique_ptr<State> state) : state_(std::move(state)) {}
Command::~Command() = default;

Command& Command::option(const std::string& name, std::string& target, const std::string& help, bool required) {
  add(*state_->app, name, target, help, required);
  return *this;
}
Command& Command::option(const std::string& name, double& target, const std::string& help, bool required) {
  add(*state_->app, name, target, help, required);
  return *this;
}
Command& Command::option(const std::string& name, std::int64_t& target, const std::string& help, bool required) {
  add(*state_->app, name, target, help, required);
  return *this;
}
Command& Command::option(const std::string& name, std::optional<double>& target, const std::string& help, bool required) {
  add(*state_->app, name, target, help, required);
  return *this;
}
Command& Command::option(const std::string& name, std::optional<std::int64_t>& target, const std::string& help,
                         bool required) {
  add(*state_->app, name, target, help, required);
  return *this;
}
Command& Command::option(const std::string& name, std::vector<std::string>& target, const std::string& help, bool required) {
  add(*state_->app, name, target, help, required);
  return *this;
}
Command& Command::flag(const std::string& name, bool& target, const std::string& help) {
  state_->app->add_flag(name, target, help);
  return *this;
}

Command& Command::json(bool& target, const std::string& help) { return flag("--json", target, help); }

Command& Command::example(const std::string& arguments) {
  state_->app->footer("Example:\n  " + full_name(*state_->app) + (arguments.empty() ? "" : " ") + arguments);
  return *this;
}

Command& Command::group(const std::string& heading) {
  state_->heading = heading;
  return *this;
}

Command& Command::on_run(std::function<Result<void>()> action) {
  state_->action = std::move(action);
  return *this;
}

Command& Command::subcommand(const std::string& name, const std::string& help) {
  auto state = std::make_unique<State>();
  state->app = state_->app->add_subcommand(name, help);
  if (!state_->heading.empty()) state->app->group(state_->heading);
  state_->children.push_back(std::unique_ptr<Command>(new Command(std::move(state))));
  return *state_->children.back();
}

Command& Command::later(const std::string& name, const std::string& help) {
  Command& command = subcommand(name, help + " (not in this version)");
  command.state_->app->prefix_command();  // whatever follows is not ours to judge
  command.on_run([name]() -> Result<void> { return unsupported("'" + name + "' is not in this version"); });
  return *this;
}

Cli::Cli(const std::string& program, const std::string& version, const std::string& description)
    : state_(std::make_unique<State>(description, program)) {
  state_->app.set_version_flag("--version", program + " " + version);
  auto root = std::make_unique<Command::State>();
  root->app = &state_->app;
  state_->root.reset(new Command(std::move(root)));
}
Cli::~Cli() = default;
Command& Cli::root() { return *state_->root; }

namespace {

// What may stand behind a command: its subcommands, or its options with their dashes.
std::vector<std::string> known_words(const CLI::App& app, bool options) {
  std::vector<std::string> out;
  if (options) {
    for (const CLI::Option* option : app.get_options())
      for (const auto& name : option->get_lnames()) out.push_back("--" + name);
  } else {
    for (const CLI::App* command : app.get_subcommands({})) out.push_back(command->get_name());
  }
  return out;
}

// What is wrong with a word that nothing expected; empty when every word was expected.
std::string unexpected_word(const CLI::App& root) {
  const auto words = root.remaining(true);
  if (words.empty()) return "";
  const CLI::App& app = *named(root);
  const bool is_option = words.front().starts_with("-");
  const auto known = known_words(app, is_option);
  const std::string what = is_option ? "option" : "command";
  std::string out = known.empty() && !is_option ? "'" + words.front() + "' was not expected"
                                                : "'" + full_name(app) + "' has no " + what + " '" + words.front() + "'";
  const std::string meant = probably_meant(words.front().substr(0, words.front().find('=')), known);
  return meant.empty() ? out : out + "; did you mean '" + meant + "'?";
}

int wrong_usage(const CLI::App& root, const std::string& what) {
  std::fprintf(stderr, "%s: %s (see '%s --help')\n", root.get_name().c_str(), what.c_str(), full_name(*named(root)).c_str());
  return 2;
}

int report(const std::string& program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), error.message.c_str());
  return error.code == ErrorCode::kUnsupported ? 2 : 1;
}

}  // namespace

int Cli::run(int argc, char** argv) {
  const std::string program = state_->app.get_name();
  try {
    state_->app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", state_->app.help().c_str());  // of the command that was named
    return 0;
  } catch (const CLI::CallForAllHelp&) {
    std::printf("%s", state_->app.help("", CLI::AppFormatMode::All).c_str());
    return 0;
  } catch (const CLI::CallForVersion& e) {
    std::printf("%s\n", e.what());
    return 0;
  } catch (const CLI::ParseError& e) {
    const std::string unexpected = unexpected_word(state_->app);  // a misspelt option is also a missing one
    return wrong_usage(state_->app, unexpected.empty() ? e.what() : unexpected);
  }
  const CLI::App* chosen = named(state_->app);
  const std::function<const Command*(const Command&)> find = [&](const Command& c) -> const Command* {
    if (c.state_->app == chosen) return &c;
    for (const auto& child : c.state_->children)
      if (const Command* found = find(*child)) return found;
    return nullptr;
  };
  const Command* command = find(*state_->root);
  if (!command || !command->state_->action) {
    return wrong_usage(state_->app, "a command is missing");
  }
  try {
    const Result<void> outcome = command->state_->action();
    return outcome.ok() ? 0 : report(program, outcome.error());
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s: internal failure: %s\n", program.c_str(), failure.what());
    return 1;
  } catch (const std::filesystem::filesystem_error& failure) {  // a folder without permission, a disk that is gone
    const std::string what =
        failure.path1().empty() ? failure.what() : "'" + failure.path1().string() + "': " + failure.code().message();
    std::fprintf(stderr, "%s: cannot use %s; check that it is there and that this user may read and write it\n",
                 program.c_str(), what.c_str());
    return 1;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: internal failure: %s\n", program.c_str(), failure.what());
    return 1;
  }
}

}  // namespace sotto
