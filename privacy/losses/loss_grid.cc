#include "privacy/losses/loss_grid.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sotto::privacy {
namespace {

constexpr double kUnit = 0x1p-53;  // one rounding
double edge_error_at(const PrivacyLoss& loss, double edge) { return loss.edge_error() * std::max(1.0, std::abs(edge)); }

// Masses of the two halves of each bin and of both tails, with Q's in units of the bin's lower point: q * e^loss.
class Bins {
 public:
  Bins(const PrivacyLoss& loss, const GridLoss& grid) : points_(grid.points), step_(grid.step) {
    std::vector<double> edges(2 * count() + 1);
    for (std::size_t i = 0; i <= count(); ++i) {
      edges[2 * i] = grid.at(i);
      if (i > 0) edges[2 * i - 1] = grid.offset + static_cast<double>(points_[i - 1] + points_[i]) * (grid.step / 2);
    }
    masses_ = loss.masses(edges);
    SOTTO_CHECK(masses_.size() == edges.size() + 1);
    for (std::size_t i = 0; i < masses_.size(); ++i) {
      const double point = edges[std::min(i > 0 ? (i - 1) / 2 * 2 : 0, edges.size() - 1)];
      const double ratio = std::exp(point);
      const double error = 2 * edge_error_at(loss, point);  // of the edges, of exp, of the products
      masses_[i].q_low *= ratio * (1 - error);
      masses_[i].q_high *= ratio * (1 + error);
    }
  }
  std::size_t count() const { return points_.size() - 1; }
  double step() const { return step_; }
  double distance(std::size_t from, std::size_t to) const {
    return static_cast<double>(points_[to] - points_[from]) * step_;
  }
  double width(std::size_t bin) const { return distance(bin, bin + 1); }
  const LossMass& below() const { return masses_.front(); }
  const LossMass& above() const { return masses_.back(); }
  const LossMass& left(std::size_t bin) const { return masses_[1 + 2 * bin]; }
  const LossMass& right(std::size_t bin) const { return masses_[2 + 2 * bin]; }

 private:
  const std::vector<long>& points_;
  double step_;
  std::vector<LossMass> masses_;
};

// "Connect the dots": each bin's mass goes to its two ends so that both P's and Q's totals stay.
void spread_outwards(const Bins& bins, GridLoss& grid) {
  grid.upper.assign(bins.count() + 1, 0);
  for (std::size_t i = 0; i < bins.count(); ++i) {
    const double width = -std::expm1(-bins.width(i)) * (1 - 4 * kUnit);
    const double p = (bins.left(i).p_high + bins.right(i).p_high) * (1 + 2 * kUnit);
    const double q = (bins.left(i).q_low + bins.right(i).q_low) * (1 - 2 * kUnit);
    const double up = std::clamp((p - q) / width * (1 + 4 * kUnit), 0.0, p);
    grid.upper[i] += (p - up) * (1 + 2 * kUnit);
    grid.upper[i + 1] += up;
  }
  grid.upper.front() += bins.below().p_high;
  const double p = bins.above().p_high;
  grid.upper_infinite = std::clamp((p - bins.above().q_low) * (1 + 2 * kUnit), 0.0, p);
  grid.upper.back() += p - grid.upper_infinite;
  for (double& mass : grid.upper) mass *= 1 + 8 * kUnit;
}

// A convex function below the hockey-stick curve, with kinks at the grid's points only. All that lies above the middle of
// the bin below a point `last_` (or, where losses end sharply there, from the point on) is drawn together in that point, all
// below the middle of the bin above `first_` in that one; in the bins between, the function stays below the tangent at the
// bin's middle. make_convex() removes what rounding left.
class Contraction {
 public:
  explicit Contraction(const Bins& bins) : bins_(bins), first_(0), last_(bins.count()) {
    masses_.assign(bins.count() + 1, 0);
    drops_.assign(bins.count() + 1, 0);
    draw_together_top();
    draw_together_bottom();
    tangents();
    for (std::size_t i = first_; i < last_; ++i) chord(i);
    subtract();
    make_convex();
  }
  std::vector<double> take() { return std::move(masses_); }
  double shift() const { return shift_; }  // losses were raised by at most this

 private:
  static constexpr double kNearlyEqual = 1e-6;  // of a step: what is worth a shift

