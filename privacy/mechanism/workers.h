// Processes that share the gradients of one step (data-parallel training at one site). Each draws the same units from the
// same stream, clips and rounds its own part of them, and gets the sum over all processes: integers, so that it is the sum
// of one process, bit for bit. Noise is added to that sum, once. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sotto::privacy {

class Workers {
 public:
  virtual ~Workers() = default;
  // Whether the unit at this position of the step's draw is this process's. Of exactly one process it is.
  virtual bool is_mine(std::size_t position) const = 0;
  // Each entry becomes its sum over all processes, which all call this with as many entries.
  virtual void sum(std::span<std::int64_t> values) = 0;
  virtual void sum(std::span<double> values) = 0;
};

}  // namespace sotto::privacy
