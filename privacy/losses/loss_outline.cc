#include "privacy/losses/loss_outline.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

LossOutline::Part outline_of(const LossSteps& steps, double delta, double fine_from) {
  LossOutline::Part part;
  part.count = static_cast<double>(steps.count);
  part.range = loss_range(*steps.loss, 1e-13 / part.count, std::max(delta * 1e-9 / part.count, 1e-290));
  // Four to an octave from both ends towards 0, and from 0 towards the upper end, which may be sharp.
  constexpr int kEdges = 140;
  std::vector<double> edges;
  for (int i = 0; i < kEdges && part.range.from < 0; ++i) edges.push_back(part.range.from * std::exp2(-0.25 * i));
  for (int i = kEdges - 1; i >= 0 && part.range.to > 0; --i) edges.push_back(part.range.to * std::exp2(-0.25 * i));
  // Large losses of many steps: what a wide bin gets wrong of its mean counts as often as there are steps.
  constexpr int kEven = 256;
  if (part.count > 1e4 && part.range.to > 1) {
    const double bin = (part.range.to - part.range.from) / kEven;
    for (int i = 1; i < kEven; ++i) edges.push_back(part.range.from + i * bin);
  }
  for (int i = 1; i < kEdges / 2 && part.range.to > 0; ++i) edges.push_back(part.range.to * (1 - std::exp2(-0.5 * i)));
  constexpr double kFine = 1.01;
  for (double edge = fine_from; edge > 0 && edge < part.range.to; edge *= kFine) edges.push_back(edge);
  std::sort(edges.begin(), edges.end());
  const auto masses = steps.loss->masses(edges);
  for (std::size_t i = 0; i < masses.size(); ++i) {
    const LossMass& m = masses[i];
    if (!(m.p_low > 0 && m.q_low > 0)) continue;
    double loss = std::log((m.p_low + m.p_high) / (m.q_low + m.q_high));
    if (i > 0 && i < edges.size())
      loss += (edges[i] - edges[i - 1]) * (edges[i] - edges[i - 1]) / 24;  // from Q's mean to P's, if even
    if (i > 0) loss = std::max(loss, edges[i - 1]);
    if (i < edges.size()) loss = std::min(loss, edges[i]);
    part.losses.push_back(loss);
    part.masses.push_back(m.p_low);
  }
  return part;
}

struct Moments {
  double log_sum, mean, variance;
};

Moments moments(const LossOutline::Part& part, double lambda) {
  double largest = -kInfinity;
  for (const double loss : part.losses) largest = std::max(largest, lambda * loss);
  double s0 = 0, s1 = 0, s2 = 0;
  for (std::size_t i = 0; i < part.losses.size(); ++i) {
    const double w = part.masses[i] * std::exp(lambda * part.losses[i] - largest);
    s0 += w;
    s1 += w * part.losses[i];
    s2 += w * part.losses[i] * part.losses[i];
  }
  const double mean = s1 / s0;
  return {largest + std::log(s0), mean, std::max(s2 / s0 - mean * mean, 0.0)};
}

// ln of one step's sum of e^(lambda * loss), over losses below `rare_from` and over the others.
struct SmallAndRare {
  double small, rare;
};

SmallAndRare small_and_rare(const LossOutline::Part& part, double lambda, double rare_from) {
  const auto log_sum = [&](bool rare) {
    double largest = -kInfinity;
    for (std::size_t i = 0; i < part.losses.size(); ++i) {
      if ((part.losses[i] >= rare_from) == rare) largest = std::max(largest, lambda * part.losses[i]);
    }
    double sum = 0;
    for (std::size_t i = 0; i < part.losses.size(); ++i) {
      if ((part.losses[i] >= rare_from) == rare) sum += part.masses[i] * std::exp(lambda * part.losses[i] - largest);
    }
    return sum > 0 ? largest + std::log(sum) : -kInfinity;
  };
  return {log_sum(false), log_sum(true)};
}

// ln of f(e^x), where f(y) is about y for small y.
template <class F>
double log_of(const F& f, double x) {
  return x < -40 ? x : std::log(f(std::exp(x)));
}

