#include "tests/lineage/lineage_fixture.h"

#include <cmath>

#include "audit/ledger/ledger.h"
#include "base/files.h"
#include "plan/planned_events.h"
#include "tests/support/catch.h"

namespace sotto::lineage {
namespace {

constexpr std::uint64_t kDimension = 8;

std::vector<privacy::DpEvent> events_of(const RunPlan& plan, RoundId round) {
  return plan::planned_round(plan, plan.sites.front(), kDimension, round).value();
}

}  // namespace

AdapterState some_adapter(float value) {
  AdapterState out;
  out.layout.modules = {{"model.layers.0.self_attn.q_proj", 4, 4, 2, 2.0}};
  out.factors = {{std::vector<float>(8, 0.5F), std::vector<float>(8, value)}};
  return out;
}

RunPlan some_plan(const std::string& run, bool privacy) {
  RunPlan plan;
  plan.run = RunId(run);
  plan.model.fill(7);
  plan.privacy = privacy;
  plan.lora.rank = 2;
  plan.lora.targets = {"q_proj"};
  plan.rounds = 2;
  plan.expected_batch = 10;
  plan.canaries = 20;
  plan.sites = {{"alone", 100, 0.1, privacy ? 1.0 : 0.0, 1.0}};
  return plan;
}

Made made(float value, const std::string& run, std::optional<Digest> parent, bool privacy) {
  Made out{some_adapter(value), some_plan(run, privacy), {}};
  audit::Spent spent;
  if (privacy)
    for (std::uint32_t r = 0; r < out.plan.rounds; ++r) spent.add(audit::RoundCost(events_of(out.plan, RoundId(r))));
  RunFacts facts{&out.adapter, &out.plan, parent, "coding"};
  facts.precision = "fp32";
  facts.steps = 2;
  facts.epsilon = facts.epsilon_with_earlier_runs = privacy ? audit::composed_epsilon(spent, out.plan.delta) : INFINITY;
  facts.data = Json::object({{"fingerprint", "ab"}, {"declared_units", 100}});
  facts.log = Json::object({{"id", "cd"}, {"entries", 5}, {"root", "ef"}});
  facts.recipe = Json::object({{"stages", Json::array()}});
  const auto parsed = parse_passport(make_passport(facts).dump(), "test");
  REQUIRE(parsed.ok());
  out.passport = *parsed;
  return out;
}

namespace {

Json model_json(const std::string& name, const std::string& weights) {
  return Json::object({{"model", name}, {"weights", weights}, {"metrics", Json::object()}});
}

Json difference(const std::string& from, const std::string& to, const std::string& metric, double value, double half_width) {
  const Json one = Json::object(
      {{"difference", value}, {"low", value - half_width}, {"high", value + half_width}, {"p", 0.01}, {"p_holm", 0.01}});
  Json metrics = Json::object();
  metrics.set(metric, one);
  return Json::object({{"from", from}, {"to", to}, {"metrics", std::move(metrics)}});
}

}  // namespace

Json comparison(const std::string& task, const std::string& metric, const Passport& model, double value, double half_width) {
  return Json::object({{"task", task},
                       {"models", Json::array({model_json("base", ""), model_json("a/b", model.id())})},
                       {"differences", Json::array({difference("base", "a/b", metric, value, half_width)})},
                       {"units", 20},
                       {"base_sha256", to_hex(model.base)}});
}

Json comparison_of_three(const std::string& metric, const Passport& in_use, const Passport& model, double over_base,
                         double over_in_use) {
  return Json::object(
      {{"task", "domain-task"},
       {"models", Json::array({model_json("base", ""), model_json("old", in_use.id()), model_json("new", model.id())})},
       {"differences",
        Json::array({difference("base", "old", metric, 0.1, 0.01), difference("base", "new", metric, over_base, 0.01),
                     difference("old", "new", metric, over_in_use, 0.5)})},
       {"units", 20},
       {"base_sha256", to_hex(model.base)}});
}

Json evaluation(const std::string& task, const Passport& model, const std::string& metric, double value) {
  Json metrics = Json::object();
  metrics.set(metric, Json::object({{"value", value}, {"low", value}, {"high", value}}));
  return Json::object({{"task", task},
                       {"model", "a/b"},
                       {"weights", model.id()},
                       {"metrics", std::move(metrics)},
                       {"units", 20},
                       {"base_sha256", to_hex(model.base)}});
}

Json review(const std::string& first, const std::string& second, double win_rate, int raters) {
  Json names = Json::array();
  for (int i = 0; i < raters; ++i) names.push(Json::object({{"name", "r"}, {"rated", 4}, {"of", 4}}));
  return Json::object({{"weights", Json::array({first, second})},
                       {"raters", std::move(names)},
                       {"preference", Json::object({{"win_rate", win_rate}})}});
}

void write(const std::string& path, const Json& json) { REQUIRE(write_file_atomically(path, json.dump()).ok()); }

Gate some_gate(const TemporaryFolder& folder, const std::string& more) {
  const std::string path = folder.file("gate.toml");
  REQUIRE(write_file_atomically(path,
                                "domain = \"coding\"\n[quality]\ntask = \"domain-task\"\nmetric = "
                                "\"code_exact\"\n[general]\ntask = \"general-task\"\nmetric = \"loss\"\n"
                                "max_drop = 0.05\n[safety]\ntask = \"safety-task\"\nmin = 0.9\n" +
                                    more)
              .ok());
  const auto gate = read_gate(path);
  REQUIRE(gate.ok());
  return *gate;
}

std::string training_folder(const TemporaryFolder& folder, const Made& model, std::uint64_t correct) {
  const std::string path = folder.file("train-" + model.passport.short_id() + "-" + std::to_string(correct));
  if (file_exists(path + "/log")) return path;
  REQUIRE(make_folder(path).ok());
  auto log = audit::EventLog::open(path + "/log");
  REQUIRE(log.ok());
  auto ledger = audit::Ledger::open(*log);
  REQUIRE(ledger.ok());
  for (std::uint32_t r = 0; r < model.plan.rounds; ++r) {
    const auto events = events_of(model.plan, RoundId(r));
    REQUIRE(ledger
                ->reserve(model.plan.run, RoundId(r), events, audit::BudgetLimit{100, 1e-5},
                          audit::Time(std::chrono::seconds(10)))
                .ok());
    REQUIRE(ledger->commit(model.plan.run, RoundId(r), events, audit::Time(std::chrono::seconds(10))).ok());
  }
  REQUIRE(log->append(audit::AuditMeasured{model.plan.run, model.passport.adapter, 20, 10, correct, 0.5, 0, 0},
                      audit::Time(std::chrono::seconds(11)))
              .ok());
  return path;
}

Evidence good_evidence(const TemporaryFolder& folder, const Made& model) {
  const auto file = [&](const char* name) { return folder.file(model.passport.short_id() + name); };
  write(file("quality"), comparison("domain-task", "code_exact", model.passport, 0.2, 0.1));
  write(file("general"), comparison("general-task", "loss", model.passport, 0.01, 0.02));
  write(file("safety"), evaluation("safety-task", model.passport, "safety", 0.95));
  write(file("review"), review("", model.passport.id(), 0.6, 2));
  return {file("quality"), file("general"), file("safety"), training_folder(folder, model, 5), file("review")};
}

}  // namespace sotto::lineage
