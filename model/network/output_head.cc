#include "model/network/output_head.h"

#include <algorithm>

#include "model/network/layer_functions.h"
#include "model/network/step_functions.h"

namespace sotto::model {
namespace {

// Rows from `begin` on, as many as a product has; behind the last one wanted, zeros.
struct Chunk {
  at::Tensor x_NC;
  at::Tensor rows;       // of the pass; only those used
  at::Tensor labels_N;   // 0 behind the last
  at::Tensor weights_N;  // 0 behind the last
  std::int64_t used = 0;
};

Chunk chunk_at(const at::Tensor& x_RC, const Targets& targets, std::size_t begin) {
  const auto left = static_cast<std::int64_t>(targets.rows.size() - begin);
  const auto filled = std::ranges::find_if(targets.heights, [&](std::int64_t rows) { return rows <= left; });
  const std::int64_t rows = filled != targets.heights.end() ? *filled : targets.heights.back();
  const auto height = static_cast<std::size_t>(rows), end = std::min(targets.rows.size(), begin + height);
  const auto slice = [&]<class T>(const std::vector<T>& all, std::size_t size) {
    std::vector<T> part(size);
    const auto known = std::min(end, all.size());  // weights are only for training
    if (begin < known)
      std::copy(all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(known),
                part.begin());
    return at::tensor(at::ArrayRef<T>(part), c10::CppTypeToScalarType<T>::value).to(x_RC.device());
  };
  Chunk chunk{at::zeros({rows, x_RC.size(1)}, x_RC.options()), slice(targets.rows, end - begin),
              slice(targets.labels, height), slice(targets.weights, height), static_cast<std::int64_t>(end - begin)};
  chunk.x_NC.narrow(0, 0, chunk.used).copy_(x_RC.index_select(0, chunk.rows));
  return chunk;
}

at::Tensor capped(at::Tensor logits_NV, const OutputHead& head) {
  return head.softcap == 0 ? logits_NV : logits_NV.div_(head.softcap).tanh_().mul_(head.softcap);
}

// a b in b's precision, as fp32.
at::Tensor product_in(const at::Tensor& a, const at::Tensor& b) { return at::mm(a.to(b.scalar_type()), b).to(at::kFloat); }

// Turns logits into the derivative of the weighted losses, weight * (softmax - one-hot), in place, and returns each row's
// loss. A few rows at a time stay in a core's cache; always as many, so that a row is treated alike wherever it stands.
at::Tensor losses_by_operations(at::Tensor& logits_NV, const Chunk& chunk, double softcap) {
  constexpr std::int64_t kRowsInCache = 8;
  static_assert(kHeadRows % kRowsInCache == 0 && kTallHeadRows % kRowsInCache == 0);
  at::Tensor losses_N = at::empty({logits_NV.size(0)}, logits_NV.options());
  for (std::int64_t begin = 0; begin < logits_NV.size(0); begin += kRowsInCache) {
    const auto of_rows = [&](const at::Tensor& all) { return all.narrow(0, begin, kRowsInCache); };
    at::Tensor block = of_rows(logits_NV);
    const at::Tensor labels = of_rows(chunk.labels_N).unsqueeze(1), weights = of_rows(chunk.weights_N).unsqueeze(1);
    const at::Tensor slope = softcap == 0 ? at::Tensor() : at::square(block).mul_(-1 / (softcap * softcap)).add_(1);
    const at::Tensor largest = at::amax(block, {1}, true), wanted = at::gather(block, 1, labels);
    block.sub_(largest).exp_();
    const at::Tensor sum = at::sum(block, {1}, true);
    of_rows(losses_N).copy_(at::log(sum).add_(largest).sub_(wanted).squeeze(1));
    block.mul_(at::div(weights, sum)).scatter_add_(1, labels, at::neg(weights));
    if (slope.defined()) block.mul_(slope);
  }
  return losses_N;
}

// The losses of the chunk's logits, which lie in fp32 or in the precision of the base's products, and become the derivative.
at::Tensor losses_of(at::Tensor& logits_NV, const Chunk& chunk, const OutputHead& head) {
  if (head.softcap == 0 && takes_layer_kernels(logits_NV))
    return losses_and_derivatives(logits_NV, chunk.labels_N, chunk.weights_N);
  logits_NV = capped(logits_NV.to(at::kFloat), head);
  return losses_by_operations(logits_NV, chunk, head.softcap);
}

// x W^T in W's precision.
at::Tensor logits_in_precision(const Chunk& chunk, const OutputHead& head) {
  return at::mm(chunk.x_NC.to(head.rounded_VC.scalar_type()), head.rounded_VC.t());
}

}  // namespace

std::vector<std::int64_t> head_heights(std::int64_t vocabulary) {
  constexpr std::int64_t kMostLogits = 1 << 24;
  std::vector<std::int64_t> heights;
  for (std::int64_t rows = 256; rows > kHeadRows; rows /= 2)
    if (rows * vocabulary <= kMostLogits) heights.push_back(rows);
  heights.push_back(kHeadRows);
  return heights;
}

TokenLosses token_losses(const at::Tensor& x_RC, const OutputHead& head, const Targets& targets) {
  const at::Tensor x_NC = x_RC.index_select(0, at::tensor(targets.rows, at::kLong).to(x_RC.device()));
  const at::Tensor labels_N1 = at::tensor(targets.labels, at::kLong).to(x_RC.device()).unsqueeze(1);
  TokenLosses losses;
  for (std::int64_t begin = 0; begin < x_NC.size(0); begin += kFewRows) {
    const auto rows = std::min(kFewRows, x_NC.size(0) - begin);
    const at::Tensor logits_NV = all_logits(x_NC.narrow(0, begin, rows), head), labels = labels_N1.narrow(0, begin, rows);
    const at::Tensor correct = at::eq(at::argmax(logits_NV, 1, true), labels).cpu();
    const at::Tensor loss = at::gather(at::log_softmax(logits_NV, 1), 1, labels).neg_().cpu();
    losses.loss.insert(losses.loss.end(), loss.const_data_ptr<float>(), loss.const_data_ptr<float>() + rows);
    losses.correct.insert(losses.correct.end(), correct.const_data_ptr<bool>(), correct.const_data_ptr<bool>() + rows);
  }
  return losses;
}

std::pair<double, at::Tensor> loss_and_gradient(const at::Tensor& x_RC, const OutputHead& head, const Targets& targets) {
  double loss_sum = 0;
  at::Tensor gradient_RC = at::zeros_like(x_RC);
  for (std::size_t begin = 0; begin < targets.rows.size();) {
    const Chunk chunk = chunk_at(x_RC, targets, begin);
    begin += static_cast<std::size_t>(chunk.used);
    at::Tensor g_NV = logits_in_precision(chunk, head);
    const at::Tensor losses_N = losses_of(g_NV, chunk, head);
    loss_sum += at::sum(losses_N.narrow(0, 0, chunk.used), at::kDouble).item<double>();
    gradient_RC.index_copy_(0, chunk.rows, product_in(g_NV, head.rounded_VC).narrow(0, 0, chunk.used));
  }
  return {loss_sum, gradient_RC};
}

OutputHeadGradient loss_and_derivative(const at::Tensor& x_RC, const OutputHead& head, const Targets& targets) {
  OutputHeadGradient out{0, at::zeros_like(x_RC), {}, {}};
  std::vector<at::Tensor> derivatives, rows;
  for (std::size_t begin = 0; begin < targets.rows.size();) {
    const Chunk chunk = chunk_at(x_RC, targets, begin);
    begin += static_cast<std::size_t>(chunk.used);
    at::Tensor g_NV = logits_in_precision(chunk, head).to(at::kFloat);  // the matrix's own gradient is not rounded
    const at::Tensor losses_N = losses_of(g_NV, chunk, head);
    out.loss_sum += at::sum(losses_N.narrow(0, 0, chunk.used), at::kDouble).item<double>();
    out.gradient_RC.index_copy_(0, chunk.rows, product_in(g_NV, head.rounded_VC).narrow(0, 0, chunk.used));
    derivatives.push_back(g_NV.narrow(0, 0, chunk.used));
    rows.push_back(chunk.x_NC.narrow(0, 0, chunk.used));
  }
  out.derivative_NV = at::cat(derivatives);
  out.x_NC = at::cat(rows);
  return out;
}

at::Tensor all_logits(const at::Tensor& x_NC, const OutputHead& head) {
  const bool kernels = takes_step_kernels(head.rounded_VC);
  const std::int64_t n = x_NC.size(0), height = kernels ? kFewRows : kHeadRows;
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < n; begin += height) {
    const at::Tensor part_NC = x_NC.narrow(0, begin, std::min(height, n - begin));
    if (kernels) {
      parts.push_back(capped(step_product(part_NC, head.rounded_VC), head));
      continue;
    }
    at::Tensor padded = at::zeros({height, x_NC.size(1)}, x_NC.options());
    padded.narrow(0, 0, part_NC.size(0)).copy_(part_NC);
    parts.push_back(capped(at::mm(padded, head.weight_VC.t()), head).narrow(0, 0, part_NC.size(0)));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace sotto::model
