#include "model/network/placement.h"

#include <numeric>

#include "base/check.h"

namespace sotto::model {

// All bytes in a row, cut where the devices' rooms, scaled to the same length, end: a layer is where its middle lies.
std::vector<std::size_t> place_layers(const LayerBytes& bytes, std::span<const double> room) {
  SOTTO_CHECK(!room.empty());
  const auto sum = [](const auto& values) { return std::accumulate(values.begin(), values.end(), 0.0); };
  const double all = static_cast<double>(bytes.before) + sum(bytes.layers) + static_cast<double>(bytes.behind);
  const double scale = all / sum(room);
  std::vector<std::size_t> places;
  std::size_t device = 0;
  double start = static_cast<double>(bytes.before), device_end = room[0] * scale;
  for (const auto layer : bytes.layers) {
    const double middle = start + static_cast<double>(layer) / 2;
    while (device + 1 < room.size() && middle >= device_end) device_end += room[++device] * scale;
    places.push_back(device);
    start += static_cast<double>(layer);
  }
  return places;
}

}  // namespace sotto::model
