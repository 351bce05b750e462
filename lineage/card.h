// A model card in Markdown: what a colleague or a regulator has to know before using a promoted model. Every figure comes
// from the passport and the gate's findings. Pure.
#pragma once

#include <string>

#include "lineage/model_registry.h"

namespace sotto::lineage {

std::string model_card(const ModelRegistry& registry, const Model& model);
// The model's newest promotion; nullptr when it was never promoted.
const Change* promotion_of(const ModelRegistry& registry, const Model& model);
// The passport with what the promotion added: evaluations, and who approved it when.
Json passport_after(const Model& model, const Change& promotion);

}  // namespace sotto::lineage
