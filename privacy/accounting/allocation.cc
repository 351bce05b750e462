#include "privacy/accounting/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "privacy/renyi/log_sum.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Points of a sum's grid. A sum costs their square; the bracket's width goes with their inverse square (0.05 % here).
constexpr std::size_t kPoints = 2048;
constexpr double kCover = 1e-11;  // more than all round-off of the sums of positive terms below

// How the lower end of a ratio's distribution is kept. For delta: outputs below `floor` become a ratio of 0, and of a sum's
// mass that much may too. For moments of 1/W, which no mass at 0 has: outputs below the floor are left out, by a bound.
struct LowEnd {
  double floor;
  bool to_zero;
  double lowest() const { return to_zero ? 1e-22 : 0; }
};
// P(x < -8) is 6e-16, below every delta's digits. Orders far below 0 weigh low ratios up: there the floor is -30.
constexpr LowEnd kForDelta{-8, true};
constexpr LowEnd kForMoments{-30, false};
constexpr double kDropped = 1e-250;  // a point's mass below this: far below every tail and round-off that is covered

double normal(double x) { return 0.5 * std::erfc(-x / M_SQRT2); }
double normal_between(double a, double b) { return a > 0 ? normal(-a) - normal(-b) : normal(b) - normal(a); }

// The distribution of a sum of ratios: masses at 0 and at exp(step * (first + k)); `lost` is what of the mean went to
// infinity.
struct Spread {
  double step = 0;
  long first = 0;
  double zero = 0;
  double lost = 0;
  std::vector<double> mass;
  double point(std::size_t k) const { return std::exp(step * static_cast<double>(first + static_cast<long>(k))); }
};

// The same as masses at their cells' means.
struct Merged {
  std::vector<double> at, mass;
};

struct Both {
  Spread upper;
  Merged lower;
};

// ln ratio = x / sigma - 1 / (2 sigma^2) as an output x and back.
struct Ratio {
  double sigma;
  double output(double log_ratio) const { return sigma * log_ratio + 0.5 / sigma; }
  double log_ratio(double x) const { return x / sigma - 0.5 / (sigma * sigma); }
};

double standard_quantile_above(double tail) {  // z with P(x > z) <= tail
  double z = std::sqrt(std::max(0.0, -2 * std::log(tail)));
  while (z > 0 && normal(-(z - 0.01)) <= tail) z -= 0.01;
  return z;
}

Both single(double sigma, double step, double from, double to, const LowEnd& low_end) {
  const Ratio ratio{sigma};
  Both out;
  Spread& up = out.upper;
  up.step = step;
  up.first = static_cast<long>(std::floor(from / step));
  const auto n = static_cast<std::size_t>(std::ceil(to / step) - static_cast<double>(up.first)) + 1;
  up.mass.assign(n, 0);
  // Cell k: from point k - 1 (0 for the first) to point k (infinity for the last).
  for (std::size_t k = 0; k <= n; ++k) {
    if (k == 0 && !low_end.to_zero) continue;
    const double a = k == 0 ? -kInfinity : ratio.output(std::log(up.point(k - 1)));
    const double b = k == n ? kInfinity : ratio.output(std::log(up.point(k)));
    const double mass = normal_between(a, b);
    const double mean = normal_between(a - 1 / sigma, b - 1 / sigma);  // of the ratio, on this cell
    if (mass > 0) {
      out.lower.mass.push_back(mass);
      out.lower.at.push_back(mean / mass);
    }
    if (k == n) {
      up.mass[n - 1] += mass;
      up.lost = std::max(0.0, mean - mass * up.point(n - 1));
      continue;
    }
    const double low = k == 0 ? 0 : up.point(k - 1);
    const double raised = std::clamp((mean - low * mass) / (up.point(k) - low), 0.0, mass);
    up.mass[k] += raised;
    (k == 0 ? up.zero : up.mass[k - 1]) += mass - raised;
  }
  return out;
}

