#include "privacy/loss_outline.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace sotto::privacy {
namespace {

LossOutline::Part outline_of(const LossSteps& steps, double delta) {
  LossOutline::Part part;
  part.count = static_cast<double>(steps.count);
  part.range = loss_range(*steps.loss, 1e-13 / part.count, std::max(delta * 1e-9 / part.count, 1e-290));
  constexpr int kEdges = 140;  // on each side of 0, four to an octave
  std::vector<double> edges;
  for (int i = 0; i < kEdges && part.range.from < 0; ++i) edges.push_back(part.range.from * std::exp2(-0.25 * i));
  for (int i = kEdges - 1; i >= 0 && part.range.to > 0; --i) edges.push_back(part.range.to * std::exp2(-0.25 * i));
  const auto masses = steps.loss->masses(edges);
  for (std::size_t i = 0; i < masses.size(); ++i) {
    const LossMass& m = masses[i];
    if (!(m.p_low > 0 && m.q_low > 0)) continue;
    double loss = std::log((m.p_low + m.p_high) / (m.q_low + m.q_high));
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
  double largest = -std::numeric_limits<double>::infinity();
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

LossOutline::LossOutline(std::span<const LossSteps> steps, double delta) {
  for (const LossSteps& step : steps) parts_.push_back(outline_of(step, delta));
}

double LossOutline::Part::log_sum(double lambda) const { return moments(*this, lambda).log_sum; }

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

double LossOutline::mean(double lambda) const {
  double total = 0;
  for (const Part& part : parts_) total += part.count * moments(part, lambda).mean;
  return total;
}

double LossOutline::variance(double lambda) const {
  double total = 0;
  for (const Part& part : parts_) total += part.count * moments(part, lambda).variance;
  return total;
}

namespace {

// Of all the steps together.
struct Extent {
  double largest = 1e-12;  // loss of one step
  double widest = 1e-12;   // range of one step
  double spacing = 0;
};

Extent extent_of(const LossOutline& outline, std::span<const LossSteps> steps) {
  Extent out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const LossRange& range = outline.parts()[i].range;
    out.largest = std::max({out.largest, range.to, -range.from});
    out.widest = std::max(out.widest, range.to - range.from);
    if (out.spacing == 0) out.spacing = steps[i].loss->atom_spacing();
  }
  return out;
}

constexpr double kLeastTilt = 1e-3;
double most_tilt(const Extent& extent) { return std::max(1e3 / extent.largest, 1.0); }

// Window and step for the plan's tilt and epsilon.
void lay_grid(const LossOutline& outline, const Extent& extent, double aim, ComposedPlan& plan) {
  constexpr double kBeyond = 18.5;  // -ln of the tilted mass left outside the window, each side
  const double at = outline.cumulant(plan.tilt);
  const double spread = std::sqrt(std::max(outline.variance(plan.tilt), 1e-24));
  const double guess = std::sqrt(2 * kBeyond) / spread;
  const auto right = [&](double t) { return (outline.cumulant(plan.tilt + t) - at + kBeyond) / t; };
  const auto left = [&](double t) { return (outline.cumulant(plan.tilt - t) - at + kBeyond) / t; };
  const double overflow = 600 / extent.largest;
  plan.right = std::min(least(guess / 50, guess * 50, right), overflow);
  plan.left = std::min(least(guess / 50, guess * 50, left), overflow);
  plan.to = right(plan.right);
  plan.from = -left(plan.left);
  const double width = std::max({plan.to - plan.from, 1e-11, extent.spacing * 4});
  plan.to = plan.from + width;
  // A step's spread adds (tilt + 1) step^2 / 8 to the bracket's width.
  double step = std::sqrt(8 * aim / ((plan.tilt + 1) * outline.steps()));
  constexpr double kFewest = 0x1p11;
  constexpr double kMost = 0x1p20;
  step = std::max({std::min(step, width / kFewest), width / kMost, extent.widest / kMost});
  plan.length = std::bit_ceil(static_cast<std::size_t>(width / step) + 2);
  plan.step = width / static_cast<double>(plan.length - 2);
  if (extent.spacing > 0) {
    plan.step = extent.spacing / std::ceil(extent.spacing / plan.step);
    plan.length = std::bit_ceil(static_cast<std::size_t>(width / plan.step) + 2);
  }
}

double aim_of(const PldTarget& target, double epsilon) {
  const double aim = target.width * std::max(1.0, epsilon);
  return epsilon > 0 ? std::min(aim, 5e-3 * epsilon) : aim;
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
  plan.tilt = least(kLeastTilt, most_tilt(extent), [&](double l) { return (log_delta(l, 0) - log_target) / l; });
  plan.epsilon = (log_delta(plan.tilt, 0) - log_target) / plan.tilt;
  if (plan.epsilon <= 0) {
    plan.epsilon = 0;
    plan.tilt = least(kLeastTilt, most_tilt(extent), [&](double l) { return log_delta(l, 0); });
  }
  lay_grid(outline, extent, aim_of(target, plan.epsilon), plan);
  return plan;
}

ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target,
                              double epsilon) {
  const Extent extent = extent_of(outline, steps);
  double low = std::log(kLeastTilt);
  double high = std::log(most_tilt(extent));
  while (high - low > 0.01) {
    const double middle = (low + high) / 2;
    (outline.mean(std::exp(middle)) < epsilon ? low : high) = middle;
  }
  ComposedPlan plan;
  plan.tilt = std::exp(low);
  plan.epsilon = epsilon;
  lay_grid(outline, extent, aim_of(target, epsilon), plan);
  return plan;
}

}  // namespace sotto::privacy
