#include "audit/report/report_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "plan/plan_json.h"

namespace sotto::audit {
namespace {

std::string plain_number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

}  // namespace

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", std::min(100.0, std::ceil(share * 10000 - 1e-6) / 100));
  return text;
}

std::string unit_sentence(const RunPlan& plan) {
  if (plan.unit == PrivacyUnit::kRecord) {
    return "One record at one site. A patient with several records is protected less than the numbers here say: for k "
           "records "
           "of one patient the guarantee is that of a group of k.";
  }
  return "One patient at one site: all of a patient's records there are sampled, clipped and noised together, at most " +
         std::to_string(plan.max_records) + " of them in one step.";
}

std::string neighbouring_sentence(const RunPlan& plan) {
  const std::string unit = to_string(plan.unit);
  if (plan.step.sampling == SamplingScheme::kFixedSize)
    return "Two data sets are neighbours when one holds another " + unit +
           " in the place of one of the other's (replace one " + unit +
           "): a batch of a fixed size tells how many there are.";
  return "Two data sets are neighbours when one holds one " + unit + " more than the other (add or remove one " + unit +
         "); the number is the larger of both directions.";
}

std::string adversary_sentence(const RunPlan& plan) {
  if (!plan.privacy) return "No adversary is excluded: the run has no differential privacy.";
  return "The numbers hold against everybody who sees everything that left the site: all rounds, every update before it was "
         "summed, "
         "every released adapter, with any other knowledge and any computing power. They do not rest on secure aggregation, "
         "which "
         "protects besides.";
}

std::vector<Trust> trust_statements(const RunPlan& plan) {
  const std::string n = std::to_string(plan.sites.size());
  const std::string c = std::to_string(plan.colluders);
  const std::string dp = plan.privacy ? "Differential privacy: the epsilon of each site in this report."
                                      : "Nothing: this run has no differential privacy.";
  std::vector<Trust> out;
  out.push_back({"The public, holding the released adapters", "every released adapter", dp});
  out.push_back({"The coordinator, following the protocol", "masked updates, their sums, who took part and when",
                 "Secure aggregation shows it only sums over at least " + std::to_string(plan.min_sites) + " sites. " + dp});
  out.push_back(
      {"The coordinator, deviating from the protocol", "the same, and it may lie about members, survivors and models",
       "Every site approved plan and roster by hash; a round's keys are bound to both; sites agree on the survivors, "
       "with signatures in this folder, before a mask is opened; one attempt of a round is opened at most. " +
           dp});
  out.push_back({"Up to " + c + " of " + n + " sites together with the coordinator", "their own data and all of the above",
                 "Fewer than " +
                     std::to_string(shamir_threshold(static_cast<std::uint32_t>(plan.sites.size()), plan.colluders)) +
                     " shares open no mask. " + dp});
  out.push_back({"One ordinary site", "every sum minus its own part", dp});
  out.push_back(
      {"Each site itself", "its own patients' data",
       "It is trusted for its own patients: to sample, clip and add noise as its log says, and to declare its size. "
       "No other party can check this from outside."});
  out.push_back({"All parties together", "everything",
                 "They could rewrite all logs; only a head that an outsider kept would show it."});
  return out;
}

std::vector<std::string> not_covered(const RunPlan& plan) {
  std::vector<std::string> out = {
      "What the model knew before this run: its pre-training data and its tokenizer.",
      "The declared size of each site, which sites took part and when: these are public here.",
      "How long a site's steps took, and other side channels of its machines.",
      "What a site's own administrators can see, and files on a site's disk: keys and state lie there unencrypted.",
      "Losses, accuracies and other evaluations that a site computed on held-out patients. They are not in the logs; "
      "whoever publishes them publishes something that no number in this report covers.",
      "Choices made by looking at results, such as trying several plans: each further run on the same patients is composed "
      "in this report when it stands in the site's log, and trials elsewhere are not known to it.",
      "Availability, and sites that send harmful updates.",
      "A site that lies about its own sampling, noise or data.",
      "A site whose machine was put back to an older snapshot, its book of patients and its folders together: what it spent "
      "since is forgotten where neither the coordinator nor another site holds a newer head of its log.",
      "Stronger attacks than the one that was measured, if one was: a measured epsilon is a lower bound from one attack.",
      "What a program is that a party's log names: a party could name another build than it ran.",
      "What the logs themselves show: the constants above, times in whole seconds, and a site's other runs with what they "
      "spent.",
      "Hyperparameters chosen by earlier experiments on the same patients that stand in no log.",
  };
  if (plan.privacy) {
    out.push_back(
        "Exact forward and backward arithmetic is assumed: that a patient's gradient does not depend on which other "
        "patients shared its batch.");
    out.push_back("Copies of one patient's facts in another patient's records: each counts as its own patient's.");
  }
  if (plan.max_sites_per_patient > 1) {
    out.push_back("A person who is a patient at more than " + std::to_string(plan.max_sites_per_patient) + " sites.");
  } else {
    out.push_back(
        "A person who is a patient at several of the sites is protected by the composed number for that many sites, "
        "not by the number of one site.");
  }
  return out;
}

std::vector<std::string> plain_words(const RunPlan& plan, double largest_epsilon, double accuracy) {
  const std::string n = std::to_string(plan.sites.size());
  std::vector<std::string> out;
  out.push_back(
      "In the run '" + plan.run.value() + "' " + n +
      " sites together adapted a language model to their own texts. The texts stayed at the sites. What left a site was "
      "a change of the model's adapter, hidden under masks that cancel only in the sum over all participating sites.");
  if (!plan.privacy) {
    out.push_back(
        "This run was made WITHOUT differential privacy. The released adapters may reveal whether a given patient's "
        "records were used, and parts of what they say. No number limits this. Nothing in this report may be quoted as "
        "a privacy guarantee.");
    return out;
  }
  out.push_back("Random noise was added so that the result depends only a little on any one " + to_string(plan.unit) +
                ". How little is measured by epsilon: 0 would mean that the result does not depend on the " +
                to_string(plan.unit) +
                " at all, and larger numbers promise less. The promise may fail with a probability of at most delta = " +
                plain_number(plan.delta) + ".");
  if (std::isfinite(largest_epsilon)) {
    out.push_back(
        "In the words of a bet: somebody who knows everything about the training but whether one given " +
        to_string(plan.unit) + " took part, and thinks that both are equally likely, will guess right in at most " +
        percent(accuracy) +
        " of such cases, whatever is done with the released models. This is a proven limit for the worst case, at the "
        "site with the largest epsilon; it is not a measured attack.");
  } else {
    out.push_back("For at least one site the recorded events give no finite epsilon: nothing is promised to its patients.");
  }
  out.push_back(
      "The numbers were recomputed from event logs that the sites and the coordinator signed. What the signatures do "
      "not show is whose keys made them: compare each fingerprint below with its owner, by telephone for example.");
  return out;
}

}  // namespace sotto::audit
