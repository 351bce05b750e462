#include "base/adapter.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sotto {
namespace {

constexpr std::uint32_t kMaxDimension = 1u << 20;

void write(ByteWriter& out, const AdapterLayout& layout) {
  out.u32(static_cast<std::uint32_t>(layout.modules.size()));
  for (const auto& m : layout.modules) out.text(m.path).u32(m.in).u32(m.out).u32(m.rank).f64(m.scale);
  if (layout.modules.empty()) out.u32(layout.prompt.tokens).u32(layout.prompt.width).f64(layout.prompt.deviation);
}

// Where modules would stand is none.
Result<PromptShape> read_prompt(ByteReader& in) {
  const PromptShape prompt{in.u32(), in.u32(), in.f64()};
  if (!in.ok()) return invalid("adapter layout ends too early");
  const bool sane = prompt.tokens > 0 && prompt.tokens <= kMaxDimension && prompt.width > 0 &&
                    prompt.width <= kMaxDimension && std::isfinite(prompt.deviation) && prompt.deviation > 0;
  if (!sane) return invalid("adapter layout: it has neither modules nor a prompt of possible sizes");
  return prompt;
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
  if (n == 0) {
    SOTTO_TRY(layout.prompt, read_prompt(in));
  }
  return layout;
}

bool all_finite(const std::vector<float>& v) {
  return std::ranges::all_of(v, [](float x) { return std::isfinite(x); });
}

}  // namespace

TrainedPart part_in_round(TrainedPart trained, RoundId round) {
  if (trained != TrainedPart::kAlternating) return trained;
  return round.value() % 2 == 0 ? TrainedPart::kB : TrainedPart::kA;
}

bool trains_lora(TrainedPart trained) { return trained != TrainedPart::kPrompt && trained != TrainedPart::kFull; }

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
  switch (part) {
    case TrainedPart::kB: return b_size();
    case TrainedPart::kAB: return a_size() + b_size();
    case TrainedPart::kA: return a_size();
    case TrainedPart::kAlternating: return std::max(a_size(), b_size());
    case TrainedPart::kPrompt: return std::size_t{prompt.tokens} * prompt.width;
    case TrainedPart::kFull: break;
  }
  throw Failure("an adapter's layout says nothing about a whole model");
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
  if (state.layout.modules.empty()) out.floats(state.prompt);
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
  if (in.ok() && state.layout.modules.empty()) {
    state.prompt = in.floats();
    if (in.ok() && state.prompt.size() != state.layout.trained_size(TrainedPart::kPrompt))
      return invalid("adapter: the prompt has the wrong number of values");
    if (!all_finite(state.prompt)) return invalid("adapter: the prompt holds a non-finite value");
  }
  SOTTO_TRY_VOID(in.finish("adapter"));
  return state;
}

}  // namespace sotto
