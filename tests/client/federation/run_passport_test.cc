#include "client/federation/run_passport.h"

#include "aggregation/fedsvd.h"
#include "audit/log/event_log.h"
#include "lineage/passport.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {

TEST_CASE(
    "the passport of a run tells its plan, its declared size and its log, and that nothing spent is no guarantee broken",
    "[client]") {
  const TemporaryFolder folder;
  auto log = audit::EventLog::open(folder.path() + "/log").value();
  REQUIRE(log.append(audit::SiteCreated{"b", {}, {}}, audit::Time{}).ok());
  RunPlan plan;
  plan.run = RunId("demo");
  plan.lora.targets = {"q_proj"};
  plan.rounds = 4;
  plan.local_steps = 3;
  for (const char* name : {"a", "b"}) plan.sites.push_back({name, 1000, 0.1, 1.0, 1.0});
  plan.sites[1].declared_size = 1400;
  const auto adapter =
      aggregation::initial_adapter({{{"model.layers.0.self_attn.q_proj", 6, 9, 3, 0.5}}}, plan.seed).value();
  const audit::Spending spending;
  Digest data{};
  data[0] = 0xab;
  const Json json = passport_of({&plan, SiteIndex(1), &adapter, Precision::kBf16, &spending, data, &log.image()});
  const auto passport = lineage::parse_passport(json.dump(), "test");
  INFO((passport.ok() ? "" : passport.error().message));
  REQUIRE(passport.ok());
  CHECK(passport->run == "demo");
  CHECK(encode(passport->plan) == encode(plan));
  CHECK(json.at("trained").dump() == "\"federated\"");
  CHECK(json.at("precision").dump() == "\"bf16\"");
  CHECK(json.at("steps").dump() == "12");
  CHECK(json.at("data").at("declared_units").dump() == "1400");
  CHECK(json.at("data").at("fingerprint").dump() == "\"" + to_hex(data) + "\"");
  CHECK(json.at("log").at("entries").dump() == "1");
}

}  // namespace sotto::client
