// Strong types for names and numbers that must not be mixed up: RoundId r = AttemptId(1) does not compile.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace sotto {

template <class T, class Tag>
class Strong {
 public:
  Strong() = default;
  explicit Strong(T value) : value_(std::move(value)) {}
  const T& value() const { return value_; }
  auto operator<=>(const Strong&) const = default;

 private:
  T value_{};
};

using RunId = Strong<std::string, struct RunIdTag>;            // chosen by the operator: [a-z0-9-]{1,64}
using SiteName = Strong<std::string, struct SiteNameTag>;      // [a-z0-9-]{1,64}, unique at a coordinator
using SiteIndex = Strong<std::uint32_t, struct SiteIndexTag>;  // position in a run's roster, from 0
using RoundId = Strong<std::uint32_t, struct RoundIdTag>;      // from 0 within a run
using AttemptId = Strong<std::uint32_t, struct AttemptIdTag>;  // from 1 within a round

// Whether text is usable as a RunId or SiteName; such names go into file paths, so nothing else is ever accepted.
bool is_valid_name(const std::string& text);

}  // namespace sotto
