// Updates as integers modulo 2^b, which masks hide and sums add exactly. Mode `local`: a site sends
//   x_i = round(clip(w_i / max w * update, -range, range) / step) mod 2^b   (two's complement, round half to even),
// and the coordinator turns the sum into the weighted mean: lift(sum) * step / sum_i(w_i / max w), where lift takes the
// representative nearest to zero. The same input gives the same integers on every machine. How many coordinates were clipped
// is a function of private data: it is not counted. Pure functions, any thread.
#pragma once

#include <span>
#include <vector>

#include "plan/run_plan.h"

namespace sotto::aggregation {

// Ring parameters that cannot overflow for a number of sites: checked once, here.
class Ring {
 public:
  // Needs 1 <= bits <= 32, positive range >= step, and sites * round(range / step) <= 2^(bits - 1) - 1, so that no sum of
  // that many updates wraps. The error (kInvalid) says which bits would do.
  static Result<Ring> make(const RingPlan& plan, std::uint32_t sites);

  std::uint32_t bits() const { return bits_; }
  double range() const { return range_; }
  double step() const { return step_; }
  std::uint32_t mask() const { return bits_ == 32 ? 0xffffffffu : (1u << bits_) - 1; }

 private:
  Ring(const RingPlan& plan) : bits_(plan.bits), range_(plan.range), step_(plan.step) {}
  std::uint32_t bits_;
  double range_;
  double step_;
};

// What one site sends before masking. relative_weight = w_i / max w, in (0, 1]. A coordinate that is not a number becomes 0
// (a visible failure would tell about the data).
std::vector<std::uint32_t> quantize(std::span<const float> update, double relative_weight, const Ring& ring);

// The integer that a ring element stands for: the representative in [-2^(b-1), 2^(b-1)).
std::int32_t lift(std::uint32_t element, const Ring& ring);

// Whether `sites` honest updates can have made this sum: each of its coordinates lies within sites * round(range / step). The
// error (kProtocol) names the first that does not. It tells that some site of the sum sent what quantize() never gives; masks
// hide which.
Result<void> check_sum(std::span<const std::uint32_t> sum, std::size_t sites, const Ring& ring);

// The weighted mean of the updates in an unmasked sum. total_weight = sum over the survivors of w_i / max w, positive.
std::vector<float> dequantize_mean(std::span<const std::uint32_t> sum, double total_weight, const Ring& ring);

// w_i / max w for every site of the plan, in roster order.
std::vector<double> relative_weights(const std::vector<SitePlan>& sites);

// b bits a coordinate, least significant bit first; the last byte is filled up with zeros. Elements must be below 2^bits.
Bytes pack_bits(std::span<const std::uint32_t> elements, std::uint32_t bits);
std::size_t packed_size(std::size_t count, std::uint32_t bits);
// Fails (kInvalid) when the size is not exactly packed_size(count, bits) or a filling bit is set: one vector has one
// encoding.
Result<std::vector<std::uint32_t>> unpack_bits(ByteSpan packed, std::size_t count, std::uint32_t bits);

}  // namespace sotto::aggregation
