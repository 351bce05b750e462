#include "model/heights.h"

#include <array>
#include <functional>
#include <set>

namespace sotto::model {
namespace {

// Whether f, a function of each row alone, gives the same bits at every height that `next` leads to.
bool agrees(std::int64_t columns, const at::Tensor& like, const std::function<at::Tensor(const at::Tensor&)>& f,
            const std::function<std::int64_t(std::int64_t)>& next = [](std::int64_t rows) { return rows + kLowestPass; }) {
  const at::Tensor x = at::linspace(-3, 3, kRowsPerPass * columns, at::kFloat).mul_(1e4).sin_();  // no row like another
  const at::Tensor x_RI = x.view({kRowsPerPass, columns}).to(like.scalar_type());
  const at::Tensor whole = f(x_RI);
  for (std::int64_t rows = kLowestPass; rows < kRowsPerPass; rows = next(rows))
    if (!at::equal(f(x_RI.narrow(0, 0, rows)), whole.narrow(0, 0, rows))) return false;
  return true;
}

bool product_agrees(const at::Tensor& weight_OI) {
  return agrees(weight_OI.size(1), weight_OI, [&](const at::Tensor& x) { return at::mm(x, weight_OI.t()); }) &&
         agrees(weight_OI.size(0), weight_OI, [&](const at::Tensor& g) { return at::mm(g, weight_OI); });
}

bool head_agrees(const at::Tensor& head_VC) {
  const auto of_heights = [](std::int64_t rows) { return 2 * rows; };  // head_heights
  return agrees(head_VC.size(1), head_VC, [&](const at::Tensor& x) { return at::mm(x, head_VC.t()); }, of_heights) &&
         agrees(head_VC.size(0), head_VC, [&](const at::Tensor& g) { return at::mm(g, head_VC); }, of_heights);
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
