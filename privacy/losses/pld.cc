#include "privacy/losses/pld.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "privacy/losses/fft.h"
#include "privacy/losses/loss_grid.h"
#include "privacy/losses/loss_outline.h"
#include "privacy/losses/loss_spectrum.h"

namespace sotto::privacy {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kRoughWidth = 0.02;  // of the grid that only shows where epsilon is, as a share of max(1, epsilon)
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Suffix sums by Horner's rule, all terms positive: relative error below 6 roundings a point.
template <class Real>
void sum_from_the_right(const std::vector<Real>& masses, long start, double tilt, double step, std::vector<double>& gain,
                        std::vector<double>& rest) {
  const std::size_t n = masses.size();
  gain.assign(n + 1, 0);
  rest.assign(n + 1, 0);
  const double decay = std::exp(-tilt * step);
  const double decay_rest = std::exp(-(tilt + 1) * step);
  const double moved = decay * -std::expm1(-step);
  const std::size_t mask = n - 1;
  for (std::size_t j = n; j-- > 0;) {
    const std::size_t on_circle = (static_cast<std::size_t>(start) + j) & mask;
    gain[j] = decay * gain[j + 1] + moved * rest[j + 1];
    rest[j] = std::max(static_cast<double>(masses[on_circle]), 0.0) + decay_rest * rest[j + 1];
  }
}

}  // namespace

namespace {

// The product of all steps on the plan's grid. `parts` are the steps' outlines, one by one.
template <class Real>
ComposedLoss on_grid(std::span<const LossSteps> steps, std::span<const LossOutline::Part> parts, const ComposedPlan& plan) {
  double total = 0;
  for (const LossOutline::Part& part : parts) total += part.count;
  LossSpectrum<Real> product(plan);
  for (std::size_t i = 0; i < steps.size(); ++i) product.multiply(steps[i], parts[i], parts[i].count / total);
  return ComposedLoss::of(product, plan);
}

Bracket both(const Bracket& a, const Bracket& b) { return {std::max(a.lower, b.lower), std::min(a.upper, b.upper)}; }

}  // namespace

// Tries grids until the bracket is narrow. Grids for smooth losses are fine at once. Where rare large losses stand beside a
// narrow bulk, small and rare losses are told apart, or a finer grid or longer numbers are tried, whichever the bracket's
// width comes from. Every grid's bracket holds, so that what is known is where all of them agree.
class ComposedLoss::Search {
 public:
  Search(std::span<const LossSteps> steps, const PldTarget& target)
      : steps_(steps), target_(target), outline_(steps, target.delta.value() * target.reach) {
    if (steps.size() > kManySteps) target_.width *= kWider;
  }

  ComposedLoss run() {
    known_.epsilon = about();
    for (int attempt = 0; attempt < kAttempts && !done_; ++attempt) try_next();
    ComposedLoss out = std::move(found_.front());
    for (std::size_t i = 1; i < found_.size(); ++i) out.others_.push_back(std::move(found_[i]));
    return out;
  }

 private:
  static double width(const Bracket& b) { return b.upper - b.lower; }

  // Where epsilon is, by a coarse grid; of many different steps, those of the sample alone.
  double about() {
    const ComposedPlan rough = plan_composition(outline_, steps_, {target_.delta, kRoughWidth});
    if (rough.length == 0) return kInfinity;
    if (steps_.size() > outline_.sample().size()) {
      return on_grid<double>(outline_.sampled_steps(), outline_.sample(), rough).on_this_grid(target_.delta).upper;
    }
    keep(on_grid<double>(steps_, outline_.parts(), rough));
    return bracket_.upper;
  }

  void keep(ComposedLoss found) {
    const Bracket here = found.on_this_grid(target_.delta);
    const Bracket before = bracket_;
    bracket_ = both(bracket_, here);
    if (here.lower >= before.lower && here.upper <= before.upper) found_.clear();  // nothing is left for the others to say
    if (found_.empty() || here.lower > before.lower || here.upper < before.upper) found_.push_back(std::move(found));
  }