// Golden sections for the minimum of a function with one valley, in the logarithm of its argument.
double least(double low, double high, const std::function<double(double)>& f) {
  constexpr double kGolden = 0.6180339887498949;
  double a = std::log(low);
  double b = std::log(high);
  double x = b - kGolden * (b - a), y = a + kGolden * (b - a);
  double fx = f(std::exp(x)), fy = f(std::exp(y));
  while (b - a > 0.02) {
    if (fx <= fy) {
      b = y, y = x, fy = fx;
      x = b - kGolden * (b - a), fx = f(std::exp(x));
    } else {
      a = x, x = y, fx = fy;
      y = a + kGolden * (b - a), fy = f(std::exp(y));
    }
  }
  return std::exp((a + b) / 2);
}

}  // namespace

LossOutline::LossOutline(std::span<const LossSteps> steps, double delta, double fine_from) {
  for (const LossSteps& step : steps) parts_.push_back(outline_of(step, delta, fine_from));
}

void LossOutline::add(const LossSteps& steps, double delta) { parts_.push_back(outline_of(steps, delta, 0)); }

LossOutline LossOutline::times(double factor) const {
  LossOutline out = *this;
  for (Part& part : out.parts_) part.count *= factor;
  return out;
}

double LossOutline::Part::log_sum(double lambda) const { return moments(*this, lambda).log_sum; }

LossRange LossOutline::Part::tilted_range(double lambda) const {
  const double all = log_sum(lambda);
  double below = 0;
  double from = range.from;
  for (std::size_t i = 0; i + 1 < losses.size(); ++i) {
    below += masses[i] * std::exp(lambda * losses[i] - all);
    if (!(below < 1e-15 / count)) break;
    from = losses[i];
  }
  return {from, range.to};
}

BinWidths LossOutline::Part::bin_widths(const ComposedPlan& plan, double spread) const {
  const double lambda = plan.tilt;
  const double all = log_sum(lambda);
  // The fewest bins, sum of L / w, whose masses p, tilted, make sum of p w^2 the spread: w goes with the cube root of L / p.
  BinWidths out;
  double sum = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const double from = i > 0 ? (losses[i - 1] + losses[i]) / 2 : losses[i];
    const double to = i + 1 < losses.size() ? (losses[i] + losses[i + 1]) / 2 : losses[i];
    if (!(to > from)) continue;
    const double share = losses[i] < plan.rare_from ? 1 : plan.rare_share;
    const double mass = std::max(count * masses[i] * std::exp(lambda * losses[i] - all) / share, 1e-300);
    const double width = std::cbrt((to - from) / mass);
    sum += mass * width * width;
    out.from.push_back(from);
    out.width.push_back(width);
  }
  for (std::size_t i = 0; i < out.from.size(); ++i) {
    const double most = i + 1 < out.from.size() ? out.from[i + 1] - out.from[i] : out.width[i];
    out.width[i] = std::min(out.width[i] * std::sqrt(spread / sum), most);
  }
  return out;
}

double LossOutline::steps() const {
  double total = 0;
  for (const Part& part : parts_) total += part.count;
  return total;
}

double LossOutline::cumulant(double lambda) const {
  double total = 0;
  for (const Part& part : parts_) total += part.count * moments(part, lambda).log_sum;
  return total;
}

double LossOutline::cumulant(double lambda, double rare_from) const {
  if (rare_from == kAllRare) return cumulant(lambda);
  // Of each step, ln of its sum over the one of small losses; ln of all steps' total of that.
  std::vector<double> log_excess;
  for (const Part& part : parts_) {
    const SmallAndRare sums = small_and_rare(part, lambda, rare_from);
    log_excess.push_back(std::log(part.count) +
                         log_of([](double y) { return std::log1p(y); }, std::min(sums.rare - sums.small, 700.0)));
  }
  const double largest = *std::max_element(log_excess.begin(), log_excess.end());
  double sum = 0;
  for (const double x : log_excess) sum += std::exp(x - largest);
  return cumulant(lambda) + log_of([](double y) { return -std::expm1(-y); }, std::min(largest + std::log(sum), 700.0));
}

double LossOutline::cumulant_of_small(double lambda, double rare_from) const {
  double total = 0;
  for (const Part& part : parts_) total += part.count * small_and_rare(part, lambda, rare_from).small;
  return total;
}

double LossOutline::variance(double lambda) const {
  double total = 0;
  for (const Part& part : parts_) total += part.count * moments(part, lambda).variance;
  return total;
}