// Cuts both ends: low masses move to 0 and the first point left, high ones to the last point and infinity, keeping the mean.
void trim(Spread& s, double lowest, double lost) {
  std::size_t begin = 0;
  for (double sum = s.mass[0]; begin + 1 < s.mass.size() && sum < lowest; sum += s.mass[++begin]) {
  }
  std::size_t end = s.mass.size();
  for (double sum = s.mass[end - 1] * s.point(end - 1); end > begin + 2 && sum < lost;
       --end, sum += s.mass[end - 1] * s.point(end - 1)) {
  }
  const double low = s.point(begin);
  for (std::size_t k = 0; k < begin; ++k) {
    const double raised = s.mass[k] * s.point(k) / low;
    s.mass[begin] += raised;
    s.zero += s.mass[k] - raised;
  }
  const double high = s.point(end - 1);
  for (std::size_t k = end; k < s.mass.size(); ++k) {
    s.mass[end - 1] += s.mass[k];
    s.lost += s.mass[k] * (s.point(k) - high);
  }
  s.mass.resize(end);
  s.mass.erase(s.mass.begin(), s.mass.begin() + static_cast<long>(begin));
  s.first += static_cast<long>(begin);
}

// The sum of an `a` and a `b`, on points `finer` times as dense. Point i + point j lies where only j - i says, counted from
// the larger: each such sum is split between its two neighbours.
Spread add(const Spread& a, const Spread& b, long finer, double lost, const LowEnd& low_end) {
  Spread out;
  out.step = a.step / static_cast<double>(finer);
  const auto na = static_cast<long>(a.mass.size());
  const auto nb = static_cast<long>(b.mass.size());
  const long first = std::min(a.first, b.first);
  const long last = std::max(a.first + na, b.first + nb);
  out.first = first * finer;
  out.mass.assign(static_cast<std::size_t>((last - first) * finer + static_cast<long>(std::ceil(M_LN2 / out.step)) + 2), 0);
  for (long d = a.first - b.first - nb + 1; d <= a.first + na - 1 - b.first; ++d) {  // index in a less index in b
    const double beyond = std::log1p(std::exp(-std::abs(static_cast<double>(d)) * a.step));
    const double whole = std::floor(beyond / out.step);
    const double share = std::clamp(std::expm1(beyond - whole * out.step) / std::expm1(out.step), 0.0, 1.0);
    const long j_from = std::max(0L, a.first - b.first - d);
    const long j_to = std::min(nb, a.first + na - b.first - d);
    const long i_shift = b.first + d - a.first;
    double* to = out.mass.data() + (b.first + std::max(0L, d) - first) * finer + static_cast<long>(whole);
    for (long j = j_from; j < j_to; ++j) {
      const double both = a.mass[static_cast<std::size_t>(j + i_shift)] * b.mass[static_cast<std::size_t>(j)];
      to[j * finer] += both * (1 - share);
      to[j * finer + 1] += both * share;
    }
  }
  for (long i = 0; i < na; ++i)
    out.mass[static_cast<std::size_t>((a.first + i - first) * finer)] += a.mass[static_cast<std::size_t>(i)] * b.zero;
  for (long j = 0; j < nb; ++j)
    out.mass[static_cast<std::size_t>((b.first + j - first) * finer)] += b.mass[static_cast<std::size_t>(j)] * a.zero;
  out.zero = a.zero * b.zero;
  out.lost = a.lost + b.lost;
  for (double& mass : out.mass) mass = mass < kDropped ? 0 : mass;
  trim(out, low_end.lowest(), lost);
  return out;
}

// The same for merged masses, on cells between the points of `like`.
Merged add(const Merged& a, const Merged& b, const Spread& like) {
  const std::size_t n = like.mass.size();
  const std::size_t cells = std::min<std::size_t>(kPoints, std::max<std::size_t>(n, 2));
  std::vector<double> edges(cells);
  const double from = std::log(like.point(0));
  const double to = std::log(like.point(n - 1));
  for (std::size_t k = 0; k < cells; ++k)
    edges[k] = std::exp(from + (to - from) * static_cast<double>(k) / static_cast<double>(cells - 1));
  std::vector<double> mass(cells + 1, 0.0);
  std::vector<double> moment(cells + 1, 0.0);
  for (std::size_t i = 0; i < a.mass.size(); ++i) {
    std::size_t cell =
        static_cast<std::size_t>(std::upper_bound(edges.begin(), edges.end(), a.at[i] + b.at[0]) - edges.begin());
    for (std::size_t j = 0; j < b.mass.size(); ++j) {
      const double at = a.at[i] + b.at[j];
      while (cell < cells && at >= edges[cell]) ++cell;
      const double both = a.mass[i] * b.mass[j];
      mass[cell] += both;
      moment[cell] += both * at;
    }
  }
  Merged out;
  for (std::size_t k = 0; k <= cells; ++k) {
    if (mass[k] <= 0) continue;
    out.mass.push_back(mass[k]);
    out.at.push_back(moment[k] / mass[k]);
  }
  return out;
}

