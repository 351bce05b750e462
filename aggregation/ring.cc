#include "aggregation/ring.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <string>

namespace sotto::aggregation {
namespace {

// Doubles must be rounded to double after every operation, or rounding below would not be the same everywhere.
static_assert(FLT_EVAL_METHOD == 0);

// Round half to even for |v| < 2^51: above 2^52 doubles are integers, so adding 1.5 * 2^52 rounds, in the default rounding
// mode.
double round_half_even(double v) {
  constexpr double kMagic = 6755399441055744.0;
  return (v + kMagic) - kMagic;
}

std::string text(double v) { return std::to_string(v); }

}  // namespace

Result<Ring> Ring::make(const RingPlan& plan, std::uint32_t sites) {
  if (plan.bits < 1 || plan.bits > 32)
    return invalid("ring.bits is " + std::to_string(plan.bits) + "; it must be from 1 to 32");
  if (!(std::isfinite(plan.range) && plan.range > 0)) {
    return invalid("ring.range is " + text(plan.range) + "; it must be positive");
  }
  if (!(plan.step > 0 && plan.step <= plan.range)) {
    return invalid("ring.step is " + text(plan.step) + "; it must be positive and at most ring.range, " + text(plan.range));
  }
  if (sites < 1) return invalid("a ring for no sites: the roster is empty");
  const double steps = plan.range / plan.step;
  if (!(steps < std::ldexp(1.0, 31))) {
    return invalid("ring.range / ring.step is " + text(steps) + "; it must be below 2^31: make ring.step larger");
  }
  const double largest_sum = static_cast<double>(sites) * round_half_even(steps);
  const double limit = std::ldexp(1.0, static_cast<int>(plan.bits) - 1) - 1;
  if (!(largest_sum <= limit)) {
    const double needed = std::floor(std::log2(largest_sum)) + 2;
    return invalid("ring.bits is " + std::to_string(plan.bits) + ", and the sum of " + std::to_string(sites) +
                   " updates of up to " + text(steps) + " steps could overflow: it needs " +
                   std::to_string(static_cast<int>(needed)) + " bits; make ring.bits or ring.step larger (32 bits at most)");
  }
  return Ring(plan);
}

std::vector<std::uint32_t> quantize(std::span<const float> update, double relative_weight, const Ring& ring) {
  SOTTO_CHECK(relative_weight > 0 && relative_weight <= 1);
  std::vector<std::uint32_t> elements(update.size());
  for (std::size_t k = 0; k < update.size(); ++k) {
    const double weighted = relative_weight * static_cast<double>(update[k]);
    const double number = std::isnan(weighted) ? 0.0 : weighted;
    const double clipped = std::clamp(number, -ring.range(), ring.range());
    const auto steps = static_cast<std::int32_t>(round_half_even(clipped / ring.step()));
    elements[k] = static_cast<std::uint32_t>(steps) & ring.mask();
  }
  return elements;
}

std::int32_t lift(std::uint32_t element, const Ring& ring) {
  SOTTO_CHECK((element & ~ring.mask()) == 0);
  const std::uint32_t sign_bit = 1u << (ring.bits() - 1);
  return static_cast<std::int32_t>((element & sign_bit) != 0 ? element | ~ring.mask() : element);
}

Result<void> check_sum(std::span<const std::uint32_t> sum, std::size_t sites, const Ring& ring) {
  const auto largest = static_cast<std::int64_t>(static_cast<double>(sites) * round_half_even(ring.range() / ring.step()));
  for (std::size_t k = 0; k < sum.size(); ++k) {
    const std::int64_t value = lift(sum[k], ring);
    if (value > largest || value < -largest)
      return protocol_error("coordinate " + std::to_string(k) + " of the sum is " + std::to_string(value) + ", and " +
                            std::to_string(sites) + " honest sites give " + std::to_string(largest) +
                            " at most: at least one of them sent what no training gives; the masks hide which");
  }
  return {};
}

std::vector<float> dequantize_mean(std::span<const std::uint32_t> sum, double total_weight, const Ring& ring) {
  SOTTO_CHECK(std::isfinite(total_weight) && total_weight > 0);
  std::vector<float> mean(sum.size());
  for (std::size_t k = 0; k < sum.size(); ++k) {
    mean[k] = static_cast<float>(static_cast<double>(lift(sum[k], ring)) * ring.step() / total_weight);
  }
  return mean;
}

std::vector<double> relative_weights(const std::vector<SitePlan>& sites) {
  double largest = 0;
  for (const SitePlan& site : sites) {
    SOTTO_CHECK(std::isfinite(site.weight) && site.weight > 0);
    largest = std::max(largest, site.weight);
  }
  std::vector<double> weights;
  for (const SitePlan& site : sites) weights.push_back(site.weight / largest);
  return weights;
}

std::size_t packed_size(std::size_t count, std::uint32_t bits) {
  SOTTO_CHECK(bits >= 1 && bits <= 32);
  SOTTO_CHECK(count <= (std::size_t{1} << 58));  // so that the product does not overflow
  return (count * bits + 7) / 8;
}

Bytes pack_bits(std::span<const std::uint32_t> elements, std::uint32_t bits) {
  Bytes out;
  out.reserve(packed_size(elements.size(), bits));
  std::uint64_t pending = 0;
  std::uint32_t held = 0;  // bits in pending
  for (const std::uint32_t element : elements) {
    SOTTO_CHECK(std::uint64_t{element} >> bits == 0);
    pending |= std::uint64_t{element} << held;
    for (held += bits; held >= 8; held -= 8, pending >>= 8) out.push_back(static_cast<std::uint8_t>(pending));
  }
  if (held > 0) out.push_back(static_cast<std::uint8_t>(pending));
  return out;
}

Result<std::vector<std::uint32_t>> unpack_bits(ByteSpan packed, std::size_t count, std::uint32_t bits) {
  const std::size_t expected = packed_size(count, bits);
  if (packed.size() != expected) {
    return invalid("packed vector has " + std::to_string(packed.size()) + " bytes; " + std::to_string(count) +
                   " elements of " + std::to_string(bits) + " bits take " + std::to_string(expected) +
                   ": the sender has another layout or ring");
  }
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  std::vector<std::uint32_t> elements(count);
  std::uint64_t pending = 0;
  std::uint32_t held = 0;
  std::size_t next = 0;
  for (std::uint32_t& element : elements) {
    for (; held < bits; held += 8) pending |= std::uint64_t{packed[next++]} << held;
    element = static_cast<std::uint32_t>(pending & mask);
    pending >>= bits;
    held -= bits;
  }
  if (pending != 0)
    return invalid("packed vector has bits set after its last element: the sender does not pack as specified");
  return elements;
}

}  // namespace sotto::aggregation
