#include "base/adapter.h"

#include <algorithm>
#include <cmath>

namespace sotto {
namespace {

constexpr std::uint32_t kMaxDimension = 1u << 20;

void write(ByteWriter& out, const AdapterLayout& layout) {
  out.u32(static_cast<std::uint32_t>(layout.modules.size()));
  for (const auto& m : layout.modules) out.text(m.path).u32(m.in).u32(m.out).u32(m.rank).f64(m.scale);
}

Result<AdapterLayout> read_layout(ByteReader& in) {
  AdapterLayout layout;
  const std::uint32_t n = in.count(4 + 3 * 4 + 8);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
    LoraModule m;
    m.path = in.text();
    m.in = in.u32();
    m.out = in.u32();
    m.rank = in.u32();
    m.scale = in.f64();
    if (!in.ok()) break;
    const bool sane = m.in > 0 && m.out > 0 && m.rank > 0 && m.in <= kMaxDimension && m.out <= kMaxDimension &&
                      m.rank <= std::min(m.in, m.out) && std::isfinite(m.scale) && m.scale > 0;
    if (!sane) return invalid("adapter layout: module '" + m.path + "' has impossible sizes");
    layout.modules.push_back(std::move(m));
  }
  if (!in.ok()) return invalid("adapter layout ends too early");
  return layout;
}

bool all_finite(const std::vector<float>& v) {
  return std::ranges::all_of(v, [](float x) { return std::isfinite(x); });
}

}  // namespace

std::size_t AdapterLayout::a_size() const {
  std::size_t n = 0;
  for (const auto& m : modules) n += std::size_t{m.rank} * m.in;
  return n;
}

std::size_t AdapterLayout::b_size() const {
  std::size_t n = 0;
  for (const auto& m : modules) n += std::size_t{m.out} * m.rank;
  return n;
}

std::size_t AdapterLayout::trained_size(TrainedPart part) const {
  return part == TrainedPart::kB ? b_size() : a_size() + b_size();
}

Bytes encode(const AdapterLayout& layout) {
  ByteWriter out;
  write(out, layout);
  return out.take();
}

Result<AdapterLayout> decode_layout(ByteSpan bytes) {
  ByteReader in(bytes);
  SOTTO_TRY(auto layout, read_layout(in));
  SOTTO_TRY_VOID(in.finish("adapter layout"));
  return layout;
}

Bytes encode(const AdapterState& state) {
  ByteWriter out;
  write(out, state.layout);
  for (const auto& f : state.factors) out.floats(f.a).floats(f.b);
  return out.take();
}

Result<AdapterState> decode_adapter(ByteSpan bytes) {
  ByteReader in(bytes);
  AdapterState state;
  SOTTO_TRY(state.layout, read_layout(in));
  for (const auto& m : state.layout.modules) {
    LoraFactors f{in.floats(), in.floats()};
    if (!in.ok()) break;
    if (f.a.size() != std::size_t{m.rank} * m.in || f.b.size() != std::size_t{m.out} * m.rank)
      return invalid("adapter: module '" + m.path + "' has the wrong number of values");
    if (!all_finite(f.a) || !all_finite(f.b)) return invalid("adapter: module '" + m.path + "' holds a non-finite value");
    state.factors.push_back(std::move(f));
  }
  SOTTO_TRY_VOID(in.finish("adapter"));
  return state;
}

}  // namespace sotto
