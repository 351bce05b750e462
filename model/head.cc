#include "model/head.h"

#include <algorithm>

#include "model/step_functions.h"

namespace sotto::model {
namespace {

at::Tensor on_device(const std::vector<std::int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

struct Chunk {
  at::Tensor x_NC;    // kHeadRows rows, zeros behind the last
  at::Tensor rows;    // of the pass
  at::Tensor labels;  // of those rows
  std::int64_t used = 0;
};

Chunk chunk_at(const at::Tensor& x_RC, const Targets& targets, std::size_t begin) {
  const auto end = std::min(targets.rows.size(), begin + static_cast<std::size_t>(kHeadRows));
  const auto slice = [&](const std::vector<std::int64_t>& all) {
    return on_device({all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(end)},
                     x_RC);
  };
  Chunk chunk{at::zeros({kHeadRows, x_RC.size(1)}, x_RC.options()), slice(targets.rows), slice(targets.labels),
              static_cast<std::int64_t>(end - begin)};
  chunk.x_NC.narrow(0, 0, chunk.used).copy_(x_RC.index_select(0, chunk.rows));
  return chunk;
}

at::Tensor capped(at::Tensor logits_NV, const Head& head) {
  return head.softcap == 0 ? logits_NV : logits_NV.div_(head.softcap).tanh_().mul_(head.softcap);
}

at::Tensor logits_of(const at::Tensor& x_NC, const Head& head) { return capped(at::mm(x_NC, head.weight_VC.t()), head); }

at::Tensor logits(const Chunk& chunk, const Head& head) { return logits_of(chunk.x_NC, head).narrow(0, 0, chunk.used); }

// -log p of each row's label.
at::Tensor losses_of(const Chunk& chunk, const at::Tensor& logp_NV) {
  return at::gather(logp_NV, 1, chunk.labels.unsqueeze(1)).squeeze(1).neg_().cpu();
}

}  // namespace

TokenLosses token_losses(const at::Tensor& x_RC, const Head& head, const Targets& targets) {
  TokenLosses losses;
  for (std::size_t begin = 0; begin < targets.rows.size(); begin += static_cast<std::size_t>(kHeadRows)) {
    const Chunk chunk = chunk_at(x_RC, targets, begin);
    const at::Tensor logits_NV = logits(chunk, head);
    const at::Tensor correct = at::eq(at::argmax(logits_NV, 1), chunk.labels).cpu();
    const at::Tensor loss = losses_of(chunk, at::log_softmax(logits_NV, 1));
    losses.loss.insert(losses.loss.end(), loss.const_data_ptr<float>(), loss.const_data_ptr<float>() + chunk.used);
    losses.correct.insert(losses.correct.end(), correct.const_data_ptr<bool>(), correct.const_data_ptr<bool>() + chunk.used);
  }
  return losses;
}

std::pair<double, at::Tensor> loss_and_gradient(const at::Tensor& x_RC, const Head& head, const Targets& targets) {
  double loss_sum = 0;
  at::Tensor gradient_RC = at::zeros_like(x_RC);
  for (std::size_t begin = 0; begin < targets.rows.size(); begin += static_cast<std::size_t>(kHeadRows)) {
    const Chunk chunk = chunk_at(x_RC, targets, begin);
    const at::Tensor logits_NV = logits(chunk, head);
    const at::Tensor logp_NV = at::log_softmax(logits_NV, 1);
    loss_sum += at::sum(losses_of(chunk, logp_NV), at::kDouble).item<double>();
    at::Tensor g_NV = at::zeros({kHeadRows, head.weight_VC.size(0)}, x_RC.options());  // zeros behind the last row
    at::Tensor used = g_NV.narrow(0, 0, chunk.used);
    at::exp_out(used, logp_NV);
    used.scatter_add_(1, chunk.labels.unsqueeze(1), at::full({chunk.used, 1}, -1, used.options()));
    const at::ArrayRef<float> weights(targets.weights.data() + begin, static_cast<std::size_t>(chunk.used));
    used.mul_(at::tensor(weights, at::kFloat).to(x_RC.device()).unsqueeze(1));
    if (head.softcap != 0) used.addcmul_(used, at::square(logits_NV), -1 / (head.softcap * head.softcap));
    gradient_RC.index_copy_(0, chunk.rows, at::mm(g_NV, head.weight_VC).narrow(0, 0, chunk.used));
  }
  return {loss_sum, gradient_RC};
}

at::Tensor all_logits(const at::Tensor& x_NC, const Head& head) {
  const auto n = x_NC.size(0);
  if (n <= kFewRows && takes_step_kernels(head.weight_VC)) return capped(step_product(x_NC, head.weight_VC), head);
  at::Tensor padded = at::zeros({(n + kHeadRows - 1) / kHeadRows * kHeadRows, x_NC.size(1)}, x_NC.options());
  padded.narrow(0, 0, n).copy_(x_NC);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < n; begin += kHeadRows)
    parts.push_back(logits_of(padded.narrow(0, begin, kHeadRows), head));
  return at::cat(parts).narrow(0, 0, n);
}

}  // namespace sotto::model
