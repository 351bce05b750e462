// What makes a plan one that can be kept: each field within the limits of its row, and then the rules between fields.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/enum_names.h"
#include "plan/field_codec.h"
#include "plan/lora_targets.h"
#include "plan/plan_fields.h"
#include "plan/run_plan.h"
#include "privacy/mechanism/correlation.h"

namespace sotto {
namespace {

using plan::in_words;
using privacy::ClippingKind;
using privacy::CorrelationKind;
using privacy::SamplingKind;

constexpr std::uint32_t kMaxSites = 128;

Error bad(const std::string& field, const std::string& value, const std::string& rule) {
  return invalid("plan: " + field + " = " + value + ", but it must be " + rule);
}

// Holds each field against its row; the first that is outside is told.
class FieldCheck {
 public:
  explicit FieldCheck(std::string of_whom = "") : of_whom_(std::move(of_whom)) {}
  void operator()(const plan::Row& row, std::uint32_t v) { number(row, v, std::to_string(v), true); }
  void operator()(const plan::Row& row, std::uint64_t v) { number(row, static_cast<double>(v), std::to_string(v), true); }
  void operator()(const plan::Row& row, double v) { number(row, v, in_words(v), false); }
  template <NamedEnum Enum>
  void operator()(const plan::Row& row, Enum v) {
    const auto code = static_cast<std::uint8_t>(v);
    if (!found_ && !with_number<Enum>(code)) found_ = plan::unknown_value("plan", row, code, listed_names<Enum>(" or "));
  }
  void operator()(const plan::Row& row, const RunId& v) {
    if (!found_ && !is_valid_name(v.value()))
      found_ = bad(std::string(row.key), "\"" + v.value() + "\"", "1 to 64 of a-z, 0-9 and '-'");
  }
  void operator()(const plan::Row&, const std::vector<SitePlan>& sites) {
    for (const auto& site : sites) {
      FieldCheck check(" of site '" + site.name + "'");
      plan::for_each_field(site, check);
      if (!found_) found_ = check.found_;
    }
  }
  template <class Other>
    requires(!NamedEnum<Other>)  // texts, truth values, digests: all are within
  void operator()(const plan::Row&, const Other&) {}

  Result<void> found() const {
    if (found_) return *found_;
    return {};
  }

