#include "model/head.h"

#include <algorithm>

namespace sotto::model {
namespace {

at::Tensor on_device(const std::vector<std::int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

struct Chunk {
  at::Tensor x_NC;     // kHeadRows rows, zeros behind the last
  at::Tensor rows;     // of the pass
  at::Tensor labels;   // of those rows
  std::int64_t used = 0;
};

Chunk chunk_at(const at::Tensor& x_RC, const Targets& targets, std::size_t begin) {
  const auto end = std::min(targets.rows.size(), begin + static_cast<std::size_t>(kHeadRows));
  const auto slice = [&](const std::vector<std::int64_t>& all) {
    return on_device({all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(end)}, x_RC);
  };
  Chunk chunk{at::zeros({kHeadRows, x_RC.size(1)}, x_RC.options()), slice(targets.rows), slice(targets.labels),
              static_cast<std::int64_t>(end - begin)};
  chunk.x_NC.narrow(0, 0, chunk.used).copy_(x_RC.index_select(0, chunk.rows));
  return chunk;
}

// log p of every token, one row for each used row of the chunk; notes losses and hits.
at::Tensor log_softmax(const Chunk& chunk, const at::Tensor& head_VC, TokenLosses& losses) {
  const at::Tensor logits = at::mm(chunk.x_NC, head_VC.t()).narrow(0, 0, chunk.used);
  const at::Tensor correct = at::eq(at::argmax(logits, 1), chunk.labels).cpu();
  const at::Tensor logp = at::log_softmax(logits, 1);
  const at::Tensor loss = at::gather(logp, 1, chunk.labels.unsqueeze(1)).squeeze(1).neg_().cpu();
  for (std::int64_t i = 0; i < chunk.used; ++i) {
    losses.loss.push_back(loss.const_data_ptr<float>()[i]);
    losses.correct.push_back(correct.const_data_ptr<bool>()[i]);
  }
  return logp;
}

}  // namespace

TokenLosses token_losses(const at::Tensor& x_RC, const at::Tensor& head_VC, const Targets& targets) {
  TokenLosses losses;
  for (std::size_t begin = 0; begin < targets.rows.size(); begin += static_cast<std::size_t>(kHeadRows))
    log_softmax(chunk_at(x_RC, targets, begin), head_VC, losses);
  return losses;
}

std::pair<TokenLosses, at::Tensor> token_losses_and_gradient(const at::Tensor& x_RC, const at::Tensor& head_VC,
                                                             const Targets& targets) {
  TokenLosses losses;
  at::Tensor gradient_RC = at::zeros_like(x_RC);
  for (std::size_t begin = 0; begin < targets.rows.size(); begin += static_cast<std::size_t>(kHeadRows)) {
    const Chunk chunk = chunk_at(x_RC, targets, begin);
    at::Tensor g_NV = at::zeros({kHeadRows, head_VC.size(0)}, x_RC.options());  // zeros behind the last row
    at::Tensor used = g_NV.narrow(0, 0, chunk.used);
    at::exp_out(used, log_softmax(chunk, head_VC, losses));
    const at::Tensor index = chunk.labels.unsqueeze(1);
    used.scatter_add_(1, index, at::full_like(index, -1, used.options()));
    used.mul_(at::tensor(at::ArrayRef<float>(targets.weights).slice(begin, static_cast<std::size_t>(chunk.used)), at::kFloat)
                  .to(x_RC.device())
                  .unsqueeze(1));
    gradient_RC.index_copy_(0, chunk.rows, at::mm(g_NV, head_VC).narrow(0, 0, chunk.used));
  }
  return {std::move(losses), gradient_RC};
}

at::Tensor all_logits(const at::Tensor& x_NC, const at::Tensor& head_VC) {
  const auto n = x_NC.size(0);
  at::Tensor padded = at::zeros({(n + kHeadRows - 1) / kHeadRows * kHeadRows, x_NC.size(1)}, x_NC.options());
  padded.narrow(0, 0, n).copy_(x_NC);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < n; begin += kHeadRows)
    parts.push_back(at::mm(padded.narrow(0, begin, kHeadRows), head_VC.t()));
  return at::cat(parts).narrow(0, 0, n);
}

}  // namespace sotto::model
