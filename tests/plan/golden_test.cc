// What was signed, logged and hashed once must stay what it was: the bytes of plans, rosters, descriptors and planned events,
// and the JSON of a plan. tests/vectors/plan/golden.txt holds a line "what SHA-256" each; no change of the code may change
// one. Values are set by their numbers, which are what travels.
#include <fstream>
#include <functional>
#include <map>

#include "base/files.h"
#include "crypto/hash.h"
#include "plan/plan_file.h"
#include "plan/plan_json.h"
#include "plan/planned_events.h"
#include "plan/round_descriptor.h"
#include "tests/support/catch.h"

using namespace sotto;

namespace {

template <class Enum>
void set_number(Enum& member, int number) {
  member = static_cast<Enum>(number);
}

Digest counting(std::uint8_t from) {
  Digest out{};
  for (auto& byte : out) byte = from++;
  return out;
}

// No field is at its default, no two numbers are the same.
RunPlan full_plan() {
  RunPlan p;
  p.run = RunId("golden-run");
  p.model = counting(1);
  set_number(p.unit, 2);
  set_number(p.trained, 1);
  set_number(p.precision, 2);
  p.lora = {12, 25.5, 0.125, true, {"q_proj", "down_proj"}, 3, 21};
  p.prompt = {20, 0.05};
  set_number(p.optimizer.kind, 2);
  p.optimizer.learning_rate = 0.012;
  p.optimizer.beta1 = 0.85, p.optimizer.beta2 = 0.995, p.optimizer.epsilon = 1e-7;
  p.optimizer.weight_decay = 0.01, p.optimizer.max_grad_norm = 1.5, p.optimizer.warmup_steps = 7;
  set_number(p.optimizer.schedule, 2);
  p.optimizer.min_lr_ratio = 0.2;
  p.ring = {23, 0.5, 1.0 / 65536};
  p.rounds = 9, p.local_steps = 5, p.clip_norm = 0.3;
  set_number(p.step.sampling, 2);
  p.step.max_batch = 48;
  set_number(p.step.clipping, 4);
  p.step.clip_quantile = 0.4, p.step.count_clipped = true;
  p.expected_batch = 24, p.target_epsilon = 6.5, p.delta = 1e-6;
  p.max_records = 6, p.max_tokens = 96;
  p.system_prompt = "Code the diagnosis.", p.chat_template = "chatml";
  p.colluders = 1, p.min_sites = 4, p.max_sites_per_patient = 2, p.allow_two_sites = true;
  p.phase_deadline_s = 90, p.max_attempts = 11, p.canaries = 16, p.audit_failure = 1e-3;
  p.parent = counting(100), p.seed = counting(60);
  p.sites = {
      {"north", 1000, 24.0 / 1000, 0.75, 1000}, {"south", 800, 24.0 / 800, 0.8, 800}, {"west", 640, 24.0 / 640, 1, 2}};
  return p;
}

Roster full_roster() {
  Roster r{counting(7), {}, 1};
  for (const auto& site : full_plan().sites)
    r.sites.push_back({site.name, counting(static_cast<std::uint8_t>(site.name.size())), counting(30), site.declared_size});
  return r;
}

RoundDescriptor full_descriptor() {
  RoundDescriptor d = describe(full_plan(), full_roster());
  d.round = RoundId(3), d.attempt = AttemptId(2);
  d.adapter = counting(11), d.layout = counting(12), d.plan = counting(13), d.roster = counting(14);
  d.rotation_seed = counting(15), d.transcript = counting(16), d.coordinator_head = counting(17);
  return d;
}

std::string hash_of(ByteSpan bytes) { return to_hex(crypto::sha256(bytes)); }

// Every value of every enumeration of a plan.
void add_values(std::map<std::string, std::string>& out) {
  using Set = std::function<void(RunPlan&, int)>;
  struct Values {
    std::string name;
    std::vector<int> numbers;
    Set set;
  };
  const std::vector<Values> all{
      {"unit", {1, 2}, [](RunPlan& p, int n) { set_number(p.unit, n); }},
      {"trained", {0, 1, 3, 4, 5}, [](RunPlan& p, int n) { set_number(p.trained, n); }},
      {"precision", {0, 1, 2}, [](RunPlan& p, int n) { set_number(p.precision, n); }},
      {"optimizer", {1, 2}, [](RunPlan& p, int n) { set_number(p.optimizer.kind, n); }},
      {"schedule", {1, 2}, [](RunPlan& p, int n) { set_number(p.optimizer.schedule, n); }},
      {"sampling", {1, 2, 3, 4, 5}, [](RunPlan& p, int n) { set_number(p.step.sampling, n); }},
      {"clipping", {1, 2, 3, 4}, [](RunPlan& p, int n) { set_number(p.step.clipping, n); }},
      {"noise", {1, 2, 3}, [](RunPlan& p, int n) { set_number(p.step.noise, n); }},
      {"privacy", {0, 1}, [](RunPlan& p, int n) { p.privacy = n != 0; }},
      {"parent", {0}, [](RunPlan& p, int) { p.parent.reset(); }},
  };
  for (const auto& [name, numbers, set] : all)
    for (const int number : numbers) {
      RunPlan p = full_plan();
      set(p, number);
      const auto bytes = encode(p);
      REQUIRE(encode(*decode_plan(bytes)) == bytes);
      out["plan." + name + "=" + std::to_string(number)] = hash_of(bytes);
      out["json." + name + "=" + std::to_string(number)] = hash_of(as_bytes(to_json(p).dump()));
    }
}

// What every sampler and noise means in events, over a run.
void add_events(std::map<std::string, std::string>& out) {
  for (const auto& [sampling, noise] :
       std::vector<std::pair<int, int>>{{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {5, 2}, {5, 3}})
    for (const int unit : {1, 2}) {
      RunPlan p = full_plan();
      set_number(p.unit, unit);
      set_number(p.step.sampling, sampling);
      set_number(p.step.noise, noise);
      p.step.max_batch = sampling == 2 ? 48 : 0;
      p.step.bands = noise == 1 ? 0 : 8;
      ByteWriter bytes;
      const auto run = plan::planned_run(p, p.sites[1], 1234);
      const auto round = plan::planned_round(p, p.sites[2], 777, RoundId(4));
      REQUIRE((run.ok() && round.ok() && !run->empty()));
      for (const auto& event : *run) bytes.bytes(encode(event));
      for (const auto& event : *round) bytes.bytes(encode(event));
      out["events.sampling=" + std::to_string(sampling) + ",noise=" + std::to_string(noise) +
          ",unit=" + std::to_string(unit)] = hash_of(bytes.view());
    }
}

// A file's plan, as it is read: run, sizes and noise of sites are not in it. The demo's have a place for the model's hash.
void add_file(std::map<std::string, std::string>& out, const std::string& path, plan::PlanUse use) {
  std::string text = *read_text_file(path);
  if (const auto at = text.find("{model_sha256}"); at != std::string::npos) text.replace(at, 14, std::string(64, '1'));
  const auto copy = (std::filesystem::temp_directory_path() / "sotto-golden.toml").string();
  REQUIRE(write_file_atomically(copy, text).ok());
  const auto file = plan::read_plan_file(copy, use);
  INFO(path << (file.ok() ? "" : ": " + file.error().message));
  REQUIRE(file.ok());
  out["file." + path + (use == plan::PlanUse::kAlone ? " alone" : "")] = hash_of(encode(file->plan));
}

std::map<std::string, std::string> computed() {
  std::map<std::string, std::string> out;
  out["plan.full"] = hash_of(encode(full_plan()));
  out["plan.fresh"] = hash_of(encode(RunPlan{}));
  out["json.full"] = hash_of(as_bytes(to_json(full_plan()).dump()));
  out["roster.full"] = hash_of(encode(full_roster()));
  out["roster.empty"] = hash_of(encode(Roster{}));
  out["json.roster"] = hash_of(as_bytes(to_json(full_roster()).dump()));
  out["descriptor.full"] = hash_of(encode(full_descriptor()));
  out["descriptor.context"] = hash_of(context_preimage(full_descriptor()));
  out["descriptor.fresh"] = hash_of(encode(RoundDescriptor{}));
  out["json.descriptor"] = hash_of(as_bytes(to_json(full_descriptor()).dump()));
  add_values(out);
  add_events(out);
  for (const char* path : {"configs/run.toml", "configs/demo/run.toml", "configs/demo/run-without-privacy.toml"})
    for (const auto use : {plan::PlanUse::kCoordinator, plan::PlanUse::kAlone}) add_file(out, path, use);
  add_file(out, "tests/vectors/plan/every_key.toml", plan::PlanUse::kCoordinator);
  add_file(out, "tests/vectors/plan/alone.toml", plan::PlanUse::kAlone);
  return out;
}

}  // namespace

TEST_CASE("plans, rosters, descriptors and planned events have the bytes that they always had", "[plan]") {
  std::map<std::string, std::string> golden;
  std::ifstream in(std::string(SOTTO_VECTORS) + "/plan/golden.txt");
  for (std::string line; std::getline(in, line);) {
    const auto space = line.rfind(' ');
    golden[line.substr(0, space)] = line.substr(space + 1);
  }
  const auto now = computed();
  for (const auto& [what, hash] : now) {
    INFO(what << " " << hash);
    CHECK(golden[what] == hash);
  }
  CHECK(golden.size() == now.size());
}

TEST_CASE("the JSON of a plan has the members and the order that it always had", "[plan]") {
  const auto golden = read_text_file(std::string(SOTTO_VECTORS) + "/plan/full_plan.json");
  REQUIRE(golden.ok());
  CHECK(to_json(full_plan()).dump(2) + "\n" == *golden);
}

TEST_CASE("the bytes of a plan with every field are those of the published vector", "[plan]") {
  const auto golden = read_text_file(std::string(SOTTO_VECTORS) + "/plan/full_plan.hex");
  REQUIRE(golden.ok());
  CHECK(to_hex(encode(full_plan())) + "\n" == *golden);
}
