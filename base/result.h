// Result<T>: a value, or an Error caused by another party, a file or a policy. The shape of std::expected (C++23).
// An Error's message names the thing, the value and the next step, in one sentence that a person can act on.
// Reading the wrong side is a broken invariant (check.h).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace sotto {

enum class ErrorCode {
  kInvalid,      // malformed input: bytes, a config, a flag, a file's content
  kNotFound,     // a file, a site, a run that is not there
  kRefused,      // a policy or a person said no
  kOverBudget,   // a privacy budget would be exceeded
  kProtocol,     // a peer broke the protocol: wrong sender, phase, signature, share
  kUnavailable,  // cannot be had now: no peer, no device, no space
  kUnsupported,  // well-formed, but not in this version
};

const char* to_string(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    SOTTO_CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    SOTTO_CHECK(ok());
    return std::get<0>(state_);
  }
  // By value, so that what a temporary held outlives it: `for (auto& x : f().value())` is safe.
  T value() && {
    SOTTO_CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    SOTTO_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  void value() const { SOTTO_CHECK(ok()); }
  const Error& error() const {
    SOTTO_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

inline Error invalid(std::string message) { return {ErrorCode::kInvalid, std::move(message)}; }
inline Error not_found(std::string message) { return {ErrorCode::kNotFound, std::move(message)}; }
inline Error refused(std::string message) { return {ErrorCode::kRefused, std::move(message)}; }
inline Error over_budget(std::string message) { return {ErrorCode::kOverBudget, std::move(message)}; }
inline Error protocol_error(std::string message) { return {ErrorCode::kProtocol, std::move(message)}; }
inline Error unavailable(std::string message) { return {ErrorCode::kUnavailable, std::move(message)}; }
inline Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

}  // namespace sotto

// SOTTO_TRY(auto x, f());  declares x from a Result's value, or returns its Error from the enclosing function.
#define SOTTO_CONCAT_INNER(a, b) a##b
#define SOTTO_CONCAT(a, b) SOTTO_CONCAT_INNER(a, b)
#define SOTTO_TRY_IMPL(result, declaration, ...) \
  auto result = (__VA_ARGS__);                   \
  if (!result.ok()) return result.error();       \
  declaration = std::move(result).value()
#define SOTTO_TRY(declaration, ...) SOTTO_TRY_IMPL(SOTTO_CONCAT(sotto_result_, __LINE__), declaration, __VA_ARGS__)
// SOTTO_TRY_VOID(f());  the same for a Result whose value is not needed.
#define SOTTO_TRY_VOID(...)                              \
  do {                                                   \
    auto sotto_result = (__VA_ARGS__);                   \
    if (!sotto_result.ok()) return sotto_result.error(); \
  } while (false)
