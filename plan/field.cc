#include "plan/field.h"

#include <cmath>
#include <cstdint>

#include "base/json.h"

namespace sotto::plan {

std::string in_words(double value) { return std::isfinite(value) ? Json(value).dump() : std::to_string(value); }

bool Limits::contains(double value) const {
  if (or_zero && value == 0) return true;
  return (above ? value > low : value >= low) && (below ? value < high : value <= high) && std::isfinite(value);
}

std::string Limits::words(bool whole) const {
  const auto word = [&](double v) { return whole ? std::to_string(static_cast<std::int64_t>(v)) : in_words(v); };
  std::string out = or_zero ? "0 or " : "";
  if (high >= kNoLimit) return out + (above ? "above " : "at least ") + word(low);
  if (!above && !below) return out + "from " + word(low) + " to " + word(high);
  return out + (above ? "above " : "at least ") + word(low) + " and " + (below ? "below " : "at most ") + word(high);
}

}  // namespace sotto::plan
