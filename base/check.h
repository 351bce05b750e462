// Broken invariants and machine faults. `Failure` is the only exception type of the project: thrown for causes that are ours
// or the machine's (a broken invariant, OpenSSL or LibTorch failing), caught in each program's main and nowhere else.
// Whatever another party, a file or a policy can cause is a Result (result.h), never a Failure.
#pragma once

#include <stdexcept>
#include <string>

namespace sotto {

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace sotto

// Always on. Write conditions so that NaN fails them: SOTTO_CHECK(x > 0), never SOTTO_CHECK(!(x <= 0)).
#define SOTTO_CHECK(condition)                                             \
  do {                                                                     \
    if (!(condition)) ::sotto::fail_check(#condition, __FILE__, __LINE__); \
  } while (false)
