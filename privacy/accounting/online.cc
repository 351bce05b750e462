#include "privacy/accounting/online.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "privacy/accounting/release_rdp.h"
#include "privacy/losses/loss_outline.h"
#include "privacy/losses/loss_spectrum.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kGrowth = 4;  // a grid is made for so many times the steps that there are
// Where adding is shown to be smaller, any order will do: a few over the range in which best orders lie.
constexpr std::array<double, 8> kOrders = {1.5, 2, 3, 5, 8, 14, 24, 48};

}  // namespace

// One direction's running product. Releases are taken in when they are asked about.
class OnlineProfile::Course {
 public:
  Course(Delta delta, Neighbours neighbours, Direction direction)
      : delta_(delta), neighbours_(neighbours), direction_(direction) {}

  Result<void> append(const Release& release) {
    KnownAllocations known;
    SOTTO_TRY(ReleaseLoss loss, loss_of(release, neighbours_, direction_, delta_.value(), known));
    if (loss.lower != nullptr) return unsupported("epsilon after each release is not in this version for random allocation");
    const auto count = static_cast<std::uint64_t>(std::min(release.count, 0x1p62)) * loss.times;
    losses_.push_back(std::move(loss.upper));
    steps_.push_back({losses_.back().get(), count});
    outline_.add(steps_.back(), delta_.value() / kMoreSteps);
    total_ += static_cast<double>(count);
    log_ratio_ += release.count * (release.max_divergence + certificate_of(release));
    return {};
  }

  Bracket epsilon() {
    if (!product_ || total_ > planned_) plan();
    take_all();
    if (!product_) return {0, kInfinity};  // losses that no grid holds
    // P and Q are within the log-ratio of the pair's: as in release_losses.cc.
    const double relative = log_ratio_ > 0 ? 2 * log_ratio_ + 0x1p-51 : 0;
    if (relative > 0.5) return {0, kInfinity};
    Bracket out = at(ComposedLoss::of(*product_, plan_), relative);
    if (is_wide(out) && total_ > kStale * planned_for_) {  // a grid for what there is by now, and what may come
      plan();
      take_all();
      if (!product_) return out;
      out = at(ComposedLoss::of(*product_, plan_), relative);
    }
    // Once more, for these steps alone. Many different ones cost as much as all rounds before: not after every round.
    if (is_wide(out) && (steps_.size() <= kFewDifferent || total_ > kStale * composed_for_)) {
      composed_for_ = total_;
      const Bracket exact = at(ComposedLoss::compose(steps_, PldTarget{delta_}), relative);
      out = {std::max(out.lower, exact.lower), std::min(out.upper, exact.upper)};
    }
    if (log_ratio_ > 0) {
      out.upper += 2 * log_ratio_ + 0x1p-51 * std::max(1.0, out.upper);
      out.lower = std::max(0.0, out.lower - 2 * log_ratio_ - 0x1p-51 * std::max(1.0, out.lower));
    }
    return out;
  }

 private:
  static constexpr double kFew = 64;  // steps need a finer grid, which is short
  static constexpr double kWidthOfFew = 3e-5;
  static constexpr double kStale = 1.2;             // growth after which a grid is made anew for a narrower bracket
  static constexpr std::size_t kFewDifferent = 64;  // steps that may be composed anew at any time
  static constexpr double kWidest = 1e-3;           // a bracket, times max(1, epsilon)
  static constexpr double kMoreSteps = 1e4;         // outlines reach as far as so many more steps ask for

  Bracket at(const ComposedLoss& composed, double relative) const {
    return {composed.epsilon(Delta(std::min(delta_.value() * (1 + relative), 1 - 0x1p-53))).lower,
            composed.epsilon(Delta(delta_.value() * (1 - relative))).upper};
  }

  // A window that holds what there is and what kGrowth times as much would be.
  void plan() {
    const PldTarget target{delta_, total_ < kFew ? kWidthOfFew : PldTarget{}.width};
    const ComposedPlan now = plan_composition(outline_, steps_, target);
    plan_ = plan_composition(outline_.times(kGrowth), steps_, target);
    planned_ = kGrowth * total_;
    planned_for_ = total_;
    taken_ = 0;
    product_.reset();
    if (plan_.length == 0 || now.length == 0) return;
    plan_.from = std::min(plan_.from, now.from);
    plan_.to = std::max(plan_.to, now.to);
    lengthen(plan_);
    product_.emplace(plan_);
  }

  static bool is_wide(const Bracket& epsilon) {
    return epsilon.upper - epsilon.lower > kWidest * std::max(1.0, epsilon.upper);
  }

  void take_all() {
    for (; product_ && taken_ < steps_.size(); ++taken_) {
      const double share = static_cast<double>(steps_[taken_].count) / planned_;
      product_->multiply(steps_[taken_], outline_.parts()[taken_], share);
    }
  }

  Delta delta_;
  Neighbours neighbours_;
  Direction direction_;
  std::vector<std::unique_ptr<PrivacyLoss>> losses_;
  std::vector<LossSteps> steps_;
  LossOutline outline_;
  ComposedPlan plan_;
  std::optional<LossSpectrum<double>> product_;
  std::size_t taken_ = 0;
  double total_ = 0, planned_ = 0, log_ratio_ = 0;
  double planned_for_ = 0, composed_for_ = 0;  // steps that there were
};

OnlineProfile::OnlineProfile(Delta delta, Neighbours neighbours)
    : delta_(delta),
      neighbours_(neighbours),
      remove_(std::make_unique<Course>(delta, neighbours, Direction::kRemove)),
      add_(std::make_unique<Course>(delta, neighbours, Direction::kAdd)),
      rdp_of_adding_(kOrders.size()) {}
OnlineProfile::~OnlineProfile() = default;
OnlineProfile::OnlineProfile(OnlineProfile&&) noexcept = default;
OnlineProfile& OnlineProfile::operator=(OnlineProfile&&) noexcept = default;

bool OnlineProfile::adding_is_below(double epsilon) const {
  for (std::size_t i = 0; i < kOrders.size(); ++i) {
    if (epsilon_of_rdp(kOrders[i], rdp_of_adding_[i], delta_) * (1 + 1e-9) < epsilon) return true;
  }
  return false;
}

Result<ReleasesBracket> OnlineProfile::append(const Release& release) {
  SOTTO_TRY(const auto curve, rdp_curve(release, neighbours_));
  SOTTO_TRY_VOID(remove_->append(release));
  SOTTO_TRY_VOID(add_->append(release));
  const double certificate = release.max_divergence + certificate_of(release);
  for (std::size_t i = 0; i < kOrders.size(); ++i) {
    const double order = kOrders[i];
    rdp_of_adding_[i] += release.count * (curve->at(order, Direction::kAdd) + certificate * (2 * order - 1) / (order - 1));
  }
  const Bracket remove = remove_->epsilon();
  if (adding_is_below(remove.lower)) return ReleasesBracket{remove, Direction::kRemove};
  const Bracket add = add_->epsilon();
  return ReleasesBracket{{std::max(remove.lower, add.lower), std::max(remove.upper, add.upper)},
                         remove.upper >= add.upper ? Direction::kRemove : Direction::kAdd};
}

}  // namespace sotto::privacy
