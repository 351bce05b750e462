// How token sequences of different lengths share one pass through the model: their tokens stand one after another as rows of
// matrices, rows left over are dummies. Everything but attention treats each row alone; attention sees one sequence at a
// time. So there is no padding to a common length, and a sequence's numbers do not depend on its neighbours: either the
// height of every matrix product is a function of the sequence's own length (kFixed), or no row's bits depend on the height
// (kAny; model/network/heights.h finds out). No tensors; pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sotto::model {

// Rows of one pass. 256 rows keep a matrix product at full speed and its activations in a core's cache. A sequence that is
// longer takes the next multiple, together with sequences of the same multiple.
inline constexpr std::uint32_t kRowsPerPass = 256;
// Heights of passes are multiples of it where any height will do.
inline constexpr std::uint32_t kLowestPass = 32;

enum class Heights : std::uint8_t { kFixed, kAny };

struct Segment {
  std::uint32_t sequence = 0;  // index into the lengths given
  std::uint32_t start = 0;     // first row
  std::uint32_t length = 0;
  bool operator==(const Segment&) const = default;
};

struct Pass {
  std::uint32_t rows = 0;  // a multiple of kRowsPerPass, or of kLowestPass
  std::vector<Segment> segments;
};

// Every sequence stands in exactly one pass; lengths are above 0. First fit in order of decreasing length.
std::vector<Pass> pack(std::span<const std::uint32_t> lengths, Heights heights = Heights::kFixed);

}  // namespace sotto::model