Both add(const Both& a, const Both& b, long finer, double lost, const LowEnd& low_end) {
  Both out;
  out.upper = add(a.upper, b.upper, finer, lost, low_end);
  if (low_end.to_zero) out.lower = add(a.lower, b.lower, out.upper);
  return out;
}

// The sum of `count` ratios by halving: each level needs the sums of v and perhaps v + 1 terms.
Both sum_of(double sigma, std::uint64_t count, double tail, const LowEnd& low_end) {
  const Ratio ratio{sigma};
  const double from = ratio.log_ratio(low_end.floor);
  const double to = ratio.log_ratio(1 / sigma + standard_quantile_above(tail / 4));
  int levels = 0;
  while ((count >> levels) > 1) ++levels;
  Both smaller = single(sigma, (to - from) / kPoints, from, to, low_end);  // of v terms
  if (count == 1) return smaller;
  Both larger;  // of v + 1
  const double lost = tail / 4 / static_cast<double>(levels + 1);
  for (int level = levels; level-- > 0;) {
    const std::uint64_t v = count >> level;  // next: v terms, and v + 1 unless this is the last level
    const bool needs_more = (count & ((std::uint64_t{1} << level) - 1)) != 0;
    const bool had_more = !larger.upper.mass.empty();
    const bool odd = (v & 1) != 0;
    if ((odd || needs_more) && !had_more)
      larger = add(smaller, smaller, 1, lost, low_end);  // 2 of 1 term: only at the start
    const std::size_t most = std::max(smaller.upper.mass.size(), larger.upper.mass.size());
    constexpr double kFinest = 1e-6;  // a sum's grid reaches over ln 2
    const long finer = 2 * most <= kPoints && smaller.upper.step > 2 * kFinest ? 2 : 1;
    const double terms = static_cast<double>(v) * lost;
    Both next = odd ? add(smaller, larger, finer, terms, low_end) : add(smaller, smaller, finer, terms, low_end);
    Both next_more;
    if (needs_more)
      next_more = odd ? add(larger, larger, finer, terms, low_end) : add(smaller, larger, finer, terms, low_end);
    smaller = std::move(next);
    larger = std::move(next_more);
  }
  return smaller;
}

AllocationAtoms atoms_of(const Both& sum, std::uint64_t steps, double tail) {
  const double t = static_cast<double>(steps);
  const double cover = kCover + t * 1e-14;  // both probabilities alike: every hockey-stick divergence moves with them
  AllocationAtoms out;
  for (std::size_t k = 0; k < sum.upper.mass.size(); ++k) {
    const double mass = sum.upper.mass[k] * (1 + cover);
    if (mass > 0) out.upper.push_back({mass * sum.upper.point(k) / t, mass});
  }
  if (sum.upper.zero > 0) out.upper.push_back({0, sum.upper.zero * (1 + cover)});
  out.upper.push_back({sum.upper.lost / t * (1 + cover) + cover * tail, 0});
  for (std::size_t k = 0; k < sum.lower.mass.size(); ++k) {
    const double mass = sum.lower.mass[k] * (1 - cover);
    if (mass > 0) out.lower.push_back({mass * sum.lower.at[k] / t, mass});
  }
  return out;
}

// ln of the coefficients up to `last` of the product of two power series, from theirs.
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out(a.size());
  for (std::size_t n = 0; n < out.size(); ++n) {
    LogSum sum;
    for (std::size_t k = 0; k <= n; ++k) sum.add(a[k] + b[n - k]);
    out[n] = sum.log();
  }
  return out;
}

