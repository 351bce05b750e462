// The gate: each check by what it reads, what it lets through and what it says when it does not.
#include "lineage/gate.h"

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "tests/lineage/lineage_fixture.h"
#include "tests/support/catch.h"

namespace sotto::lineage {
namespace {

const Finding& of(const std::vector<Finding>& all, const std::string& check) {
  return *std::ranges::find(all, check, &Finding::check);
}

Finding::State state_with(const TemporaryFolder& folder, const Made& model, const std::string& check,
                          const Evidence& evidence, std::optional<Digest> in_use = std::nullopt) {
  const auto findings = judge(some_gate(folder), model.passport, in_use, evidence);
  INFO(of(findings, check).sentence);
  for (const auto& f : findings)
    if (f.check != check) CHECK(f.state == Finding::State::kPassed);
  return of(findings, check).state;
}

TEST_CASE("a model with good evidence passes every check", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1);
  const auto findings = judge(some_gate(folder), model.passport, std::nullopt, good_evidence(folder, model));
  REQUIRE(findings.size() == 5);
  for (const auto& f : findings) {
    INFO(f.check << ": " << f.sentence);
    CHECK(f.state == Finding::State::kPassed);
    CHECK_FALSE(f.facts.is_null());
  }
  CHECK(lets_through(findings));
}

TEST_CASE("a result that is missing fails its check by name and says how to get it", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1);
  const auto findings = judge(some_gate(folder), model.passport, std::nullopt, {});
  for (const auto& f : findings) {
    CHECK(f.state == Finding::State::kMissing);
    CHECK(f.sentence.find("--" + f.check) != std::string::npos);
  }
  CHECK_FALSE(lets_through(findings));
  auto evidence = good_evidence(folder, model);
  evidence.safety = folder.file("nowhere.json");
  CHECK(state_with(folder, model, "safety", evidence) == Finding::State::kFailed);
}

TEST_CASE("quality asks for a gain whose interval lies above the bound, in the metric's own direction", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1);
  auto evidence = good_evidence(folder, model);
  write(evidence.quality, comparison("domain-task", "code_exact", model.passport, 0.2, 0.3));  // the interval holds 0
  CHECK(state_with(folder, model, "quality", evidence) == Finding::State::kFailed);
  auto gate = some_gate(folder);
  gate.quality.metric = "loss";
  for (const double fall : {-0.2, 0.2}) {
    write(evidence.quality, comparison("domain-task", "loss", model.passport, fall, 0.1));
    CHECK((of(judge(gate, model.passport, std::nullopt, evidence), "quality").state == Finding::State::kPassed) ==
          (fall < 0));
  }
  write(evidence.quality, comparison("domain-task", "code_exact", model.passport, std::nan(""), 0.1));
  CHECK(state_with(folder, model, "quality", evidence) == Finding::State::kFailed);
}

TEST_CASE("a model is also compared with the one in use", "[gate]") {
  const TemporaryFolder folder;
  const auto old_model = made(1), model = made(2, "second");
  auto evidence = good_evidence(folder, model);
  CHECK(state_with(folder, model, "quality", evidence, old_model.passport.model) ==
        Finding::State::kFailed);  // not in the file
  for (const double over : {-0.01, 0.0, 0.1}) {
    write(evidence.quality, comparison_of_three("code_exact", old_model.passport, model.passport, 0.2, over));
    CHECK((state_with(folder, model, "quality", evidence, old_model.passport.model) == Finding::State::kPassed) ==
          (over >= 0));
  }
  write(evidence.review, review(old_model.passport.id(), model.passport.id(), 0.5, 2));
  CHECK(state_with(folder, model, "review", evidence, old_model.passport.model) == Finding::State::kPassed);
  CHECK(state_with(folder, model, "review", evidence) ==
        Finding::State::kFailed);  // no longer in use: another model's review
}

