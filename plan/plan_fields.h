// The fields of a plan, each once, in the order of its canonical bytes: for_each_field(plan, visit) calls visit(row, member)
// for each. A new field goes at the end, and its default must encode as plans without it did. Internal to plan/.
#pragma once

#include "plan/field.h"
#include "plan/round_descriptor.h"
#include "plan/run_plan.h"

namespace sotto::plan {

inline constexpr Limits kPositive{.low = 0, .above = true};
inline constexpr double kMostWidth = 0xffff;

// Plan: LoraPlan or const LoraPlan; the same below.
template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, LoraPlan>
void for_each_field(Plan& p, Visit&& visit) {
  visit(Row{"lora.rank", "lora.rank", "Rank of each pair of LoRA factors.", {1, 1024}}, p.rank);
  visit(Row{.key = "lora.alpha",
            .json = "lora.alpha",
            .meaning = "What a LoRA product is scaled by, over the rank.",
            .limits = kPositive,
            .otherwise = "twice the rank"},
        p.alpha);
  visit(Row{"lora.dropout", "lora.dropout", "Share of a LoRA layer's inputs that training sets to 0.", {0, 0.99}},
        p.dropout);
  visit(Row{"lora.rslora", "lora.rslora", "Scale by alpha over the root of the rank instead."}, p.rslora);
  visit(Row{.key = "lora.targets",
            .json = "lora.targets",
            .meaning = "Modules that get factors: last components of their paths.",
            .source = Source::kRequired},
        p.targets);
  visit(Row{"lora.first_layer", "lora.first_layer", "First layer that gets factors, counted from 0.", {0, kMostWidth}},
        p.first_layer);
  visit(Row{"lora.last_layer",
            "lora.last_layer",
            "Last layer that gets factors; beyond the model's last layer means up to the last.",
            {0, kMostWidth}},
        p.last_layer);
}

template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, OptimizerPlan>
void for_each_field(Plan& p, Visit&& visit) {
  visit(Row{"optimizer.kind", "optimizer.kind", "Rule by which a step moves the trained numbers."}, p.kind);
  visit(Row{.key = "optimizer.learning_rate",
            .json = "optimizer.learning_rate",
            .meaning = "Learning rate after warm-up.",
            .limits = kPositive,
            .source = Source::kRequired},
        p.learning_rate);
  visit(Row{"optimizer.beta1", "optimizer.beta1", "AdamW: decay of the mean of gradients.", {0, 0.999999}}, p.beta1);
  visit(Row{"optimizer.beta2", "optimizer.beta2", "AdamW: decay of the mean of their squares.", {0, 0.99999999}}, p.beta2);
  visit(Row{"optimizer.epsilon", "optimizer.epsilon", "AdamW: added to the root of that mean.", kPositive}, p.epsilon);
  visit(Row{"optimizer.weight_decay", "optimizer.weight_decay", "Decoupled weight decay.", {0, 0.99}}, p.weight_decay);
  visit(Row{"optimizer.max_grad_norm", "optimizer.max_grad_norm",
            "Bound on the L2 norm of a step without privacy; 0: none. A private step clips each unit instead."},
        p.max_grad_norm);
  visit(Row{.key = "optimizer.warmup_steps",
            .json = "optimizer.warmup_steps",
            .meaning = "Steps over which the learning rate rises from 0.",
            .limits = {0, 1000000},
            .unit = "steps"},
        p.warmup_steps);
  visit(Row{"optimizer.schedule", "optimizer.schedule", "Course of the learning rate after warm-up."}, p.schedule);
  visit(Row{"optimizer.min_lr_ratio", "optimizer.min_lr_ratio", "Cosine: where the rate ends, over learning_rate.", {0, 1}},
        p.min_lr_ratio);
}

// The names are those of the file; JSON has them in a group "ring".
template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, RingPlan>
void for_each_field(Plan& p, Visit&& visit) {
  visit(Row{.key = "aggregation.bits",
            .json = "ring.bits",
            .meaning = "Updates are summed modulo 2 to this power.",
            .limits = {8, 32},
            .unit = "bits"},
        p.bits);
  visit(Row{"aggregation.range", "ring.range", "Each number of a site's weighted update is clipped to +- range.", kPositive},
        p.range);
  visit(Row{.key = "aggregation.step",
            .json = "ring.step",
            .meaning = "Distance of the numbers that an update is rounded to.",
            .limits = kPositive,
            .otherwise = "the smallest power of two whose sums cannot overflow"},
        p.step);
}

template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, PrivateStepPlan>
void for_each_field(Plan& p, Visit&& visit) {
  visit(Row{"privacy.sampling", "private_step.sampling", "How the units of a step are drawn (docs/privacy.md)."},
        p.sampling);
  visit(Row{.key = "privacy.max_batch",
            .json = "private_step.max_batch",
            .meaning = "truncated_poisson: of more units than this, as many stay.",
            .limits = {0, 1000000},
            .unit = "units"},
        p.max_batch);
  visit(Row{"privacy.clipping", "private_step.clipping", "How a unit's gradient is brought to clip_norm."}, p.clipping);
  visit(Row{"privacy.clip_quantile",
            "private_step.clip_quantile",
            "adaptive clipping: the share of units that the threshold should leave as they are.",
            {.low = 0, .high = 1, .above = true, .below = true}},
        p.clip_quantile);
  visit(Row{"privacy.noise", "private_step.noise",
            "How the noise of the steps hangs together; other than independent only with min_separation."},
        p.noise);
  visit(Row{.key = "privacy.bands",
            .json = "private_step.bands",
            .meaning = "banded: coefficients of the noise. blt: its exponentials, at most 64.",
            .limits = {0, 4096},
            .otherwise = "8 where noise is correlated, else 0"},
        p.bands);
  visit(Row{.key = "privacy.count_clipped",
            .json = "private_step.count_clipped",
            .meaning = "The log tells the noised share of clipped units; costs no epsilon.",
            .otherwise = "true where clipping is adaptive, else false"},
        p.count_clipped);
}

template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, PromptPlan>
void for_each_field(Plan& p, Visit&& visit) {
  visit(Row{.key = "prompt.tokens",
            .json = "prompt.tokens",
            .meaning = "Length of the soft prompt.",
            .limits = {1, 4096},
            .unit = "tokens"},
        p.tokens);
  visit(Row{"prompt.deviation", "prompt.deviation", "Standard deviation of the normal numbers that it starts from.",
            kPositive},
        p.deviation);
}

// The keys are words: no file has them.
template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, SitePlan>
void for_each_field(Plan& p, Visit&& visit) {
  constexpr auto kComputed = Source::kComputed;
  visit(Row{.key = "name", .json = "name", .meaning = "Name of the site.", .source = kComputed}, p.name);
  visit(Row{.key = "declared size",
            .json = "declared_size",
            .meaning = "Units that the site declares, rounded.",
            .limits = {1, 1e9},
            .source = kComputed,
            .unit = "units"},
        p.declared_size);
  visit(Row{.key = "sampling rate",
            .json = "sampling_rate",
            .meaning = "Expected batch over declared size.",
            .limits = {.low = 0, .high = 1, .above = true},
            .source = kComputed},
        p.sampling_rate);
  visit(Row{.key = "noise multiplier",
            .json = "noise_multiplier",
            .meaning = "Standard deviation of a step's noise over its sensitivity.",
            .limits = {.low = 1e-3, .high = 1e6, .or_zero = true},
            .source = kComputed},
        p.noise_multiplier);
  visit(Row{.key = "weight",
            .json = "weight",
            .meaning = "Of the site in the mean.",
            .limits = kPositive,
            .source = kComputed},
        p.weight);
}

// Head: what a run is about.
template <class Plan, class Visit>
void for_each_field_of_head(Plan& p, Visit&& visit) {
  visit(Row{.key = "run",
            .json = "run",
            .meaning = "Name of the run: 1 to 64 of a-z, 0-9 and '-'; unique at a coordinator.",
            .source = Source::kRequired},
        p.run);
  visit(
      Row{.key = "model.sha256",
          .json = "model",
          .meaning = "Fingerprint of the base model, as `sotto-client doctor` prints it; a site with another model refuses.",
          .source = Source::kRequired,
          .otherwise = "required; where a site trains alone: the model that it holds"},
      p.model);
  visit(
      Row{.key = "mode",
          .json = "mode",
          .meaning = "Whose noise protects: in `local` each site adds the whole noise of its own guarantee.",
          .not_yet = NotYet{2, "joint", "the sites share the noise of one step a round, and their ledgers have two curves"}},
      p.mode);
  visit(Row{.key = "privacy.unit",
            .json = "unit",
            .meaning = "Whom one change of the data concerns.",
            .not_yet = NotYet{3, "site", "client-level privacy"}},
        p.unit);
  visit(Row{"privacy.enabled", "privacy", "false: no clipping, no noise, no guarantee; every site must allow that by name."},
        p.privacy);
  visit(Row{.key = "training.trained", .json = "trained", .meaning = "What a run trains.", .source = Source::kComputed},
        p.trained);
  visit(Row{"model.precision", "precision", "Of the frozen base: auto is bf16 where the processor has it, else fp32."},
        p.precision);
}

// Course: rounds, steps, what a step takes.
template <class Plan, class Visit>
void for_each_field_of_course(Plan& p, Visit&& visit) {
  visit(Row{.key = "training.rounds",
            .json = "rounds",
            .meaning = "Rounds of the run.",
            .limits = {1, 100000},
            .source = Source::kRequired,
            .unit = "rounds"},
        p.rounds);
  visit(Row{.key = "training.local_steps",
            .json = "local_steps",
            .meaning = "Steps of each site between two sums.",
            .limits = {1, 100000},
            .unit = "steps"},
        p.local_steps);
  visit(Row{"privacy.clip_norm",
            "clip_norm",
            "Longest gradient of one unit (L2); adaptive clipping starts there.",
            {1e-12, 1e12}},
        p.clip_norm);
  visit(Row{.key = "privacy.expected_batch",
            .json = "expected_batch",
            .meaning = "Units in a step, on average: each is drawn with this number over the declared size.",
            .limits = kPositive,
            .source = Source::kRequired,
            .unit = "units"},
        p.expected_batch);
  visit(Row{.key = "target_epsilon",
            .json = "target_epsilon",
            .meaning = "What the noise was calibrated for; each site computes its own.",
            .source = Source::kComputed},
        p.target_epsilon);
  visit(Row{"privacy.delta", "delta", "Probability that the guarantee leaves open.", {.low = 0, .high = 0.1, .above = true}},
        p.delta);
  visit(Row{.key = "privacy.max_records",
            .json = "max_records",
            .meaning = "Records of one drawn unit in one step.",
            .limits = {1, 64},
            .unit = "records"},
        p.max_records);
  visit(Row{.key = "training.max_tokens",
            .json = "max_tokens",
            .meaning = "Longest record; what is longer is cut.",
            .limits = {8, 8192},
            .unit = "tokens"},
        p.max_tokens);
  visit(Row{"training.system_prompt", "system_prompt", "For records in the instruction format."}, p.system_prompt);
  visit(Row{"training.chat_template", "chat_template",
            "A well-known template by name (docs/models.md); empty: the model's own. `@2024-07-26` behind it fixes the date "
            "that "
            "some show."},
        p.chat_template);
  visit(Row{.key = "aggregation.colluders",
            .json = "colluders",
            .meaning = "Sites that may work together with the coordinator and learn nothing about another.",
            .limits = {0, 127},
            .unit = "sites",
            .otherwise = "a third of the others, at least 1"},
        p.colluders);
  visit(Row{.key = "aggregation.min_sites",
            .json = "min_sites",
            .meaning = "Fewest sites in a sum.",
            .limits = {2, 128},
            .unit = "sites",
            .otherwise = "the threshold t, and enough for two that do not collude"},
        p.min_sites);
}

template <class Plan, class Visit>
void for_each_field_of_rest(Plan& p, Visit&& visit) {
  visit(Row{"privacy.max_sites_per_patient",
            "max_sites_per_patient",
            "Sites that may hold one patient: what the report's figure for a person rests on.",
            {1, 3},
            Source::kFile,
            "sites"},
        p.max_sites_per_patient);
  visit(Row{"aggregation.allow_two_sites", "allow_two_sites",
            "Allow sums in which one site sees another's update, protected by that site's noise alone."},
        p.allow_two_sites);
  visit(Row{"aggregation.phase_deadline_s",
            "phase_deadline_s",
            "How long a round waits for a site in each phase.",
            {1, 7 * 86400},
            Source::kFile,
            "s"},
        p.phase_deadline_s);
  visit(Row{"aggregation.max_attempts", "max_attempts", "Attempts of a round, after which it is void.", {1, 100}},
        p.max_attempts);
  visit(Row{.key = "training.seed",
            .json = "seed",
            .meaning = "Of the first adapter's A; public.",
            .source = Source::kComputed},
        p.seed);
  visit(Row{.key = "audit.canaries",
            .json = "canaries",
            .meaning = "Invented records that each site plants by coin tosses, to measure the run by; 0: none.",
            .limits = {.low = 8, .high = 100000, .or_zero = true},
            .unit = "records"},
        p.canaries);
  visit(Row{"audit.failure",
            "audit_failure",
            "Probability with which the lower bound from canaries may be wrong.",
            {.low = 0, .high = 0.05, .above = true}},
        p.audit_failure);
  visit(Row{.key = "sites", .json = "sites", .meaning = "In the roster's order.", .source = Source::kComputed}, p.sites);
  // At the end, so that plans without one are what they were.
  visit(Row{.key = "training.parent", .json = "parent", .meaning = "Model to go on from.", .source = Source::kComputed},
        p.parent);
}

template <class Plan, class Visit>
  requires std::is_same_v<std::remove_const_t<Plan>, RunPlan>
void for_each_field(Plan& p, Visit&& visit) {
  for_each_field_of_head(p, visit);
  for_each_field(p.lora, visit);
  for_each_field(p.optimizer, visit);
  for_each_field(p.ring, visit);
  for_each_field_of_course(p, visit);
  for_each_field(p.step, visit);
  for_each_field(p.prompt, visit);
  for_each_field_of_rest(p, visit);
}

// What of a plan and of the moment a descriptor holds; limits are the plan's.
template <class Descriptor, class Visit>
  requires std::is_same_v<std::remove_const_t<Descriptor>, RoundDescriptor>
void for_each_field(Descriptor& d, Visit&& visit) {
  const auto row = [](std::string_view name) { return Row{.key = name, .json = name, .meaning = ""}; };
  visit(row("run"), d.run);
  visit(row("round"), d.round);
  visit(row("attempt"), d.attempt);
  visit(row("model"), d.model);
  visit(row("adapter"), d.adapter);
  visit(row("layout"), d.layout);
  visit(row("plan"), d.plan);
  visit(row("roster"), d.roster);
  visit(row("mode"), d.mode);
  visit(row("unit"), d.unit);
  visit(row("privacy"), d.privacy);
  visit(row("sites"), d.sites);
  visit(row("colluders"), d.colluders);
  visit(row("min_sites"), d.min_sites);
  visit(row("local_steps"), d.local_steps);
  visit(row("clip_norm"), d.clip_norm);
  for_each_field(d.ring, visit);
  visit(row("rotation_seed"), d.rotation_seed);
  visit(row("per_site"), d.per_site);
  visit(row("transcript"), d.transcript);
  visit(row("coordinator_head"), d.coordinator_head);
}

}  // namespace sotto::plan