double LossOutline::mean(double lambda) const {
  double total = 0;
  for (const Part& part : parts_) total += part.count * moments(part, lambda).mean;
  return total;
}

namespace {

// Of all the steps together.
struct Extent {
  double most = 1e-12;  // loss of one step
  double least = -1e-12;
  double spacing = 0;
};

Extent extent_of(const LossOutline& outline, std::span<const LossSteps> steps) {
  Extent out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const LossRange& range = outline.parts()[i].range;
    out.most = std::max(out.most, range.to);
    out.least = std::min(out.least, range.from);
    if (out.spacing == 0) out.spacing = steps[i].loss->atom_spacing();
  }
  return out;
}

double most_tilt(const Extent& extent) { return std::max(1e3 / extent.most, 1.0); }

constexpr double kLeastTilt = 1e-3;

// The gentlest tilt, up to the slope, with which round-off is a small share of delta: what the tilt is there for. A gentler
// one needs a shorter window. If there is none, the one with which it is smallest.
double gentlest_tilt(const LossOutline& outline, const PldTarget& target, const ComposedPlan& plan) {
  const double log_error = std::log(6e-13 * (outline.steps() + 3));  // as loss_spectrum.cc counts it, for some 2^18 points
  const double most = std::log(target.delta.value() * target.reach) - 13;
  double tilt = plan.slope;
  double smallest = kInfinity;
  for (double next = plan.slope; next > 0.02 * plan.slope; next *= 0.7) {
    const double error = log_error + outline.cumulant(next, plan.rare_from) - next * plan.epsilon;
    if (error > std::max(most, smallest)) break;  // it has one valley
    tilt = next;
    smallest = error;
  }
  return std::max(tilt, std::min(plan.slope, kLeastTilt));
}

// What runs of small losses may do to delta: this share.
constexpr double kShareOfSmall = 1e-5;

// Rare losses begin as high as runs without any hardly reach epsilon.
void split(const LossOutline& outline, const PldTarget& target, ComposedPlan& plan) {
  const auto log_delta = [&](double tilt, double from) {
    return outline.cumulant_of_small(tilt, from) - tilt * plan.epsilon;
  };
  double low = std::log(plan.epsilon * kLeastRare);
  double high = std::log(plan.epsilon);
  while (high - low > 0.02) {
    const double middle = (low + high) / 2;
    const double from = std::exp(middle);
    const double tilt = least(kLeastTilt, 300 / from, [&](double t) { return log_delta(t, from); });
    const bool small = log_delta(tilt, from) <= std::log(target.delta.value() * kShareOfSmall);
    (small ? low : high) = middle;
    if (!small) continue;
    plan.rare_from = from;
    plan.small_tilt = tilt;
  }
}

// An outline is too coarse for the sharp lower end of runs with a rare loss: this share of epsilon is left there.
constexpr double kMargin = 0.05;

