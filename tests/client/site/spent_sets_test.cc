#include "client/site/spent_sets.h"

#include "tests/support/catch.h"

namespace sotto::client {
namespace {

// Steps `first` to `last` of an epoch of five steps of random allocation.
std::vector<privacy::DpEvent> steps(std::uint64_t first, std::uint64_t last) {
  std::vector<privacy::DpEvent> out;
  for (std::uint64_t step = first; step <= last; ++step) {
    privacy::DpEvent event;
    event.sampling = privacy::SamplingKind::kRandomAllocation;
    event.epoch_steps = 5;
    event.epoch_step = step;
    event.noise_stddev = 1000;
    event.sensitivity = 1000;
    event.dimension = 10;
    event.grid_step = 0.001;
    out.push_back(event);
  }
  return out;
}

std::vector<privacy::DpEvent> operator+(std::vector<privacy::DpEvent> a, const std::vector<privacy::DpEvent>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_CASE("epochs of random allocation come back as they ran, each step for itself", "[client][book]") {
  const audit::Spent two{steps(1, 5) + steps(1, 5) + steps(1, 2), {}, false};
  CHECK(joined(two, {}).events == two.events);
  CHECK(joined({steps(1, 4), {}, false}, two).events == two.events);
  CHECK(beyond(two, {steps(1, 5) + steps(1, 5), {}, false}).events == steps(1, 2));
  CHECK(is_nothing(beyond(two, two)));
  for (const auto& event : joined(two, two).events) CHECK(privacy::decode_event(privacy::encode(event)).ok());
}

}  // namespace
}  // namespace sotto::client
