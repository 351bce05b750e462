// How a composition is computed: the tilt, the window and the grid's step (loss_outline.h), chosen from an outline.
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "privacy/losses/loss_outline.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Golden sections for the minimum of a function with one valley, in the logarithm of its argument.
double least(double low, double high, const std::function<double(double)>& f) {
  constexpr double kGolden = 0.6180339887498949;  // (sqrt(5) - 1) / 2
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

// Below it the tilted masses are the masses themselves, and 1 / (1 - e^(-2 tilt h)) in the round-off grows (privacy.md, 6.5).
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

// The window for the plan's slope, epsilon and tilt. True: it holds every loss up to a sharp upper end.
bool set_window(const LossOutline& outline, const Extent& extent, const PldTarget& target, ComposedPlan& plan) {
  const double log_delta = std::log(target.delta.value());
  const auto cumulant = [&](double t) { return outline.cumulant(t, plan.rare_from); };
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
  return whole;
}

// Window and step for the plan's slope and epsilon.
void lay_grid(const LossOutline& outline, const Extent& extent, const PldTarget& target, double finer, ComposedPlan& plan) {
  double aim = target.width * std::max(1.0, plan.epsilon);
  // A small epsilon is met to a share of itself: half of what counts as narrow, as both measures add to the width.
  if (plan.epsilon > 0) aim = std::min(aim, 2e-3 * std::max(plan.epsilon, kLeastEpsilon));
  plan.tilt = gentlest_tilt(outline, target, plan);
  const bool whole = set_window(outline, extent, target, plan);
  double width = std::max({plan.to - plan.from, 1e-11, extent.spacing * 4});
  // A step's spread adds (slope + 1) step^2 / 8 to the bracket's width.
  double step = std::sqrt(8 * aim / ((plan.slope + 1) * outline.steps()));
  double widest = 0;
  for (const LossOutline::Part& part : outline.parts()) {
    const LossRange range = part.tilted_range(plan.tilt);
    widest = std::max(widest, range.to - range.from);
  }
  plan.spread = 0.5 * aim / ((plan.slope + 1) * finer * finer * finer);
  const double fewest = whole ? 0x1p14 : 0x1p11;  // `whole` leaves a sixteenth for the bins' margins
  constexpr double kMost = 0x1p20;  // points: a transform of twice as many is some 64 MB and a second in extended precision
  step = std::max({std::min(step, width / fewest) / finer, width / kMost, widest / kMost});
  // Losses so large that their sums overflow have no grid.
  if (!(std::isfinite(plan.from) && std::isfinite(step) && width / step >= 2 && width / step <= 2 * kMost)) return;
  // Where a step of the grid is wider than most losses, the upper measure moves them by a whole one: out of a window that
  // was made for the losses themselves, and around to its other end.
  constexpr double kOutwards = 48;
  plan.from -= kOutwards * step;
  width += 2 * kOutwards * step;
  plan.to = plan.from + width;
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