// Window and step for the plan's slope and epsilon.
void lay_grid(const LossOutline& outline, const Extent& extent, const PldTarget& target, double finer, ComposedPlan& plan) {
  const double log_delta = std::log(target.delta.value());
  const auto cumulant = [&](double t) { return outline.cumulant(t, plan.rare_from); };
  plan.tilt = gentlest_tilt(outline, target, plan);
  double aim = target.width * std::max(1.0, plan.epsilon);
  if (plan.epsilon > 0) aim = std::min(aim, 5e-3 * plan.epsilon);
  const double at = cumulant(plan.tilt);
  plan.rare_share = std::exp(std::min(at - outline.cumulant(plan.tilt), 0.0));
  // -ln of the tilted mass left outside the window, each side: less than 1e-6 of delta, also where Chernoff's bound is far
  // above delta. +15: e^-15 is below 1e-6. At most e^-18.5, 1e-8 of the mass, is left out; less than e^-45, which no sum in
  // double would notice, need not be kept.
  const double beyond = std::clamp(at - plan.tilt * plan.epsilon - log_delta + 15, 18.5, 45.0);
  const auto right = [&](double t) { return (cumulant(plan.tilt + t) - at + beyond) / t; };
  const auto left = [&](double t) { return (cumulant(plan.tilt - t) - at + beyond) / t; };
  const double most = 600 / extent.most;  // e^600 is still a double
  if (plan.rare_from == kAllRare) {
    const double guess = std::sqrt(2 * beyond / std::max(outline.variance(plan.tilt), 1e-24));
    plan.right = std::min(least(guess / 50, guess * 6, right), most);
    plan.left = std::min(least(guess / 50, guess * 6, left), plan.tilt + 600 / -extent.least);
  } else {
    plan.right = least(kLeastTilt, most, right);
    plan.left = least(kLeastTilt, plan.tilt + 600 / std::max(-extent.least, kMargin * plan.epsilon), left);
  }
  plan.to = right(plan.right);
  plan.from = -left(plan.left);
  if (plan.rare_from != kAllRare) plan.from -= kMargin * plan.epsilon;
  // A sharp upper end (few steps of a bounded loss) is taken in whole.
  double end = 0;
  for (const LossOutline::Part& part : outline.parts()) end += part.count * part.range.to;
  const bool whole = outline.steps() <= 64 && end - plan.from <= 2 * (plan.to - plan.from);
  if (whole) plan.to = end + (end - plan.from) / 16;
  const double width = std::max({plan.to - plan.from, 1e-11, extent.spacing * 4});
  plan.to = plan.from + width;
  // A step's spread adds (slope + 1) step^2 / 8 to the bracket's width.
  double step = std::sqrt(8 * aim / ((plan.slope + 1) * outline.steps()));
  double widest = 0;
  for (const LossOutline::Part& part : outline.parts()) {
    const LossRange range = part.tilted_range(plan.tilt);
    widest = std::max(widest, range.to - range.from);
  }
  plan.spread = 0.5 * aim / ((plan.slope + 1) * finer * finer * finer);
  const double fewest = whole ? 0x1p14 : 0x1p11;  // `whole` leaves a sixteenth for the bins' margins
  constexpr double kMost = 0x1p20;
  step = std::max({std::min(step, width / fewest) / finer, width / kMost, widest / kMost});
  // Losses so large that their sums overflow have no grid.
  if (!(std::isfinite(plan.from) && std::isfinite(step) && width / step >= 2 && width / step <= 2 * kMost)) return;
  plan.length = std::bit_ceil(static_cast<std::size_t>(width / step) + 2);
  plan.step = width / static_cast<double>(plan.length - 2);
  if (extent.spacing > 0) {
    plan.step = extent.spacing / std::ceil(extent.spacing / plan.step);
    plan.length = std::bit_ceil(static_cast<std::size_t>(width / plan.step) + 2);
  }
}

}  // namespace

ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target) {
  const Extent extent = extent_of(outline, steps);
  // delta <= e^(K(lambda) - lambda * epsilon) * lambda^lambda / (1 + lambda)^(1 + lambda)
  const auto log_delta = [&](double lambda, double epsilon) {
    return outline.cumulant(lambda) - lambda * epsilon + lambda * std::log(lambda / (1 + lambda)) - std::log1p(lambda);
  };
  const double log_target = std::log(target.delta.value());
  ComposedPlan plan;
  plan.slope = least(kLeastTilt, most_tilt(extent), [&](double l) { return (log_delta(l, 0) - log_target) / l; });
  plan.epsilon = (log_delta(plan.slope, 0) - log_target) / plan.slope;
  if (plan.epsilon <= 0) {
    plan.epsilon = 0;
    plan.slope = least(kLeastTilt, most_tilt(extent), [&](double l) { return log_delta(l, 0); });
  }
  lay_grid(outline, extent, target, 1, plan);
  return plan;
}

ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target,
                              const KnownEpsilon& known) {
  const Extent extent = extent_of(outline, steps);
  double low = std::log(kLeastTilt);
  double high = std::log(most_tilt(extent));
  while (high - low > 0.01) {
    const double middle = (low + high) / 2;
    (outline.mean(std::exp(middle)) < known.epsilon ? low : high) = middle;
  }
  ComposedPlan plan;
  plan.slope = std::exp(low);
  plan.epsilon = known.epsilon;
  if (known.split) split(outline, target, plan);
  lay_grid(outline, extent, target, known.finer, plan);
  return plan;
}

void lengthen(ComposedPlan& plan) {
  const double width = plan.to - plan.from;
  plan.length = std::bit_ceil(static_cast<std::size_t>(width / plan.step * (1 - 1e-9)) + 2);
  plan.step = width / static_cast<double>(plan.length - 2);
}

}  // namespace sotto::privacy
