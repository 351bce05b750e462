// Adapters for tests: random ones, and their products in double precision.
#pragma once

#include "aggregation/fedsvd.h"
#include "tests/support/fixed_random.h"

namespace sotto::aggregation {

inline AdapterLayout small_layout() {
  return {{{"model.layers.0.self_attn.q_proj", 20, 12, 4, 2.0},
           {"model.layers.0.mlp.down_proj", 40, 20, 3, 2.0},
           {"model.layers.1.self_attn.q_proj", 8, 30, 4, 2.0}}};
}

inline std::vector<float> random_floats(std::size_t size, RandomSource& source) {
  std::vector<float> out(size);
  for (auto& v : out) v = static_cast<float>(static_cast<double>(source.bits64() >> 11) * 0x1p-52 - 1.0);
  return out;
}

inline AdapterState random_adapter(const AdapterLayout& layout, std::uint64_t seed) {
  FixedRandom source(seed);
  AdapterState state{layout, {}};
  for (const LoraModule& m : layout.modules) {
    state.factors.push_back(
        {random_floats(std::size_t{m.rank} * m.in, source), random_floats(std::size_t{m.out} * m.rank, source)});
  }
  return state;
}

inline AdapterState with_random_b(AdapterState state, std::uint64_t seed) {
  FixedRandom source(seed);
  for (LoraFactors& f : state.factors) f.b = random_floats(f.b.size(), source);
  return state;
}

// B A of one module, row-major [out, in].
inline std::vector<double> product(const AdapterState& state, std::size_t i) {
  const LoraModule& m = state.layout.modules[i];
  const LoraFactors& f = state.factors[i];
  std::vector<double> out(std::size_t{m.out} * m.in);
  for (std::size_t o = 0; o < m.out; ++o) {
    for (std::size_t r = 0; r < m.rank; ++r) {
      for (std::size_t c = 0; c < m.in; ++c) out[o * m.in + c] += double{f.b[o * m.rank + r]} * double{f.a[r * m.in + c]};
    }
  }
  return out;
}

}  // namespace sotto::aggregation