 private:
  void number(const plan::Row& row, double v, const std::string& shown, bool whole) {
    if (!found_ && !row.limits.contains(v)) found_ = bad(std::string(row.key) + of_whom_, shown, row.limits.words(whole));
  }
  std::string of_whom_;
  std::optional<Error> found_;
};

Result<void> check_fields(const RunPlan& p) {
  FieldCheck check;
  plan::for_each_field(p, check);
  return check.found();
}

Result<void> check_noise(const RunPlan& p) {
  const auto& s = p.step;
  const bool correlated = s.noise != CorrelationKind::kIndependent, blt = s.noise == CorrelationKind::kBlt;
  if (correlated && s.sampling != SamplingKind::kMinSeparation)
    return bad("privacy.noise", std::string(to_string(s.noise)),
               "\"independent\" unless privacy.sampling is \"min_separation\": sampling would not be accounted with it");
  const std::uint64_t most = blt ? privacy::kMostBuffers : privacy::kMostBands;
  if (correlated ? s.bands < 1 || s.bands > most : s.bands != 0)
    return bad("privacy.bands", std::to_string(s.bands),
               correlated ? "from 1 to " + std::to_string(most) : "left out where noise is independent");
  const std::uint64_t steps = total_steps(p), longest = blt ? privacy::kMostBltSteps : privacy::kMostCorrelatedSteps;
  if (s.sampling == SamplingKind::kMinSeparation && steps > longest)
    return bad("rounds * local_steps", std::to_string(steps), "at most " + std::to_string(longest) + " with this noise");
  if (correlated && p.trained == TrainedPart::kAlternating)
    return bad("lora.train", "alternating", "another one where noise is correlated: each round would begin it anew");
  return {};
}

Result<void> check_sampling(const RunPlan& p) {
  const auto& s = p.step;
  const bool truncated = s.sampling == SamplingKind::kTruncatedPoisson;
  if (truncated != (s.max_batch > 0))
    return bad("privacy.max_batch", std::to_string(s.max_batch),
               truncated ? "at least 1 in truncated Poisson sampling" : "left out unless sampling is truncated_poisson");
  if (s.sampling == SamplingKind::kFixedSize && p.expected_batch != std::floor(p.expected_batch))
    return bad("privacy.expected_batch", in_words(p.expected_batch),
               "a whole number of units where batches have a fixed size");
  for (const auto& site : p.sites)
    if (s.max_batch > site.declared_size)
      return bad("privacy.max_batch", std::to_string(s.max_batch),
                 "at most the " + std::to_string(site.declared_size) + " units that site '" + site.name + "' declares");
  if (s.sampling == SamplingKind::kFixedSize && p.canaries > 0)
    return bad("audit.canaries", std::to_string(p.canaries),
               "0 where batches have a fixed size: coins decide how many units they add");
  return {};
}

Result<void> check_privacy(const RunPlan& p) {
  SOTTO_TRY_VOID(check_sampling(p));
  SOTTO_TRY_VOID(check_noise(p));
  if (p.step.clipping == ClippingKind::kAdaptive && !p.step.count_clipped)
    return bad("privacy.count_clipped", "false", "true where clipping is adaptive: the threshold follows that share");
  for (const auto& s : p.sites) {
    if (p.privacy && s.noise_multiplier == 0)
      return bad("noise multiplier of site '" + s.name + "'", "0", "positive in a private run");
    if (!p.privacy && s.noise_multiplier != 0)
      return bad("noise multiplier of site '" + s.name + "'", in_words(s.noise_multiplier), "0 when privacy is off");
  }
  return {};
}

Result<void> check_trained(const RunPlan& p) {
  if (p.trained == TrainedPart::kA)
    return bad("training.trained", "a", "another one: it is what the odd rounds of \"alternating\" train");
  if (trains_lora(p.trained)) {
    if (p.lora.targets.empty()) return bad("lora.targets", "[]", "at least one module name");
    for (const auto& target : p.lora.targets)
      if (!plan::is_known_target(target))
        return bad("lora.targets", "[\"" + target + "\"]", "out of " + plan::known_targets());
  }
  if (p.lora.first_layer > p.lora.last_layer)
    return bad("lora.first_layer", std::to_string(p.lora.first_layer), "at most lora.last_layer");
  if (p.trained == TrainedPart::kPrompt && p.step.clipping == ClippingKind::kPerLayer)
    return bad("privacy.clipping", "per_layer", "another one where a prompt is trained: it lies in no layer");
  return {};
}

Result<void> check_canaries(const RunPlan& p) {
  if (p.canaries == 0 || p.privacy) return {};
  return invalid("plan: canaries measure a run against its proven epsilon, and this run has none; set canaries = 0");
}

Result<void> check_sites(const RunPlan& p) {
  const auto n = static_cast<std::uint32_t>(p.sites.size());
  if (n < 2 || n > kMaxSites) return bad("number of sites", std::to_string(n), "from 2 to " + std::to_string(kMaxSites));
  if (p.colluders >= n)
    return bad("aggregation.colluders", std::to_string(p.colluders), "below the number of sites, " + std::to_string(n));
  const auto t = shamir_threshold(n, p.colluders);
  if (p.min_sites < t || p.min_sites > n)
    return bad("aggregation.min_sites", std::to_string(p.min_sites),
               "from t = " + std::to_string(t) + " to n = " + std::to_string(n));
  if (p.min_sites - counted_colluders(p.colluders) < 2 && !p.allow_two_sites)
    return refused(
        "plan: with min_sites = " + std::to_string(p.min_sites) +
        " one site sees another's update (protected by that site's own noise alone); add a site, or allow it with "
        "--allow-two-sites");
  return {};
}

// What only one site alone may ask for.
Result<void> check_together(const RunPlan& p) {
  if (p.step.sampling == SamplingKind::kMinSeparation)
    return unsupported(
        "plan: privacy.sampling 'min_separation', and correlated noise with it, is for 'sotto-client train' at one site "
        "alone "
        "in this version: what a site keeps of its earlier sums would have to survive its restarts");
  if (p.step.sampling == SamplingKind::kFixedSize || p.step.sampling == SamplingKind::kRandomAllocation)
    return unsupported(
        "plan: privacy.sampling 'fixed_size' is accounted for a site's true count, which its refusals would tell, and "
        "'random_allocation' for whole epochs, of which a site may miss rounds: both are for 'sotto-client train' alone in "
        "this version; use \"poisson\" or \"truncated_poisson\"");
  if (p.trained == TrainedPart::kFull)
    return refused(
        "plan: training.trained = \"full\" is for 'sotto-client train' at one site alone: an update of all parameters, " +
        std::to_string(p.ring.bits) + " bits each, passes the 256 MiB of a message from " +
        std::to_string((std::uint64_t{1} << 31) / p.ring.bits) +
        " parameters on; use \"lora\" or \"prompt\" in a federated run");
  if (p.parent && !trains_lora(p.trained))
    return unsupported("plan: training.parent is for LoRA adapters in this version, not for a prompt");
  const auto n = static_cast<double>(p.sites.size());
  const double largest_sum = n * std::ceil(p.ring.range / p.ring.step);
  if (!(largest_sum < std::ldexp(1.0, static_cast<int>(p.ring.bits) - 1)))
    return bad("aggregation.bits", std::to_string(p.ring.bits),
               "wide enough for a sum of up to " + in_words(largest_sum) + " steps, sign included");
  return {};
}

}  // namespace

Result<void> validate_alone(const RunPlan& plan) {
  if (plan.sites.size() != 1)
    return bad("number of sites", std::to_string(plan.sites.size()), "1 where a site trains alone");
  SOTTO_TRY_VOID(check_fields(plan));
  SOTTO_TRY_VOID(check_trained(plan));
  return check_privacy(plan);
}

Result<void> validate(const RunPlan& plan) {
  SOTTO_TRY_VOID(check_fields(plan));
  SOTTO_TRY_VOID(check_sites(plan));
  SOTTO_TRY_VOID(check_together(plan));
  SOTTO_TRY_VOID(check_privacy(plan));
  SOTTO_TRY_VOID(check_canaries(plan));
  return check_trained(plan);
}

Result<void> validate(const RunPlan& plan, const Roster& roster) {
  SOTTO_TRY_VOID(validate(plan));
  if (plan.sites.size() != roster.sites.size())
    return invalid("plan: it names " + std::to_string(plan.sites.size()) + " sites, the roster " +
                   std::to_string(roster.sites.size()));
  if (plan.colluders != roster.colluders)
    return bad("aggregation.colluders", std::to_string(plan.colluders), "the roster's, " + std::to_string(roster.colluders));
  for (std::size_t i = 0; i < plan.sites.size(); ++i) {
    const auto& p = plan.sites[i];
    const auto& r = roster.sites[i];
    if (p.name != r.name)
      return invalid("plan: site " + std::to_string(i) + " is '" + p.name + "', in the roster '" + r.name + "'");
    if (p.declared_size != r.declared_size)
      return bad("declared size of site '" + p.name + "'", std::to_string(p.declared_size),
                 "the roster's, " + std::to_string(r.declared_size));
    const double q = plan.expected_batch / static_cast<double>(p.declared_size);
    if (std::abs(q - p.sampling_rate) > 1e-12 * q)
      return bad("sampling rate of site '" + p.name + "'", in_words(p.sampling_rate),
                 "expected_batch / declared size = " + in_words(q));
  }
  return {};
}

}  // namespace sotto
