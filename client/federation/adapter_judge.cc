#include "client/federation/adapter_judge.h"

#include "aggregation/fedsvd.h"
#include "aggregation/ring.h"
#include "aggregation/server_step.h"
#include "crypto/hash.h"
#include "lineage/weights.h"

namespace sotto::client {
namespace {

AdapterChecked verdict(ByteSpan adapter, const Result<void>& agreed) {
  return {crypto::sha256(adapter), agreed.ok(), agreed.ok() ? "" : agreed.error().message};
}

}  // namespace

AdapterChecked AdapterJudge::initial(const CheckInitial& published) const {
  return verdict(published.adapter, agrees_as_initial(published.adapter));
}

AdapterChecked AdapterJudge::step(const CheckStep& published) const {
  return verdict(published.adapter, agrees_as_step(published));
}

Result<void> AdapterJudge::agrees_as_initial(ByteSpan adapter) const {
  SOTTO_TRY(const auto published, decode_adapter(adapter));
  if (const auto& parent = plan_->parent) {
    if (lineage::weights_of(published) == *parent) return {};
    return protocol_error("it is not model " + to_hex(*parent).substr(0, 12) + ", which the plan goes on from");
  }
  SOTTO_TRY(const auto expected, aggregation::initial_adapter(layout_, plan_->seed));
  return aggregation::adapters_agree(expected, published);
}

Result<void> AdapterJudge::agrees_as_step(const CheckStep& asked) const {
  SOTTO_TRY(const auto published, decode_adapter(asked.adapter));
  SOTTO_TRY(const auto previous, decode_adapter(asked.previous));
  SOTTO_TRY(const auto ring, aggregation::Ring::make(plan_->ring, static_cast<std::uint32_t>(plan_->sites.size())));
  const auto weights = aggregation::relative_weights(plan_->sites);
  double total = 0;
  for (const SiteIndex s : asked.survivors) total += weights.at(s.value());
  const auto mean = aggregation::dequantize_mean(asked.sum, total, ring);
  SOTTO_TRY(const auto expected,
            aggregation::server_step(previous, mean, aggregation::step_in_round(plan_->trained, asked.round)));
  return aggregation::adapters_agree(expected, published);
}

}  // namespace sotto::client
