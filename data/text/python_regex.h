// Regular expressions of other people's configuration files, written for Python's `re` (PEFT's adapter_config.json holds
// such). Run by PCRE2, whose syntax covers what module patterns use. An expression is foreign input: its length, its
// compiled form and the work of one match are bounded, and what exceeds a bound is an error, never a hang or a deep stack.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sotto::data {

class PythonRegex {
 public:
  enum class Extent { kPrefix, kWhole };  // re.match, re.fullmatch

  // `origin` (file and field) starts every error message.
  static Result<PythonRegex> compile(std::string_view expression, Extent extent, std::string origin);
  PythonRegex(PythonRegex&&) noexcept;
  PythonRegex& operator=(PythonRegex&&) noexcept;
  ~PythonRegex();

  // The text of the named group (empty where it took no part), or of the whole match for an empty name; nullopt: no match.
  Result<std::optional<std::string>> match(std::string_view text, const std::string& group = "") const;

 private:
  struct State;
  explicit PythonRegex(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