  void try_next() {
    const bool any = known_.epsilon > 0 && std::isfinite(known_.epsilon);
    const ComposedPlan plan =
        any ? plan_composition(outline_, steps_, target_, known_) : plan_composition(outline_, steps_, target_);
    done_ = !any || !target_.refine;
    if (plan.length == 0) {
      if (found_.empty()) found_.push_back({});
      done_ = true;
      return;
    }
    ComposedLoss found =
        longer_ ? on_grid<long double>(steps_, outline_.parts(), plan) : on_grid<double>(steps_, outline_.parts(), plan);
    const Bracket here = found.on_this_grid(target_.delta);
    const Bracket exact = found.without_round_off(target_.delta);
    const double before = width(bracket_);
    keep(std::move(found));
    const double now = width(bracket_);
    if (done_ || !std::isfinite(now) || is_narrow(bracket_, steps_.size() > kManySteps ? kWider : 1)) {
      done_ = true;
      return;
    }
    const bool in_vain = now > kProgress * before;
    next(plan, here, exact, in_vain);
  }

  void next(const ComposedPlan& plan, const Bracket& here, const Bracket& exact, bool in_vain) {
    // A bracket that says little of where epsilon is: halve it by a grid for its middle.
    if (bracket_.upper > kFar * std::max(bracket_.lower, kLeastEpsilon) && probes_ < kProbes) {
      ++probes_;
      known_.epsilon = std::sqrt(bracket_.upper * std::max(bracket_.lower, kLeastEpsilon));
      return;
    }
    known_.epsilon = std::min(exact.upper, bracket_.upper);
    const bool by_round_off = width(exact) < width(here) / 2;
    if (!split_tried_ && target_.reach == 1) {
      known_.split = split_tried_ = true;
      outline_ = LossOutline(steps_, target_.delta.value() * target_.reach, known_.epsilon * kLeastRare);
    } else if (by_round_off && !longer_) {
      longer_ = true;
    } else {
      // A grid that is as fine as grids get, or that a finer one did not help, is the last.
      done_ = in_vain && (known_.finer > 1 || longer_ || plan.length >= kLongest);
      known_.finer *= 4;
    }
  }

  static constexpr int kAttempts = 12;      // probes, then split, longer numbers and finer steps: more than any setting took
  static constexpr int kProbes = 6;         // from a factor of 10,000 to one of 1.2
  static constexpr double kWider = 4;       // brackets of very many different steps: half the points
  static constexpr double kFar = 1.5;       // between the ends of a bracket: grids for one do not serve the other
  static constexpr double kProgress = 0.8;  // an attempt that leaves more of the width was in vain
  static constexpr std::size_t kLongest = 0x1p20;  // composed_plan.cc makes no longer grid of the same width

  std::span<const LossSteps> steps_;
  PldTarget target_;
  LossOutline outline_;
  std::vector<ComposedLoss> found_;
  Bracket bracket_{0, kInfinity};
  KnownEpsilon known_;
  int probes_ = 0;
  bool split_tried_ = false, longer_ = false, done_ = false;
};

ComposedLoss ComposedLoss::compose(std::span<const LossSteps> steps, const PldTarget& target) {
  return Search(steps, target).run();
}

template <class Real>
ComposedLoss ComposedLoss::of(const LossSpectrum<Real>& product, const ComposedPlan& plan) {
  const Spectrum<Real> masses = product.masses();
  ComposedLoss out;
  const auto& totals = product.totals();
  out.tilt_ = plan.tilt;
  out.small_tilt_ = plan.small_tilt;
  out.step_ = plan.step;
  const long start = static_cast<long>(std::floor((plan.from - totals.offset) / plan.step));
  out.from_ = totals.offset + static_cast<double>(start) * plan.step;
  const double to = out.from_ + static_cast<double>(plan.length) * plan.step;
  const double largest = std::max(std::abs(out.from_), std::abs(to));
  out.shift_ = totals.edge_error + totals.offset_error + 8 * kUnit * (largest + std::abs(totals.offset));
  out.log_scale_ = totals.log_scale;
  out.log_scale_error_ = totals.log_scale_error + 8 * kUnit * (std::abs(totals.log_scale) + plan.tilt * largest + 1);
  out.round_off_ = totals.round_off;
  for (Side* side : {&out.upper_, &out.lower_}) {
    const std::size_t which = side == &out.upper_ ? 0 : 1;
    sum_from_the_right(which == 0 ? masses.re : masses.im, start, plan.tilt, plan.step, side->gain, side->rest);
    side->infinite = totals.infinite[which];
    side->relative = totals.relative_error + 8 * kUnit * static_cast<double>(plan.length);
    const bool all = totals.last < static_cast<double>(start) + static_cast<double>(plan.length);
    side->log_beyond = all ? -kInfinity : totals.log_right[which].rare() - plan.right * to;
    side->log_small = totals.log_small[which];
    side->outside = std::exp(side->log_beyond) + std::exp(totals.log_left[which].rare() + plan.left * out.from_);
  }
  return out;
}

