#include "audit/log/log_format.h"

#include "audit/log/signed_head.h"
#include "audit/log/statements.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"

namespace sotto::audit {
namespace {

std::vector<Event> one_of_each() {
  const RunId run("r1");
  const RoundId r(3);
  const AttemptId a(2);
  const Digest d = digest_of("d");
  SignatureBytes sig{};
  sig.fill(9);
  const std::vector<SiteIndex> sites = {SiteIndex(0), SiteIndex(2)};
  return {SiteCreated{"north", d, d},
          RunApproved{run, d, d, encode(plan_of({})), encode(roster_of({}))},
          RunRefused{run, d, "epsilon 9 is above this site's limit"},
          Reserved{run, r, {some_event(), some_event(2.0)}},
          RoundJoined{run, r, a, encode(describe(plan_of({}), roster_of({})))},
          Committed{run, r, {some_event()}},
          Refunded{run, r, "crash before the report"},
          KeysSent{run, r, a, d},
          SharesSent{run, r, a, d},
          ReportSent{run, r, a, d, d, d},
          ConfirmSigned{run, r, a, d, d, d, sites},
          UnmaskAnswered{run, r, a, d},
          ResultAccepted{run, r, a, d, d},
          Sealed{d, {1, 2, 3}},
          BudgetBound{run, "patients", "patient", 8, 1e-5},
          SpentElsewhere{"patients", 1, {some_event()}, {some_event(0.5)}},
          AuditMeasured{run, d, 100, 50, 40, 0.75, 0.1, 0.01},
          AttackMeasured{run, d, 100, 50, 0.75, 0.1, 0.01},
          AttemptClosed{run, r, a, "deadline"},
          RunFinished{run, d},
          HeadSeen{encode(SignedHead{"north", d, d, 4, d, sig})},
          ProgramRan{run, "0.1.0", d},
          CoordinatorCreated{d, d},
          SiteEnrolled{"north", d, d, 1400},
          RunSubmitted{run, d, d, encode(plan_of({})), encode(roster_of({}))},
          AttemptOpened{run, r, a},
          RoundOpened{run, r, a, encode(describe(plan_of({}), roster_of({})))},
          SiteKeys{run, r, a, SiteIndex(1), d},
          SiteShares{run, r, a, SiteIndex(1), d},
          ReportReceived{run, r, a, SiteIndex(1), d, d, sig},
          Survivors{run, r, a, {{SiteIndex(0), d, d}, {SiteIndex(2), d, d}}, sites},
          ConfirmReceived{run, r, a, SiteIndex(1), d, d, sig},
          RoundResult{run, r, a, sites, d, d},
          RoundVoid{run, r, "two of three sites left"},
          RegistryCreated{d, d},
          ModelRegistered{d, "coding", "{}"},
          ModelPromoted{d, "coding", "anna", "{}"},
          ModelRolledBack{"coding", d, d, "anna", "wrong codes"},
          BookCreated{d, d},
          PatientsSeen{"patients", "training", Bytes(32, 7)},
          RecordsSeen{Bytes(16, 9)},
          LogSpent{"patients", d, 12, d, 0, {some_event()}, {}},
          LogSeen{d, 12, d, run, 4}};
}

TEST_CASE("every event survives encoding, has a name and a JSON view", "[events]") {
  const auto events = one_of_each();
  REQUIRE(events.size() == std::variant_size_v<Event>);
  for (std::size_t i = 0; i < events.size(); ++i) {
    REQUIRE(events[i].index() == i);
    const EventType type = type_of(events[i]);
    INFO(name_of(type));
    const Bytes bytes = encode(events[i]);
    const auto back = decode_event(type, bytes);
    REQUIRE(back.ok());
    CHECK(back->index() == i);
    CHECK(encode(*back) == bytes);
    CHECK(to_json(*back).dump() == to_json(events[i]).dump());
    CHECK(may_stand_in_site_log(type) == (i <= 21 && type != EventType::kAttackMeasured));
    CHECK(may_stand_in_coordinator_log(type) == (i >= 18 && i <= 33));
  }
}

TEST_CASE("an event that is cut, longer or of an unknown type is refused", "[events]") {
  for (const auto& event : one_of_each()) {
    Bytes bytes = encode(event);
    for (std::size_t n = 0; n < bytes.size(); n += 1 + bytes.size() / 50) {
      CHECK_FALSE(decode_event(type_of(event), ByteSpan(bytes).first(n)).ok());
    }
    bytes.push_back(0);
    CHECK_FALSE(decode_event(type_of(event), bytes).ok());
  }
  CHECK(decode_event(static_cast<EventType>(999), {}).error().code == ErrorCode::kUnsupported);
  CHECK(name_of(static_cast<EventType>(999)) == nullptr);
  CHECK_FALSE(may_stand_in_site_log(static_cast<EventType>(25)));
}

TEST_CASE("a count that cannot fit is refused before memory is taken", "[events]") {
  const Bytes bytes = ByteWriter().text("r").u32(0).u32(0xffffffff).take();
  CHECK_FALSE(decode_event(EventType::kReserved, bytes).ok());
}

TEST_CASE("the JSON view of a joined round shows the descriptor's fields", "[events]") {
  const Json json = to_json(one_of_each()[4]);
  CHECK(json.at("run").as_string() == "r1");
  CHECK(json.at("round").as_int() == 3);
  CHECK(json.at("descriptor").at("min_sites").as_int() == 3);
  CHECK(json.at("descriptor").at("per_site").at(0).at("name").as_string() == "north");
}

TEST_CASE("a statement of one attempt, sender or set is no statement of another", "[statements]") {
  RoundDescriptor d = describe(plan_of({}), roster_of({}));
  const Digest h = digest_of("u1");
  const auto base = crypto::encode(confirm_statement(d, "north", h, h));
  CHECK(base != crypto::encode(confirm_statement(d, "south", h, h)));
  CHECK(base != crypto::encode(confirm_statement(d, "north", h, digest_of("u3"))));
  CHECK(base != crypto::encode(report_statement(d, "north", h, h)));
  d.attempt = AttemptId(2);
  CHECK(base != crypto::encode(confirm_statement(d, "north", h, h)));
}

}  // namespace
}  // namespace sotto::audit
