#include "model/network/heights.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

namespace sotto::model {
namespace {

using Rows = std::vector<std::int64_t>;  // heights, from the largest

Rows pass_heights() {
  Rows heights;
  for (std::int64_t rows = kRowsPerPass; rows > 0; rows -= kLowestPass) heights.push_back(rows);
  return heights;
}

// Whether f, a function of each row alone, gives the same bits at all heights.
bool agrees(std::int64_t columns, const at::Tensor& like, const std::function<at::Tensor(const at::Tensor&)>& f,
            const Rows& heights = pass_heights()) {
  const std::int64_t most = heights.front();
  const at::Tensor x = at::linspace(-3, 3, most * columns, at::kFloat).mul_(1e4).sin_();  // no row like another
  const at::Tensor x_RI = x.view({most, columns}).to(like.scalar_type());
  const at::Tensor whole = f(x_RI);
  return std::all_of(heights.begin() + 1, heights.end(),
                     [&](std::int64_t rows) { return at::equal(f(x_RI.narrow(0, 0, rows)), whole.narrow(0, 0, rows)); });
}

bool product_agrees(const at::Tensor& weight_OI) {
  return agrees(weight_OI.size(1), weight_OI, [&](const at::Tensor& x) { return at::mm(x, weight_OI.t()); }) &&
         agrees(weight_OI.size(0), weight_OI, [&](const at::Tensor& g) { return at::mm(g, weight_OI); });
}

bool head_agrees(const at::Tensor& head_VC) {
  const Rows heights = head_heights(head_VC.size(0));
  return agrees(
             head_VC.size(1), head_VC, [&](const at::Tensor& x) { return at::mm(x, head_VC.t()); }, heights) &&
         agrees(head_VC.size(0), head_VC, [&](const at::Tensor& g) { return at::mm(g, head_VC); }, heights);
}

bool lora_agrees(const LoraOnDevice& lora) {
  const auto in = lora.a_rI.size(1), out = lora.b_Or.size(0);
  const auto added = [](const at::Tensor& h, const at::Tensor& b) {
    return at::ones({h.size(0), b.size(1)}, h.options()).addmm_(h, b, 1, 0.7);
  };
  return agrees(in, lora.a_rI,
                [&](const at::Tensor& x) { return added(at::mm(x, lora.a_rI.t()), at::ones_like(lora.b_Or).t()); }) &&
         agrees(out, lora.b_Or, [&](const at::Tensor& g) { return added(at::mm(g, at::ones_like(lora.b_Or)), lora.a_rI); });
}

}  // namespace

Heights measured_heights(const Weights& weights, const AdapterOnDevice& adapter) {
  if (!weights.embedding_VC.is_cpu()) return Heights::kFixed;
  const at::NoGradGuard no_grad;
  const at::Tensor& residual = weights.embedding_VC;
  if (!agrees(residual.size(1), residual, [](const at::Tensor& x) { return at::mean(at::square(x), {1}, true); }))
    return Heights::kFixed;
  if (!head_agrees(weights.head.rounded_VC)) return Heights::kFixed;
  std::set<std::array<std::int64_t, 3>> known;  // of one shape, one is enough
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    for (std::size_t kind = 0; kind < kLinearKinds; ++kind) {
      const FrozenMatrix& matrix = weights.layers[l].linears[kind].weight_OI;
      if (!matrix.defined()) continue;
      const auto& lora = adapter.layers[l][kind];
      const std::int64_t rank = lora ? lora->a_rI.size(0) : 0;
      const auto [out, in] = matrix.shape();
      if (known.insert({out, in, 0}).second && !product_agrees(matrix.numbers_OI())) return Heights::kFixed;
      if (lora && known.insert({out, in, rank}).second && !lora_agrees(*lora)) return Heights::kFixed;
    }
  }
  return Heights::kAny;
}

}  // namespace sotto::model