template ComposedLoss ComposedLoss::of(const LossSpectrum<double>&, const ComposedPlan&);
template ComposedLoss ComposedLoss::of(const LossSpectrum<long double>&, const ComposedPlan&);

// The contribution of finite losses above epsilon, with every error on the safe side.
double ComposedLoss::finite_part(const Side& side, double epsilon, bool upper) const {
  const double place = std::max(std::ceil((epsilon - from_) / step_), 0.0);
  if (!(place < static_cast<double>(side.rest.size() - 1))) return 0;
  const auto j = static_cast<std::size_t>(place);
  const double point = from_ + place * step_;
  const double sum = side.gain[j] - std::expm1(std::min(epsilon - point, 0.0)) * side.rest[j];
  // Weights of the points' errors: at most e^(-tilt * distance) each.
  const double weights = std::sqrt(std::min(1 / -std::expm1(-2 * tilt_ * step_), static_cast<double>(side.rest.size())));
  const double error = round_off_ * weights;
  if (upper) {
    return std::exp(log_scale_ - tilt_ * point + log_scale_error_) * (sum * (1 + side.relative) + error);
  }
  const double wrapped = side.outside * std::exp(tilt_ * (point - epsilon)) / (1 + tilt_);
  const double least = sum * (1 - side.relative) - error - wrapped * (1 + 1e-9);
  return least > 0 ? std::exp(log_scale_ - tilt_ * point - log_scale_error_) * least : 0;
}

double ComposedLoss::upper_delta(double epsilon) const {
  const double at = epsilon - shift_;
  if (!(at >= from_)) return 1;
  const double to = from_ + static_cast<double>(upper_.rest.size() - 1) * step_;
  const double beyond = std::exp(upper_.log_beyond + log_scale_ - tilt_ * to + log_scale_error_) * (1 + 1e-9);
  const double small = std::exp(upper_.log_small - small_tilt_ * at) / (1 + small_tilt_) * (1 + 1e-9);
  return std::min(1.0, (finite_part(upper_, at, true) + beyond + small + upper_.infinite) * (1 + 8 * kUnit));
}

double ComposedLoss::lower_delta(double epsilon) const {
  return std::min(1.0, (finite_part(lower_, epsilon + shift_, false) + lower_.infinite) * (1 - 8 * kUnit));
}

Bracket ComposedLoss::delta(double epsilon) const {
  Bracket out = {lower_delta(epsilon), upper_delta(epsilon)};
  for (const ComposedLoss& other : others_) out = both(out, other.delta(epsilon));
  return out;
}

Bracket ComposedLoss::epsilon(Delta delta) const {
  Bracket out = on_this_grid(delta);
  for (const ComposedLoss& other : others_) out = both(out, other.on_this_grid(delta));
  return out;
}

Bracket ComposedLoss::without_round_off(Delta delta) const {
  ComposedLoss exact = *this;
  exact.round_off_ = 0;
  return exact.on_this_grid(delta);
}

Bracket ComposedLoss::on_this_grid(Delta delta) const {
  if (upper_.rest.empty()) return {0, kInfinity};
  const double least = std::max(0.0, from_ + shift_);
  const double most = from_ + static_cast<double>(upper_.rest.size() - 1) * step_ + shift_;
  const double precision = 1e-3 * step_;
  Bracket out;
  if (upper_delta(least) <= delta.value()) {
    out.upper = least;
  } else if (!(upper_delta(most) <= delta.value())) {
    out.upper = kInfinity;
  } else {
    double low = least;
    out.upper = most;
    while (out.upper - low > precision) {
      const double middle = low + (out.upper - low) / 2;
      if (middle <= low || middle >= out.upper) break;
      (upper_delta(middle) <= delta.value() ? out.upper : low) = middle;
    }
  }
  // From the upper end down, in growing steps: far below it the bound on wrapped mass is no help.
  double high = std::min(std::max(most, 0.0), out.upper);
  for (double back = step_; high > 0; back *= 2) {
    out.lower = std::max(high - back, 0.0);
    if (lower_delta(out.lower) > delta.value()) break;
    high = out.lower;
  }
  while (high - out.lower > precision) {
    const double middle = out.lower + (high - out.lower) / 2;
    if (middle <= out.lower || middle >= high) break;
    (lower_delta(middle) > delta.value() ? out.lower : high) = middle;
  }
  return out;
}

}  // namespace sotto::privacy
