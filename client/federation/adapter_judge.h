// What a site says of the adapters that its coordinator publishes: each is computed again from what the site knows itself and
// compared with the published bytes, within the tolerance of aggregation/server_step.h. A verdict names the bytes that it is
// about by their hash and, where they are not what they should be, the measure that failed. Pure functions, any thread.
#pragma once

#include "base/adapter.h"
#include "client/protocol/participant.h"
#include "plan/run_plan.h"

namespace sotto::client {

class AdapterJudge {
 public:
  // `plan` must outlive this. `layout` is what the plan comes to on the site's own copy of the model.
  AdapterJudge(const RunPlan& plan, AdapterLayout layout) : plan_(&plan), layout_(std::move(layout)) {}

  // The adapter that a run starts from: the model that the plan goes on from, else the one that its seed gives.
  AdapterChecked initial(const CheckInitial& published) const;
  // The adapter after a round: the server step over the unmasked sum, from the adapter before.
  AdapterChecked step(const CheckStep& published) const;

 private:
  Result<void> agrees_as_initial(ByteSpan adapter) const;
  Result<void> agrees_as_step(const CheckStep& published) const;

  const RunPlan* plan_;
  AdapterLayout layout_;
};

}  // namespace sotto::client