// E[W^a] for whole a without the unit: a! / t^a times the coefficient of x^a in (sum_k e^(k(k-1)/(2 sigma^2)) x^k / k!)^t.
class AllocationCurve final : public RdpCurve {
 public:
  static constexpr std::size_t kLastOrder = 200;

  AllocationCurve(double sigma, std::uint64_t steps, double count)
      : sigma_(sigma), whole_steps_(steps), steps_(static_cast<double>(steps)), count_(count) {}

  double at(double order, Direction direction) override {
    return count_ * (direction == Direction::kRemove ? remove(order) : add(order));
  }

 private:
  void prepare_moments() {
    std::vector<double> power(kLastOrder + 1);
    for (std::size_t k = 0; k <= kLastOrder; ++k) {
      const double n = static_cast<double>(k);
      power[k] = n * (n - 1) / (2 * sigma_ * sigma_) - std::lgamma(n + 1);
    }
    log_coefficients_.assign(kLastOrder + 1, -kInfinity);
    log_coefficients_[0] = 0;
    for (std::uint64_t left = whole_steps_; left > 0; left >>= 1) {
      if (left & 1) log_coefficients_ = product(log_coefficients_, power);
      if (left > 1) power = product(power, power);
    }
  }

  // (order - 1) times the divergence is convex in the order, and 0 at 1: chords between whole orders bound it.
  double remove(double order) {
    if (order > kLastOrder) return kInfinity;
    if (log_coefficients_.empty()) prepare_moments();
    const auto below = static_cast<std::size_t>(order);
    const double share = order - std::floor(order);
    const double upper = share == 0 ? 0 : share * log_moment(below + 1);
    return ((1 - share) * log_moment(below) + upper) / (order - 1);
  }
  double log_moment(std::size_t a) const {
    if (a == 1) return 0;
    const double n = static_cast<double>(a);
    const double value = log_coefficients_[a] + std::lgamma(n + 1) - n * std::log(steps_);
    return std::max(value, 0.0) + 1e-12 * (n + n * std::log(steps_));
  }

  // E[W^-b] without the unit, b = order - 1, of the spread W: convex, hence larger. Outputs below the floor are not in it.
  // As W^-b is at most the average of the ratios' powers, and E[ratio^-b] = exp(b (b + 1) / (2 sigma^2)), their part is
  // below `out`.
  double add(double order) {
    if (atoms_.empty()) atoms_ = atoms_of(sum_of(sigma_, whole_steps_, 1e-14, kForMoments), whole_steps_, 1e-14).upper;
    const double b = order - 1;
    double sum = 0;
    for (const AllocationAtom& atom : atoms_) {
      if (atom.without == 0) {
        sum += b * atom.with;  // its share of the mean is missing below
        continue;
      }
      const double log_w = std::log(atom.with / atom.without);
      sum += atom.without * (std::expm1(-b * log_w) + b * std::expm1(log_w));
    }
    const double out = std::exp(b * (b + 1) / (2 * sigma_ * sigma_)) *
                           (normal(kForMoments.floor + b / sigma_) + steps_ * normal(kForMoments.floor)) +
                       1e-240 * std::exp(-b * Ratio{sigma_}.log_ratio(kForMoments.floor));  // what was dropped
    return (std::log1p(sum + out) * (1 + kCover) + 1e-13) / (order - 1);
  }

  double sigma_;
  std::uint64_t whole_steps_;
  double steps_, count_;
  std::vector<double> log_coefficients_;
  std::vector<AllocationAtom> atoms_;
};

}  // namespace

bool allocation_has_room(double sigma, std::uint64_t steps) {
  constexpr std::uint64_t kMostSteps = 10'000'000;
  return sigma >= 0.05 && sigma <= 1000 && steps <= kMostSteps;
}

AllocationAtoms allocation_atoms(double sigma, std::uint64_t steps, double tail) {
  return atoms_of(sum_of(sigma, steps, tail, kForDelta), steps, tail);
}

std::unique_ptr<RdpCurve> allocation_rdp(double sigma, std::uint64_t steps, std::uint64_t selected) {
  return std::make_unique<AllocationCurve>(sigma, steps / selected, static_cast<double>(selected));
}

}  // namespace sotto::privacy
