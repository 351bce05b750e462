// The operator's description of a run (configs/run.toml is a commented example) and what becomes of it: a RunPlan with every
// site's sampling rate, noise and weight filled in, and the Roster it is for. Every error of the file names file, line and
// key. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/run_plan.h"
#include "coordinator/registry.h"

namespace sotto::coordinator {

// Only for estimates of traffic before a site has told the layout; nothing that is signed depends on it.
struct ModelShape {
  std::uint32_t layers = 0;
  std::uint32_t hidden = 0;
  std::uint32_t intermediate = 0;
  std::uint32_t query_width = 0;  // heads * head size
  std::uint32_t key_width = 0;    // key-value heads * head size
};
// Of a Llama-shaped model: q, k, v, o, gate, up and down in every layer.
AdapterLayout layout_of(const ModelShape& shape, const LoraPlan& lora);

struct PlanFile {
  std::string path;
  RunPlan plan;                    // without sites, and with what follows from their number left open
  std::vector<std::string> sites;  // empty: every approved site
  std::optional<double> epsilon;   // one of these two in a private run
  std::optional<double> noise_multiplier;
  bool weigh_by_size = true;
  std::optional<std::uint32_t> colluders;
  std::optional<std::uint32_t> min_sites;
  std::optional<double> ring_step;
  std::optional<ModelShape> shape;
};

Result<PlanFile> read_plan_file(const std::string& path);

struct Proposal {
  RunPlan plan;
  Roster roster;
};

// Sites in the file's order, else by name. Noise is calibrated to epsilon over all rounds and local steps; the ring's step
// is the smallest power of two whose sums cannot overflow; min_sites is t, but at least two honest sites' worth. The result
// is validated: what the file asks for and cannot be had is an error that names file and value.
Result<Proposal> propose(const PlanFile& file, const std::vector<Site>& approved, const PublicKeyBytes& coordinator);

}  // namespace sotto::coordinator
