#include "evaluation/agreement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/check.h"

namespace sotto::evaluation {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double weight(KappaWeights weights, double distance) {
  switch (weights) {
    case KappaWeights::kNone: return distance != 0 ? 1 : 0;
    case KappaWeights::kLinear: return distance;
    case KappaWeights::kQuadratic: return distance * distance;
  }
  SOTTO_CHECK(false);
}

// Squared difference of the values with ranks i <= k; totals[v]: how often value v was given.
double squared_difference(Scale scale, const std::vector<double>& values, const std::vector<double>& totals, std::size_t i,
                          std::size_t k) {
  switch (scale) {
    case Scale::kNominal: return i == k ? 0 : 1;
    case Scale::kInterval: return (values[i] - values[k]) * (values[i] - values[k]);
    case Scale::kOrdinal: {
      double between = -(totals[i] + totals[k]) / 2;
      for (std::size_t g = i; g <= k; ++g) between += totals[g];
      return i == k ? 0 : between * between;
    }
  }
  SOTTO_CHECK(false);
}

}  // namespace

double cohen_kappa(std::span<const std::uint32_t> a, std::span<const std::uint32_t> b, std::uint32_t categories,
                   KappaWeights weights) {
  SOTTO_CHECK(a.size() == b.size());
  std::vector<double> of_a(categories), of_b(categories);
  double observed = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    SOTTO_CHECK(a[i] < categories && b[i] < categories);
    ++of_a[a[i]];
    ++of_b[b[i]];
    observed += weight(weights, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  double expected = 0;
  for (std::uint32_t i = 0; i < categories; ++i)
    for (std::uint32_t k = 0; k < categories; ++k)
      expected += of_a[i] * of_b[k] * weight(weights, std::abs(static_cast<double>(i) - static_cast<double>(k)));
  if (expected == 0) return kNone;
  return 1 - observed * static_cast<double>(a.size()) / expected;
}

double fleiss_kappa(const std::vector<std::vector<std::uint32_t>>& counts) {
  if (counts.empty()) return kNone;
  std::vector<double> share(counts.front().size(), 0);
  const auto raters_of = [](const std::vector<std::uint32_t>& row) {
    double n = 0;
    for (const auto c : row) n += c;
    return n;
  };
  const double n = raters_of(counts.front());
  if (n < 2) return kNone;
  double agreement = 0;
  for (const auto& row : counts) {
    SOTTO_CHECK(row.size() == share.size());
    if (raters_of(row) != n) return kNone;
    double pairs = 0;
    for (std::size_t c = 0; c < row.size(); ++c) {
      pairs += static_cast<double>(row[c]) * (static_cast<double>(row[c]) - 1);
      share[c] += row[c];
    }
    agreement += pairs / (n * (n - 1));
  }
  const double items = static_cast<double>(counts.size());
  double by_chance = 0;
  for (const double s : share) by_chance += s / (items * n) * (s / (items * n));
  if (by_chance >= 1) return kNone;
  return (agreement / items - by_chance) / (1 - by_chance);
}

double krippendorff_alpha(const std::vector<std::vector<std::optional<double>>>& ratings, Scale scale) {
  if (ratings.empty()) return kNone;
  const std::size_t items = ratings.front().size();
  // Only items that two raters judged can be compared: the rest are left out of everything.
  std::vector<std::map<double, double>> per_item(items);
  std::map<double, double> total_of;
  for (std::size_t i = 0; i < items; ++i) {
    double given = 0;
    for (const auto& row : ratings) {
      SOTTO_CHECK(row.size() == items);
      if (row[i]) ++per_item[i][*row[i]], ++given;
    }
    if (given < 2) per_item[i].clear();
    for (const auto& [value, count] : per_item[i]) total_of[value] += count;
  }
  std::vector<double> values, totals;
  double n = 0;
  for (const auto& [value, count] : total_of) values.push_back(value), totals.push_back(count), n += count;
  const auto index = [&](double value) {
    return static_cast<std::size_t>(std::ranges::lower_bound(values, value) - values.begin());
  };

  double observed = 0, expected = 0;
  for (const auto& item : per_item) {
    double given = 0;
    for (const auto& [value, count] : item) given += count;
    for (auto x = item.begin(); x != item.end(); ++x)
      for (auto y = std::next(x); y != item.end(); ++y)
        observed += x->second * y->second / (given - 1) *
                    squared_difference(scale, values, totals, index(x->first), index(y->first));
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    for (std::size_t k = i + 1; k < values.size(); ++k)
      expected += totals[i] * totals[k] * squared_difference(scale, values, totals, i, k);
  if (expected == 0) return kNone;
  return 1 - (n - 1) * observed / expected;
}

}  // namespace sotto::evaluation