  // A sum of halves of bins, with Q's mass in units of the point that is looked at.
  struct Heap {
    double p = 0, q_high = 0;
    void add(const LossMass& mass) {
      p = (p + mass.p_low) * (1 - kUnit);
      q_high = (q_high + mass.q_high) * (1 + kUnit);
    }
    double above() const { return p > 0 && q_high > 0 ? std::max(std::log(p / q_high), 0.0) : 0; }
    // How far the mean is below the point, at most.
    double below() const { return p > 0 ? std::max(std::log(q_high / p), 0.0) * (1 + 1e-9) + 4 * kUnit : 0; }
  };

  void put(std::size_t point, const Heap& heap) {
    masses_[point] += heap.p;
    shift_ = std::max(shift_, heap.below());
  }

  void draw_together_top() {
    Heap heap;
    if (bins_.above().q_high > 0) heap.add(bins_.above());  // else it is infinite, and counted as such
    // At point k: everything from the middle of bin k - 1 on.
    for (std::size_t k = bins_.count(); k > 0; --k) {
      const double up = std::exp(bins_.width(k - 1)) * (1 + 2 * kUnit);
      if (k < bins_.count()) heap.add(bins_.left(k));
      if (heap.p > 0 &&
          std::max(heap.above(), heap.below()) <= kNearlyEqual * bins_.step()) {  // a sharp end on the point itself
        last_ = k;
        ends_at_last_ = true;
        put(k, heap);
        return;
      }
      Heap with_half = heap;
      LossMass half = bins_.right(k - 1);
      half.q_high *= up;
      with_half.add(half);
      if (with_half.p > 0 && with_half.below() <= kNearlyEqual * bins_.step()) {
        last_ = k;
        put(k, with_half);
        return;
      }
      heap.q_high /= up / (1 + 8 * kUnit);
      heap.add(bins_.right(k - 1));
    }
    last_ = 0;  // not reached by a loss whose mean is finite: all of P's mass is lost, which is safe
  }

  void draw_together_bottom() {
    Heap heap;
    heap.add(bins_.below());
    Heap best;
    for (std::size_t k = 0; k < last_; ++k) {
      heap.add(bins_.left(k));  // at point k: everything up to the middle of bin k
      const bool fits = heap.p > 0 && heap.below() <= kNearlyEqual * bins_.step();
      if (!fits && (best.p > 0 || heap.p > 1e-6)) break;  // the mean does not keep up with the point any more
      if (fits) {
        first_ = k;
        best = heap;
      }
      heap.add(bins_.right(k));
      heap.q_high *= std::exp(bins_.width(k)) * (1 + 4 * kUnit);
    }
    if (best.p > 0) put(first_, best);
  }

  LossMass left(std::size_t i) const { return i == first_ ? LossMass{} : bins_.left(i); }
  LossMass right(std::size_t i) const { return i + 1 == last_ && !ends_at_last_ ? LossMass{} : bins_.right(i); }

  void chord(std::size_t i) {
    const double width = -std::expm1(-bins_.width(i)) * (1 + 4 * kUnit);
    const double p = (left(i).p_low + right(i).p_low) * (1 - 2 * kUnit);
    const double q = (left(i).q_high + right(i).q_high) * (1 + 2 * kUnit);
    const double up = std::clamp((p - q) / width * (1 - 4 * kUnit), 0.0, p);
    masses_[i] += p - up;
    masses_[i + 1] += up;
  }

  // drops_[k]: how far the curve must be lowered at point k, in P's mass at that point. Where the curve falls so steeply
  // that the tangent at a bin's middle would meet 0 within the bin, the tangent at its upper end is taken: it leaves the
  // tail alone.
  void tangents() {
    const auto drop = [this](std::size_t k, double by) { drops_[k] = std::max(drops_[k], by); };
    double p_above = masses_[last_], q_above = masses_[last_];  // q in units of the point at hand
    for (std::size_t i = last_; i-- > first_;) {
      const double ratio = std::exp(bins_.width(i)) * (1 + 2 * kUnit);
      const LossMass l = left(i);
      const LossMass r = right(i);
      const double from_middle = r.q_high * ratio - r.p_low;
      // The lowest point keeps its height: below it the curve is a line, which nothing may leave.
      const bool sharp = ends_at_last_ && i + 1 == last_;
      const bool steep = i > first_ && (sharp || (from_middle > 0.5 * (p_above - q_above) && i + 1 < last_));
      const double p = steep ? l.p_low + r.p_low : l.p_low;
      const double p_high = steep ? l.p_high + r.p_high : l.p_high;
      const double q = steep ? l.q_low + r.q_low : l.q_low;
      if (p_high > 0) drop(i, p * (1 + 2 * kUnit) - q * (p / p_high) * (1 - 8 * kUnit));
      if (!steep) drop(i + 1, from_middle);
      p_above += l.p_low + r.p_low;
      q_above = q_above / ratio + l.q_low + r.q_low;
    }
  }

