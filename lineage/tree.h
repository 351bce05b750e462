// Where models come from: a tree with the base models as roots, each model under the one that its training started from.
// Pure.
#pragma once

#include <string>

#include "lineage/model_registry.h"

namespace sotto::lineage {

// [{"base": digest, "models": [{"model", "parent", "domain", "run", "trained", "epsilon", "epsilon_with_earlier_runs",
// "promoted", "in_use", "children": [..]}]}]
Json lineage_json(const ModelRegistry& registry);
std::string lineage_text(const ModelRegistry& registry);
// A picture as SVG, a file of its own: boxes from left to right, the models in use drawn with a thick border.
std::string lineage_svg(const ModelRegistry& registry);

}  // namespace sotto::lineage
