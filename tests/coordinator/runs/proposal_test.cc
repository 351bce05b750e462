#include "coordinator/runs/proposal.h"

#include <cmath>

#include "audit/ledger/spending.h"
#include "base/files.h"
#include "coordinator/folder/coordinator_folder.h"
#include "coordinator/runs/plan_report.h"
#include "crypto/hash.h"
#include "plan/noise/plan_noise.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::coordinator {
namespace {

using plan::PlanFile;
using plan::read_plan_file;

std::vector<Site> some_sites(std::vector<std::pair<std::string, std::uint64_t>> sizes) {
  std::vector<Site> out;
  for (const auto& [name, size] : sizes) {
    Site site;
    site.name = SiteName(name);
    site.state = SiteState::kApproved;
    site.identity = crypto::sha256(as_bytes("identity " + name));
    site.transport = crypto::sha256(as_bytes("transport " + name));
    site.declared_size = size;
    out.push_back(site);
  }
  return out;
}

const PublicKeyBytes kCoordinator = crypto::sha256(as_bytes("coordinator"));

std::string minimal() {
  return "run = \"r1\"\n"
         "[model]\nsha256 = \"" +
         std::string(64, 'a') +
         "\"\n"
         "[privacy]\nepsilon = 8.0\nexpected_batch = 24\n"
         "[training]\nrounds = 4\nlocal_steps = 4\n"
         "[lora]\ntargets = [\"q_proj\"]\n"
         "[optimizer]\nlearning_rate = 0.01\n";
}

Result<PlanFile> read(const std::string& text) {
  TemporaryFolder folder;
  REQUIRE(write_file_atomically(folder.file("run.toml"), text).ok());
  auto file = read_plan_file(folder.file("run.toml"));
  if (!file.ok()) {
    auto error = file.error();
    error.message = error.message.substr(error.message.find("run.toml"));
    return error;
  }
  return file;
}

// `text` with the line that starts with `key` replaced (or, when there is none, added at the end).
std::string with(const std::string& key, const std::string& line) {
  std::string text = minimal();
  const auto at = text.find(key);
  REQUIRE(at != std::string::npos);
  return text.replace(at, text.find('\n', at) - at, line);
}

std::string error_of(const std::string& text) {
  const auto file = read(text);
  INFO(text);
  REQUIRE_FALSE(file.ok());
  return file.error().message;
}

TEST_CASE("mode joint is refused by name, as what this version does not have", "[plan]") {
  const auto file = read("mode = \"joint\"\n" + minimal());
  REQUIRE_FALSE(file.ok());
  CHECK(file.error().code == ErrorCode::kUnsupported);
  CHECK(file.error().message.find("\"joint\"") != std::string::npos);
  CHECK(file.error().message.find("not in this version") != std::string::npos);
}

TEST_CASE("the commented examples are read", "[coordinator]") {
  const auto file = read_plan_file(SOTTO_SOURCE "/configs/run.toml");
  REQUIRE(file.ok());
  CHECK(file->plan.run == RunId("icd-coding"));
  CHECK(file->plan.optimizer.learning_rate == 0.012);
  const auto addresses = read_addresses(SOTTO_SOURCE "/configs/coordinator.toml");
  REQUIRE(addresses.ok());
  CHECK(addresses->listen == "tcp://0.0.0.0:7300");
  const auto proposal = propose(*file, some_sites({{"a", 1400}, {"b", 1000}, {"c", 1300}}), kCoordinator);
  REQUIRE(proposal.ok());
  const auto report = report_on(*file, *proposal);
  REQUIRE(report.ok());
  // 15 layers, B of q (576), v (192), o (576) and down (576), rank 4.
  CHECK(report->trained == 15u * 4 * (576 + 192 + 576 + 576));
  CHECK(report->traffic->up > *report->trained * 3);
  CHECK(report->traffic->up < *report->trained * 3 + 10000);
  CHECK(to_text(*report).find("115200 trained numbers") != std::string::npos);
}

TEST_CASE("the commented example shows the defaults", "[coordinator]") {
  const auto example = read_text_file(SOTTO_SOURCE "/configs/run.toml");
  REQUIRE(example.ok());
  std::string uncommented;
  std::string line;
  for (const char c : *example) {
    line += c;
    if (c != '\n') continue;
    // "# key = value" becomes "key = value"; but for what stands against another key, or has no fixed default.
    const bool skipped = line.starts_with("# sites") || line.starts_with("# noise_multiplier") ||
                         line.starts_with("# colluders") || line.starts_with("# min_sites") || line.starts_with("# step") ||
                         line.starts_with("# key") || line.starts_with("# max_batch") || line.starts_with("# parent") ||
                         line.starts_with("# general");
    const bool setting =
        line.starts_with("# ") && line.find(" = ") < 26 && std::islower(static_cast<unsigned char>(line[2]));
    uncommented += setting && !skipped ? line.substr(2) : line;
    line.clear();
  }
  const auto defaults = read_plan_file(SOTTO_SOURCE "/configs/run.toml");
  const auto spelled_out = read(uncommented);
  REQUIRE(spelled_out.ok());
  CHECK(uncommented != *example);
  CHECK(encode(spelled_out->plan) == encode(defaults->plan));
}

TEST_CASE("every error of a plan names file, line and key", "[coordinator]") {
  CHECK(error_of(with("run =", "run = \"Has Spaces\"")) ==
        "run.toml:1: 'run' is \"Has Spaces\", must be 1 to 64 of a-z, 0-9 and '-'");
  CHECK(error_of(with("run =", "rum = \"r1\"")).find("run.toml") == 0);
  CHECK(error_of(with("sha256", "sha256 = \"abc\"")).starts_with("run.toml:3: 'model.sha256' is no SHA-256"));
  CHECK(error_of(with("epsilon", "epsilon = 0")) ==
        "run.toml:5: 'privacy.epsilon' is 0.0, must be above 0.0 and at most 1000.0");
  CHECK(error_of(with("epsilon", "epsilon = nan")).starts_with("run.toml:5: 'privacy.epsilon' is"));
  CHECK(error_of(with("epsilon", "epsilon = 8\nnoise_multiplier = 1")).find("'privacy.noise_multiplier'") !=
        std::string::npos);
  CHECK(error_of(with("epsilon", "enabled = false\nepsilon = 8")).find("'privacy.enabled'") != std::string::npos);
  CHECK(error_of(with("epsilon", "unit = \"site\"\nepsilon = 8")) ==
        "run.toml: privacy.unit = \"site\" (client-level privacy) is not in this version; use \"patient\" or \"record\"");
  CHECK(error_of(with("expected_batch", "expected_batch = -1")).starts_with("run.toml:6: 'privacy.expected_batch' is -1"));
  CHECK(error_of(with("expected_batch", "expected_batsh = 24")).find("expected_batch") != std::string::npos);
  CHECK(error_of(with("rounds", "rounds = 0")) == "run.toml:8: 'training.rounds' is 0, must be from 1 to 100000");
  CHECK(error_of(with("rounds", "rounds = \"four\"")) == "run.toml:8: 'training.rounds' must be an integer, not a string");
  CHECK(error_of(with("targets", "targets = []")).starts_with("run.toml:11: 'lora.targets' is empty"));
  CHECK(error_of(with("targets", "targets = [\"qproj\"]")).starts_with("run.toml:11: 'lora.targets' names \"qproj\""));
  CHECK(error_of(with("targets", "targets = [\"q_proj\"]\ndora = true")).starts_with("run.toml:12: 'lora.dora'"));
  CHECK(read(with("targets", "targets = [\"c_attn\", \"c_proj\", \"mlp.c_proj\"]")).ok());
  CHECK(error_of(with("learning_rate", "")).find("optimizer.learning_rate") != std::string::npos);
  CHECK(error_of(minimal() + "[aggregation]\nbits = 33\n") == "run.toml:15: 'aggregation.bits' is 33, must be from 8 to 32");
  CHECK(error_of(minimal() + "[agregation]\nbits = 24\n").starts_with("run.toml:14: unknown key 'agregation"));
  CHECK(error_of("run = \n").starts_with("run.toml:1: "));
}

TEST_CASE("noise is calibrated to epsilon for every site", "[coordinator]") {
  const auto file = read(minimal());
  REQUIRE(file.ok());
  const auto proposal = propose(*file, some_sites({{"a", 1400}, {"b", 1000}, {"c", 1300}}), kCoordinator);
  REQUIRE(proposal.ok());
  const auto& plan = proposal->plan;
  // By their privacy losses; RDP alone asks for 0.481, 0.508 and 0.487.
  CHECK(plan.sites[0].noise_multiplier == Approx(0.438).margin(0.001));
  CHECK(plan.sites[1].noise_multiplier == Approx(0.465).margin(0.001));
  CHECK(plan.sites[2].noise_multiplier == Approx(0.4435).margin(0.001));
  CHECK(plan.sites[0].sampling_rate == 24.0 / 1400);
  CHECK(plan.sites[0].weight == 1400);
  CHECK(plan.target_epsilon == 8);
  const auto report = report_on(*file, *proposal);
  REQUIRE(report.ok());
  for (const auto& site : report->sites) {
    CHECK(site.epsilon <= 8);
    CHECK(site.epsilon > 7.98);  // the calibration leaves the bracket's width free
  }
  CHECK(to_json(*report).at("sites").items().size() == 3);
}

// A site's plan under each way to sample: what its epsilon gives must be what the run is charged, whatever its dimension.
TEST_CASE("noise is calibrated to epsilon under every sampling", "[coordinator]") {
  const auto [lines, rounds] = GENERATE(table<std::string, int>({
      {"sampling = \"truncated_poisson\"\nmax_batch = 48", 4},
      {"sampling = \"fixed_size\"", 4},
      {"sampling = \"random_allocation\"", 15},  // one epoch
      {"sampling = \"min_separation\"", 30},
      {"sampling = \"min_separation\"\nnoise = \"banded\"\nbands = 4", 30},
  }));
  TemporaryFolder folder;
  auto text = with("rounds", "rounds = " + std::to_string(rounds));
  text.insert(text.find("expected_batch"), lines + "\n");
  REQUIRE(write_file_atomically(folder.file("run.toml"), text).ok());
  const auto file = read_plan_file(folder.file("run.toml"), plan::PlanUse::kAlone);
  REQUIRE(file.ok());
  RunPlan plan = file->plan;
  plan.local_steps = 1;
  SitePlan site;
  site.declared_size = 360;
  site.sampling_rate = 24.0 / 360;
  plan.sites = {site};
  REQUIRE(plan::set_noise(*file, plan).ok());
  CHECK(plan.target_epsilon == 8);
  const auto spent = plan::planned_epsilon(plan, plan.sites[0], 2'000'000);
  REQUIRE(spent.ok());
  CHECK(*spent <= 8);
  CHECK(*spent > 7.9);
}

TEST_CASE("a given noise multiplier is taken, and the epsilon it costs is told", "[coordinator]") {
  const auto file = read(with("epsilon", "noise_multiplier = 1.0"));
  REQUIRE(file.ok());
  const auto proposal = propose(*file, some_sites({{"a", 1400}, {"b", 1000}, {"c", 1300}}), kCoordinator);
  REQUIRE(proposal.ok());
  CHECK(proposal->plan.sites[0].noise_multiplier == 1.0);
  CHECK(proposal->plan.target_epsilon > 0.5);
  CHECK(proposal->plan.target_epsilon < 2);
}

TEST_CASE("without privacy there is no noise and no epsilon", "[coordinator]") {
  const auto file = read(with("epsilon", "enabled = false"));
  REQUIRE(file.ok());
  const auto proposal = propose(*file, some_sites({{"a", 1400}, {"b", 1000}, {"c", 1300}}), kCoordinator);
  REQUIRE(proposal.ok());
  CHECK(proposal->plan.sites[0].noise_multiplier == 0);
  const auto report = report_on(*file, *proposal);
  CHECK(std::isinf(report->sites[0].epsilon));
  CHECK(to_text(*report).find("NOT protected") != std::string::npos);
}

TEST_CASE("the rounds' thresholds and ring follow from the number of sites", "[coordinator]") {
  const auto file = read(minimal());
  for (const std::uint32_t n : {3u, 4u, 8u, 32u, 128u}) {
    std::vector<std::pair<std::string, std::uint64_t>> sizes;
    for (std::uint32_t i = 0; i < n; ++i) sizes.push_back({"site-" + std::to_string(100 + i), 1000});
    const auto proposal = propose(*file, some_sites(sizes), kCoordinator);
    INFO(n);
    REQUIRE(proposal.ok());
    CHECK(proposal->plan.colluders == default_colluders(n));
    CHECK(proposal->plan.min_sites == shamir_threshold(n, default_colluders(n)));
    // Half the step would overflow: the step is the smallest power of two.
    const double step = proposal->plan.ring.step;
    CHECK(std::exp2(std::round(std::log2(step))) == step);
    CHECK_FALSE(n * std::ceil(0.25 / (step / 2)) < std::ldexp(1.0, 23));
  }
}

TEST_CASE("two sites are refused until they are allowed", "[coordinator]") {
  auto file = read(minimal());
  const auto sites = some_sites({{"a", 1000}, {"b", 1000}});
  const auto refused = propose(*file, sites, kCoordinator);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("--allow-two-sites") != std::string::npos);
  file->plan.allow_two_sites = true;
  const auto allowed = propose(*file, sites, kCoordinator);
  REQUIRE(allowed.ok());
  CHECK(to_text(*report_on(*file, *allowed)).find("TWO SITES") != std::string::npos);
}

