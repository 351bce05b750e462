#include "privacy/losses/loss_outline.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sotto::privacy {
namespace {

// The share of delta that the upper measure may spend on losses that it makes infinite, all steps together. It moves epsilon
// by about this over the slope of ln delta, and keeps losses off the grid that would ask for a window many times as long.
constexpr double kCut = 1e-5;
// Parts of a sample: so many that sums over different steps are met to some per cent.
constexpr std::size_t kSampled = 256;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// `mass_above`: losses that are rarer than this in a step are cut, and infinite in the upper measure.
LossOutline::Part outline_of(const LossSteps& steps, double mass_above, double fine_from) {
  LossOutline::Part part;
  part.loss = steps.loss;
  part.count = static_cast<double>(steps.count);
  part.range = loss_range(*steps.loss, 1e-13 / part.count, std::max(mass_above, 1e-290));
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
  // Rare losses are told from small ones at a bin's edge: to one per cent.
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

}  // namespace

LossOutline::LossOutline(std::span<const LossSteps> steps, double delta, double fine_from) {
  double total = 0;
  for (const LossSteps& step : steps) total += static_cast<double>(step.count);
  for (const LossSteps& step : steps) take(outline_of(step, delta * kCut / total, fine_from));
}

void LossOutline::add(const LossSteps& steps, double delta) {
  take(outline_of(steps, delta * kCut / static_cast<double>(steps.count), 0));
}

void LossOutline::take(Part part) {
  sample_.push_back(part);
  parts_.push_back(std::move(part));
  if (sample_.size() < 2 * kSampled) return;
  // Of two neighbours by size one stands for both, by turns the smaller and the larger one, so that sums are met on average.
  std::vector<std::pair<double, std::size_t>> by_size;
  for (std::size_t i = 0; i < sample_.size(); ++i) by_size.emplace_back(moments(sample_[i], 1).variance, i);
  std::sort(by_size.begin(), by_size.end());
  std::vector<Part> kept;
  for (std::size_t i = 0; i + 1 < by_size.size(); i += 2) {
    const bool larger = i % 4 == 0;
    Part& stays = sample_[by_size[larger ? i + 1 : i].second];
    stays.count += sample_[by_size[larger ? i : i + 1].second].count;
    kept.push_back(std::move(stays));
  }
  sample_ = std::move(kept);
}

std::vector<LossSteps> LossOutline::sampled_steps() const {
  std::vector<LossSteps> out;
  for (const Part& part : sample_) out.push_back({part.loss, static_cast<std::uint64_t>(part.count)});
  return out;
}

LossOutline LossOutline::times(double factor) const {
  LossOutline out = *this;
  for (auto* parts : {&out.parts_, &out.sample_}) {
    for (Part& part : *parts) part.count *= factor;
  }
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
  for (const Part& part : sample_) total += part.count;
  return total;
}

double LossOutline::cumulant(double lambda) const {
  double total = 0;
  for (const Part& part : sample_) total += part.count * moments(part, lambda).log_sum;
  return total;
}

double LossOutline::cumulant(double lambda, double rare_from) const {
  if (rare_from == kAllRare) return cumulant(lambda);
  // Of each step, ln of its sum over the one of small losses; ln of all steps' total of that.
  std::vector<double> log_excess;
  for (const Part& part : sample_) {
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
  for (const Part& part : sample_) total += part.count * small_and_rare(part, lambda, rare_from).small;
  return total;
}

double LossOutline::variance(double lambda) const {
  double total = 0;
  for (const Part& part : sample_) total += part.count * moments(part, lambda).variance;
  return total;
}

double LossOutline::mean(double lambda) const {
  double total = 0;
  for (const Part& part : sample_) total += part.count * moments(part, lambda).mean;
  return total;
}

}  // namespace sotto::privacy
