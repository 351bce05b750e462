// Which device each layer of a model lies on where one device is too small for all: layers are cut into runs, one run a
// device, in order, so that activations cross from one to the next once a pass. No tensor library.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sotto::model {

struct LayerBytes {
  std::uint64_t before = 0;  // of what lies on the first device beside layers: embeddings
  std::vector<std::uint64_t> layers;
  std::uint64_t behind = 0;  // on the last: norm and head
};

// One index of `room` for each layer, rising: what a device holds of the whole is near its part of all room. `room` holds a
// positive number for each device.
std::vector<std::size_t> place_layers(const LayerBytes& bytes, std::span<const double> room);

}  // namespace sotto::model