  void subtract() {
    for (std::size_t k = first_; k <= last_; ++k) {
      const double next = 1 / std::expm1(k < last_ ? bins_.width(k) : bins_.step());
      const double before = -1 / std::expm1(k > 0 ? -bins_.width(k - 1) : -bins_.step());
      const double last = k > 0 ? drops_[k - 1] : 0;
      const double here = drops_[k];
      const double following = k < last_ ? drops_[k + 1] : 0;
      const double size = (following + here) * next + (here + last) * before + masses_[k];
      masses_[k] -= (following - here) * next - (here - last) * before + 16 * kUnit * size;
    }
  }

  // The lower convex hull: shares each negative mass among its neighbours, keeping P's and Q's totals. Where there is no
  // left neighbour the right one bears it all, and what the last point cannot bear takes from everything: both only lower.
  void make_convex() {
    std::vector<std::size_t> kept;
    double carried = 0;
    for (std::size_t k = first_; k <= last_; ++k) {
      masses_[k] += carried;
      carried = 0;
      kept.push_back(k);
      while (k < last_ && !kept.empty() && masses_[kept.back()] < 0) {
        const std::size_t at = kept.back();
        kept.pop_back();
        const double negative = masses_[at] * (1 + 8 * kUnit);
        masses_[at] = 0;
        double to_left = 0;
        if (!kept.empty()) {
          to_left = negative * left_share(kept.back(), at, k + 1);
          masses_[kept.back()] += to_left;
        }
        carried += negative - to_left;
      }
    }
    settle_last(kept);
  }

  // Of a negative mass between two neighbours, the left one's share.
  double left_share(std::size_t left_one, std::size_t at, std::size_t right_one) const {
    return std::expm1(bins_.distance(at, right_one)) / std::expm1(bins_.distance(left_one, right_one));
  }

  // A negative mass at the end becomes one atom with its left neighbour, of both totals, a little below that one's point: by
  // next to nothing, which is charged as a shift, or else the atom is moved down to a point below it.
  void settle_last(std::vector<std::size_t>& kept) {
    while (!kept.empty() && masses_[kept.back()] <= 0) {
      const std::size_t last = kept.back();
      const double negative = -masses_[last];
      masses_[last] = 0;
      kept.pop_back();
      if (kept.empty() || negative == 0) continue;
      const std::size_t at = kept.back();
      double& p = masses_[at];
      const double rest = p - negative * (1 + 4 * kUnit);
      if (!(rest > 0)) {
        p = rest;
        continue;
      }
      const double gap = bins_.distance(at, last);
      const double below = negative * -std::expm1(-gap) / rest * (1 + 1e-9);
      if (below <= kNearlyEqual * bins_.step()) {
        p = rest;
        shift_ += below;
        continue;
      }
      p = 0;
      std::size_t to = at;
      while (to > first_ && bins_.distance(to, at) < below) --to;
      if (bins_.distance(to, at) >= below) masses_[to] += rest;
    }
  }