TEST_CASE("results of another model, base or task do not count", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1), other = made(2, "second");
  auto evidence = good_evidence(folder, model);
  write(evidence.quality, comparison("domain-task", "code_exact", other.passport, 0.2, 0.1));
  CHECK(state_with(folder, model, "quality", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  write(evidence.general, comparison("another-task", "loss", model.passport, 0.0, 0.01));
  CHECK(state_with(folder, model, "general", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  auto foreign = evaluation("safety-task", model.passport, "safety", 1.0);
  foreign.set("base_sha256", std::string(64, '0'));
  write(evidence.safety, foreign);
  CHECK(state_with(folder, model, "safety", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  auto thin = comparison("domain-task", "code_exact", model.passport, 0.9, 0);
  thin.set("units", 1);
  write(evidence.quality, thin);
  CHECK(state_with(folder, model, "quality", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  write(evidence.safety, evaluation("safety-task", other.passport, "safety", 1.0));
  CHECK(state_with(folder, model, "safety", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  write(evidence.review, review("", other.passport.id(), 0.9, 2));
  CHECK(state_with(folder, model, "review", evidence) == Finding::State::kFailed);
}

TEST_CASE("what is lost in general, a rule that is broken and raters who disagree stop a model", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1);
  auto evidence = good_evidence(folder, model);
  write(evidence.general, comparison("general-task", "loss", model.passport, 0.03, 0.04));  // up to 0.07 worse
  CHECK(state_with(folder, model, "general", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  write(evidence.safety, evaluation("safety-task", model.passport, "safety", 0.89));
  CHECK(state_with(folder, model, "safety", evidence) == Finding::State::kFailed);
  evidence = good_evidence(folder, model);
  write(evidence.review, review("", model.passport.id(), 0.4, 2));
  CHECK(state_with(folder, model, "review", evidence) == Finding::State::kFailed);
  write(evidence.review, review("", model.passport.id(), 0.9, 1));
  CHECK(state_with(folder, model, "review", evidence) == Finding::State::kFailed);
  write(evidence.review, review(model.passport.id(), "", 0.4, 2));  // the other way round: it wins 0.6
  CHECK(state_with(folder, model, "review", evidence) == Finding::State::kPassed);
}

TEST_CASE("canaries that show more than is proven, or a passport that claims less than was spent, stop a model", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1);
  CHECK(judge_audit(model.passport, training_folder(folder, model, 5)).state == Finding::State::kPassed);
  auto cheaper = model;
  Json privacy = cheaper.passport.json.at("privacy");
  privacy.set("epsilon", 0.01);
  cheaper.passport.json.set("privacy", privacy);
  const auto claimed = judge_audit(cheaper.passport, training_folder(folder, model, 6));
  CHECK(claimed.state == Finding::State::kFailed);
  CHECK(claimed.sentence.find("0.01") != std::string::npos);
  const auto others = made(3, "first");  // the log is of other weights: no canaries of this model
  CHECK(judge_audit(others.passport, training_folder(folder, model, 7)).state == Finding::State::kFailed);
  CHECK(judge_audit(model.passport, folder.file("nowhere")).state == Finding::State::kFailed);
  const auto open = made(1, "open", std::nullopt, false);
  CHECK(judge_audit(open.passport, folder.file("nowhere")).sentence.find("without privacy") != std::string::npos);
}

TEST_CASE("a waived check needs a reason, and needs no result", "[gate]") {
  const TemporaryFolder folder;
  const auto model = made(1);
  const auto gate = some_gate(folder, "[waived]\nreview = \"A pilot on invented records.\"\n");
  auto evidence = good_evidence(folder, model);
  evidence.review.clear();
  const auto findings = judge(gate, model.passport, std::nullopt, evidence);
  CHECK(of(findings, "review").state == Finding::State::kWaived);
  CHECK(lets_through(findings));
  const auto refused = [&](const std::string& more) {
    REQUIRE(write_file_atomically(folder.file("bad.toml"),
                                  "domain = \"coding\"\n[quality]\ntask = \"t\"\nmetric = \"m\"\n[general]\ntask = "
                                  "\"t\"\nmetric = \"m\"\n[safety]\ntask = \"t\"\n" +
                                      more)
                .ok());
    const auto read = read_gate(folder.file("bad.toml"));
    return read.ok() ? std::string() : read.error().message;
  };
  CHECK(refused("[waived]\nreview = \"no\"\n").find("must say why") != std::string::npos);
  CHECK(refused("[waived]\nquality_ = \"because it is late\"\n").find("unknown key") != std::string::npos);
  CHECK(refused("[review]\nmin_win_rate = 1.5\n").find("from 0 to 1") != std::string::npos);
  CHECK(read_gate(SOTTO_SOURCE "/configs/gate.toml").ok());
}

}  // namespace
}  // namespace sotto::lineage
