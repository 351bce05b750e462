#include "privacy/mechanism/clipping.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sotto::privacy {

std::string_view to_string(ClippingKind kind) {
  switch (kind) {
    case ClippingKind::kFlat: return "flat";
    case ClippingKind::kAutomatic: return "automatic";
    case ClippingKind::kPerLayer: return "per_layer";
    case ClippingKind::kAdaptive: return "adaptive";
  }
  throw Failure("a clipping kind outside its enumeration");
}

Clipping flat_clipping(ClipNorm clip) { return {ClippingKind::kFlat, clip.l2(), {}, false}; }

double next_threshold(double threshold, double clip_fraction, double quantile, double start) {
  SOTTO_CHECK(threshold > 0 && start > 0 && std::isfinite(clip_fraction));
  constexpr double kRate = 0.2;  // the rate of Andrew et al. 2021 (arXiv 1905.03871), section 2
  const double kept = 1 - std::clamp(clip_fraction, 0.0, 1.0);
  return std::clamp(threshold * std::exp(-kRate * (kept - quantile)), start * 1e-6, start * 1e6);
}

}  // namespace sotto::privacy