TEST_CASE("sites are taken by the file's order, and only approved ones", "[coordinator]") {
  const auto sites = some_sites({{"a", 1000}, {"b", 1000}, {"c", 1000}, {"d", 1000}});
  auto file = read(with("run =", "run = \"r1\"\nsites = [\"c\", \"a\", \"d\"]"));
  const auto proposal = propose(*file, sites, kCoordinator);
  REQUIRE(proposal.ok());
  CHECK(proposal->roster.sites.size() == 3);
  CHECK(proposal->roster.sites[0].name == "c");
  CHECK(proposal->roster.sites[0].identity == sites[2].identity);
  file->sites = {"a", "b", "nobody"};
  CHECK(propose(*file, sites, kCoordinator).error().message.find("'nobody'") != std::string::npos);
  file->sites = {"a", "b", "a"};
  CHECK(propose(*file, sites, kCoordinator).error().message.find("twice") != std::string::npos);
  file->sites = {};
  CHECK(propose(*file, {}, kCoordinator).error().message.find("0 sites are approved") != std::string::npos);
  file->plan.expected_batch = 1001;
  CHECK(propose(*file, sites, kCoordinator).error().message.find("privacy.expected_batch = 1001") != std::string::npos);
}

TEST_CASE("min_sites below t and an unusable epsilon are refused with the value", "[coordinator]") {
  const auto sites = some_sites({{"a", 1000}, {"b", 1000}, {"c", 1000}, {"d", 1000}});
  auto file = read(minimal() + "[aggregation]\nmin_sites = 2\n");
  REQUIRE(file.ok());
  CHECK(propose(*file, sites, kCoordinator).error().message.find("min_sites = 2") != std::string::npos);
}

}  // namespace
TEST_CASE("a plan with epsilon and noise_multiplier is told that both are given, one with neither what is missing",
          "[plan]") {
  const std::string text = minimal();
  const std::string line = "epsilon = 8.0\n";
  const auto replaced = [&](const std::string& by) { return std::string(text).replace(text.find(line), line.size(), by); };
  const auto both = read(replaced(line + "noise_multiplier = 1.0\n"));
  REQUIRE_FALSE(both.ok());
  CHECK(both.error().message ==
        "run.toml:6: 'privacy.noise_multiplier' and privacy.epsilon are both given, and each follows from the other; leave "
        "one out");
  const auto neither = read(replaced(""));
  REQUIRE_FALSE(neither.ok());
  CHECK(neither.error().message.find("'privacy.epsilon' is missing") != std::string::npos);
}

}  // namespace sotto::coordinator
