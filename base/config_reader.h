// Strict reading of a TOML file: unknown keys, wrong types and missing keys are errors with file, line and the nearest known
// key. Use: declare what is read (each get marks its key as known), then finish(), which reports the first error of all
// reads and any key that nobody asked for. toml++ does the parsing (config_reader.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sotto {

class ConfigReader {
 public:
  static Result<ConfigReader> read_file(const std::string& path);
  static Result<ConfigReader> parse(std::string_view text, std::string_view origin);
  ConfigReader(ConfigReader&&) noexcept;
  ConfigReader& operator=(ConfigReader&&) noexcept;
  ~ConfigReader();

  // `key` is dotted: "policy.epsilon_limit". Without a default the key is required. After the first error all return
  // defaults.
  std::string text(std::string_view key, std::optional<std::string> fallback = std::nullopt);
  double number(std::string_view key, std::optional<double> fallback = std::nullopt);  // integers are taken as numbers too
  std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback = std::nullopt);
  bool boolean(std::string_view key, std::optional<bool> fallback = std::nullopt);
  std::vector<std::string> texts(std::string_view key, std::optional<std::vector<std::string>> fallback = std::nullopt);
  bool has(std::string_view key) const;

  // An array of tables ([[site]]): reader i sees the i-th table as its root and shares errors with this one.
  std::vector<ConfigReader> tables(std::string_view key);

  // Records an error about a key's value that the caller found ("must be positive"), with file and line.
  void reject(std::string_view key, const std::string& why);

  Result<void> finish();

 private:
  struct State;
  explicit ConfigReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto
