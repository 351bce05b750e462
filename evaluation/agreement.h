// Agreement between raters beyond chance. 1: perfect, 0: as by chance; NaN where chance agreement is already perfect
// (everybody always gave the same category) or nothing can be compared. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sotto::evaluation {

enum class KappaWeights { kNone, kLinear, kQuadratic };

// Cohen's kappa (1960; weighted: 1968) of two raters over the same items; categories are 0 .. categories - 1, weights by
// their distance. As scikit-learn's cohen_kappa_score.
double cohen_kappa(std::span<const std::uint32_t> a, std::span<const std::uint32_t> b, std::uint32_t categories,
                   KappaWeights weights = KappaWeights::kNone);

// Fleiss' kappa (1971). counts[i][c]: how many raters put item i into category c; every item has the same number of raters,
// at least 2 (else NaN). As statsmodels' fleiss_kappa.
double fleiss_kappa(const std::vector<std::vector<std::uint32_t>>& counts);

enum class Scale { kNominal, kOrdinal, kInterval };

// Krippendorff's alpha (2011, "Computing Krippendorff's alpha-reliability") over ratings[rater][item], with gaps; every row
// has the same length. As the Python package krippendorff.
double krippendorff_alpha(const std::vector<std::vector<std::optional<double>>>& ratings, Scale scale);

}  // namespace sotto::evaluation
