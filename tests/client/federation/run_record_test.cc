#include "client/federation/run_record.h"

#include <filesystem>

#include "crypto/hash.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {
namespace {

SiteFolder new_site(const TemporaryFolder& folder) {
  SiteIdentity identity;
  identity.name = "a";
  identity.declared_size = 1000;
  identity.config = "site.toml";
  return SiteFolder::create(folder.path() + "/site", identity).value();
}

audit::EventLog begun(const SiteFolder& site) {
  auto log = audit::EventLog::open(site.log_path()).value();
  REQUIRE(log.append(audit::SiteCreated{"a", site.identity(), {}}, audit::Time{}).ok());
  return log;
}

audit::Event joined_under(const Bytes& head, std::uint32_t round) {
  RoundDescriptor d;
  d.run = RunId("demo");
  d.round = RoundId(round);
  d.coordinator_head = crypto::sha256(head);
  return audit::RoundJoined{d.run, d.round, AttemptId(0), encode(d)};
}

}  // namespace

TEST_CASE("an event of a run stands in the log once, also after the site was started again", "[client]") {
  const TemporaryFolder folder;
  const auto site = new_site(folder);
  auto log = begun(site);
  auto ledger = audit::Ledger::open(log).value();
  const audit::Event once = audit::RunRefused{RunId("demo"), {}, "because"};
  const audit::Event another = audit::RunRefused{RunId("demo"), {}, "for another reason"};
  {
    RunRecord record(site, log, ledger);
    const auto head = record.own_head();
    REQUIRE(record.append(once).ok());
    REQUIRE(record.append(once).ok());
    CHECK(log.size() == 2);
    CHECK(record.own_head() != head);
  }
  RunRecord again(site, log, ledger);
  REQUIRE(again.append(once).ok());
  CHECK(log.size() == 2);
  REQUIRE(again.append(another).ok());
  CHECK(log.size() == 3);
}

TEST_CASE("the coordinator's newest head is the one that the last joined attempt names", "[client]") {
  const TemporaryFolder folder;
  const auto site = new_site(folder);
  auto log = begun(site);
  const auto append = [&](const audit::Event& event) { REQUIRE(log.append(event, audit::Time{}).ok()); };
  CHECK(newest_coordinator_head(log).value().empty());

  const Bytes first{1}, second{2}, refused{3};
  append(audit::HeadSeen{first});
  CHECK(newest_coordinator_head(log).value().empty());  // seen, and not joined under
  append(joined_under(first, 0));
  CHECK(newest_coordinator_head(log).value() == first);
  append(audit::HeadSeen{second});
  append(joined_under(second, 1));
  append(audit::HeadSeen{refused});
  CHECK(newest_coordinator_head(log).value() == second);
}

TEST_CASE("a proof of misconduct is kept as one file, however often it is found", "[client]") {
  const TemporaryFolder folder;
  const std::string proofs = folder.path() + "/proofs";
  const Proof proof{"two_lists", "the coordinator signed two key lists", {1, 2}, {3}};
  REQUIRE(keep_proof(proofs, proof).ok());
  REQUIRE(keep_proof(proofs, proof).ok());
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(proofs)) files.push_back(entry.path());
  REQUIRE(files.size() == 1);
  const auto json = Json::read_file(files.front());
  REQUIRE(json.ok());
  CHECK(json->at("code").dump() == "\"two_lists\"");
  CHECK(json->at("first").dump() == "\"0102\"");
  CHECK(json->at("second").dump() == "\"03\"");
}

}  // namespace sotto::client