  const Bins& bins_;
  std::size_t first_, last_;   // points
  bool ends_at_last_ = false;  // nothing but what lies from `last_` on is drawn together there
  std::vector<double> masses_, drops_;
  double shift_ = 0;
};

void contract_inwards(const Bins& bins, GridLoss& grid) {
  grid.lower_infinite = bins.above().q_high > 0 ? 0 : bins.above().p_low;
  Contraction contraction(bins);
  grid.lower = contraction.take();
  grid.edge_error += contraction.shift();
  for (double& mass : grid.lower) mass = std::max(0.0, mass * (1 - 8 * kUnit));
}

// The loss above which P has at most `mass`.
double quantile_from_above(const PrivacyLoss& loss, double mass, double precision, const LossRange& range) {
  double low = range.from, high = range.to;
  while (high - low > precision) {
    const double edges[] = {low + (high - low) / 2};
    if (edges[0] <= low || edges[0] >= high) break;
    (loss.masses(edges)[1].p_high > mass ? low : high) = edges[0];
  }
  return high;
}

// Mean of the loss, in the sense that keeps P's and Q's totals, between two edges.
double mean_between(const PrivacyLoss& loss, double from, double to) {
  const double edges[] = {from, to};
  const LossMass bin = loss.masses(edges)[1];
  if (!(bin.p_low > 0 && bin.q_low > 0)) return (from + to) / 2;
  return std::log((bin.p_low + bin.p_high) / (bin.q_low + bin.q_high));
}

// A narrow bulk costs neither measure anything when a point of the grid is the mean of its own bin there. A sharp end (no
// loss is below ln(1-q) when a unit is removed, none above -ln(1-q) when it is added) costs the lower one nothing when the
// outermost point is the mean of all that lies beyond the middle of its inner bin.
double best_offset(const PrivacyLoss& loss, double step, const LossRange& range) {
  const auto root = [&](double low, double high, const auto& excess) {
    for (int i = 0; i < 48; ++i) {
      const double middle = low + (high - low) / 2;
      (excess(middle) > 0 ? low : high) = middle;
    }
    return low;
  };
  const double top = quantile_from_above(loss, 1e-12, step / 64, range);
  const double near_top[] = {top - step};
  if (loss.masses(near_top)[1].p_high > 1e-6) {
    const auto excess = [&](double point) { return mean_between(loss, point - step / 2, range.to + step) - point; };
    double low = top - step;
    while (excess(low) <= 0 && low > range.from) low -= 2 * (top - low);
    return root(low, top, excess);
  }
  const double bottom = quantile_from_above(loss, 1 - 1e-12, step / 64, range);
  const double near_bottom[] = {bottom + step};
  if (loss.masses(near_bottom)[0].p_high > 1e-6) {
    const auto excess = [&](double point) { return mean_between(loss, range.from - step, point + step / 2) - point; };
    double high = bottom + step;
    while (excess(high) >= 0 && high < range.to) high += 2 * (high - bottom);
    return root(bottom - step, high, excess);
  }
  double offset = quantile_from_above(loss, 0.5, step / 64, range);
  for (int i = 0; i < 12; ++i) offset = mean_between(loss, offset - step / 2, offset + step / 2);
  return offset;
}

}  // namespace

double BinWidths::at(double loss) const {
  const auto next = std::upper_bound(from.begin(), from.end(), loss);
  return next == from.begin() ? 0 : width[static_cast<std::size_t>(next - from.begin()) - 1];
}

namespace {

// Points from `first` to `last`, as far apart as the widths allow; one at every step about the offset, which was chosen for
// that.
std::vector<long> lay_points(const GridLoss& grid, long first, long last, const BinWidths& widths) {
  constexpr long kDense = 8;  // points about the offset at every step, where the bulk stands
  // The widths are for losses that decide epsilon by their spread. Where single rare losses decide it, each must be met to a
  // share of itself.
  constexpr double kFinestShare = 16;
  std::vector<long> points = {first};
  while (points.back() < last) {
    const long k = points.back();
    long bin = 1;
    if (!widths.from.empty() && std::abs(k) > kDense) {
      const double loss = grid.offset + static_cast<double>(k) * grid.step;
      const double here = widths.at(loss);
      const double wide = std::min({here, widths.at(loss + here), 0x1p20 * grid.step, std::abs(loss) / kFinestShare});
      bin = std::max(1L, static_cast<long>(wide / grid.step));
      bin = bin == 1 ? 1 : bin & ~1L;  // its middle is exact
      if (k < 0) bin = std::min(bin, -kDense - k);
    }
    points.push_back(std::min(k + bin, last));
  }
  return points;
}

}  // namespace

GridLoss put_on_grid(const PrivacyLoss& loss, double step, const LossRange& range, const BinWidths& widths) {
  SOTTO_CHECK(step > 0 && range.from <= range.to && (range.to - range.from) / step < 0x1p24);
  GridLoss grid;
  grid.step = step;
  grid.offset = loss.atom_spacing() > 0 ? 0 : best_offset(loss, step, range);
  constexpr long kMargin = 4;  // bins at each end
  const long first = static_cast<long>(std::floor((range.from - grid.offset) / step)) - kMargin;
  const long last = std::max(static_cast<long>(std::ceil((range.to - grid.offset) / step)), first + kMargin) + kMargin;
  grid.points = lay_points(grid, first, last, loss.atom_spacing() > 0 ? BinWidths{} : widths);
  const Bins bins(loss, grid);
  grid.edge_error = edge_error_at(loss, std::max(std::abs(grid.at(0)), std::abs(grid.at(bins.count()))));
  spread_outwards(bins, grid);
  contract_inwards(bins, grid);
  return grid;
}

}  // namespace sotto::privacy
