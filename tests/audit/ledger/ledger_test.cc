#include "audit/ledger/ledger.h"

#include <cmath>

#include "audit/ledger/accounting.h"
#include "privacy/accounting/compose.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"

namespace sotto::audit {
namespace {

const RunId kRun("first");
const RoundId kRound(0);
const BudgetLimit kLimit{8.0, 1e-5};

ReportSent report_of(const RunId& run, RoundId round) { return {run, round, AttemptId(1), {}, {}, digest_of("y")}; }

double epsilon_of(const std::vector<privacy::DpEvent>& events) {
  return privacy::proven_epsilon(events, privacy::Delta(1e-5))->upper();
}

struct Site {
  TempFolder folder;
  EventLog log = std::move(EventLog::open(folder.path("log"))).value();
  Ledger ledger = std::move(Ledger::open(log)).value();
};

TEST_CASE("a new ledger has spent nothing and has the whole limit left", "[ledger]") {
  const Site site;
  CHECK(site.ledger.spent(1e-5) == 0);
  CHECK(site.ledger.reserved(1e-5) == 0);
  CHECK(site.ledger.left(kLimit) == 8);
}

TEST_CASE("a reservation counts as spent at once, and a commit replaces it by what ran", "[ledger]") {
  Site site;
  REQUIRE(site.ledger.reserve(kRun, kRound, {some_event(1.0, 4)}, kLimit, at(1)).ok());
  const double once = epsilon_of({some_event(1.0, 4)});
  CHECK(site.ledger.spent(1e-5) == Approx(once).epsilon(1e-12));
  CHECK(site.ledger.reserved(1e-5) == Approx(once).epsilon(1e-12));
  const std::vector<privacy::DpEvent> steps(4, some_event(1.0, 1));  // one a step: the same as four at once
  REQUIRE(site.ledger.commit(kRun, kRound, steps, at(2)).ok());
  CHECK(site.ledger.spent(1e-5) == Approx(once).epsilon(1e-12));
  CHECK(site.ledger.reserved(1e-5) == 0);
  CHECK(site.ledger.left(kLimit) == Approx(8 - once));
}

TEST_CASE("all runs in the log are composed, not added up", "[ledger]") {
  Site site;
  for (const auto* name : {"first", "second"}) {
    const RunId run{std::string(name)};
    REQUIRE(site.ledger.reserve(run, kRound, {some_event()}, kLimit, at(1)).ok());
    REQUIRE(site.ledger.commit(run, kRound, {some_event()}, at(1)).ok());
  }
  CHECK(site.ledger.spent(1e-5) == Approx(epsilon_of({some_event(1.0, 8)})).epsilon(1e-12));
  CHECK(composed_epsilon(site.ledger.spending().of_run(RunId("second")), 1e-5) ==
        Approx(epsilon_of({some_event(1.0, 4)})).epsilon(1e-12));
}

TEST_CASE("a run beyond the limit is refused with what is spent, asked and allowed, and leaves no entry", "[ledger]") {
  Site site;
  const double first = epsilon_of({some_event()});
  REQUIRE(site.ledger.reserve(kRun, kRound, {some_event()}, BudgetLimit{first + 0.01, 1e-5}, at(1)).ok());
  const std::uint64_t size = site.log.size();
  const auto second =
      site.ledger.reserve(RunId("second"), kRound, {some_event(0.5)}, BudgetLimit{first + 0.01, 1e-5}, at(2));
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::kOverBudget);
  CHECK(second.error().message.find("this site allows") != std::string::npos);
  CHECK(second.error().message.find("spent so far") != std::string::npos);
  CHECK(site.log.size() == size);
  // The limit itself may be reached.
  CHECK(site.ledger.can_afford({some_event()}, BudgetLimit{epsilon_of({some_event(1.0, 8)}), 1e-5}).ok());
}

TEST_CASE("after a crash between reserve and commit the round is still spent", "[ledger]") {
  const TempFolder folder;
  {
    auto log = EventLog::open(folder.path("log"));
    auto ledger = Ledger::open(*log);
    REQUIRE(ledger->reserve(kRun, kRound, {some_event()}, kLimit, at(1)).ok());
  }
  auto log = EventLog::open(folder.path("log"));
  auto ledger = Ledger::open(*log);
  REQUIRE(ledger.ok());
  CHECK(ledger->spent(1e-5) == Approx(epsilon_of({some_event()})).epsilon(1e-12));
  // The same round cannot be reserved a second time, but goes on under its reservation, or is refunded.
  CHECK_FALSE(ledger->reserve(kRun, kRound, {some_event()}, kLimit, at(2)).ok());
  CHECK(ledger->refund(kRun, kRound, "nothing left this site", at(2)).ok());
  CHECK(ledger->spent(1e-5) == 0);
  CHECK(ledger->reserve(kRun, kRound, {some_event()}, kLimit, at(3)).ok());
}

TEST_CASE("a log cut at any byte never shows less spent than the entries that are whole", "[ledger]") {
  const TempFolder folder;
  const double whole = epsilon_of({some_event()});
  {
    auto log = EventLog::open(folder.path("log"));
    auto ledger = Ledger::open(*log);
    REQUIRE(ledger->reserve(kRun, kRound, {some_event()}, kLimit, at(1)).ok());
    REQUIRE(ledger->commit(kRun, kRound, {some_event()}, at(2)).ok());
    REQUIRE(ledger->note_report(report_of(kRun, kRound), at(3)).ok());
  }
  const Bytes bytes = *read_binary_file(folder.path("log"));
  for (std::size_t n = 0; n <= bytes.size(); n += 3) {
    REQUIRE(write_file_atomically(folder.path("cut"), ByteSpan(bytes).first(n)).ok());
    auto log = EventLog::open(folder.path("cut"));
    auto ledger = Ledger::open(*log);
    REQUIRE(ledger.ok());
    CHECK(ledger->spent(1e-5) == Approx(log->size() > 0 ? whole : 0).epsilon(1e-12));
  }
}

TEST_CASE("what was reported is never refunded", "[ledger]") {
  Site site;
  REQUIRE(site.ledger.reserve(kRun, kRound, {some_event()}, kLimit, at(1)).ok());
  CHECK_FALSE(site.ledger.note_report(report_of(kRun, kRound), at(1)).ok());  // not committed yet
  REQUIRE(site.ledger.commit(kRun, kRound, {some_event()}, at(1)).ok());
  REQUIRE(site.ledger.note_report(report_of(kRun, kRound), at(1)).ok());
  const auto refund = site.ledger.refund(kRun, kRound, "please", at(2));
  REQUIRE_FALSE(refund.ok());
  CHECK(refund.error().code == ErrorCode::kRefused);
  CHECK(site.ledger.spent(1e-5) > 0);
}

TEST_CASE("steps that are not what was reserved are recorded, counted besides the plan, and may not be reported",
          "[ledger]") {
  for (const auto& taken : std::vector<std::vector<privacy::DpEvent>>{
           {some_event(0.5, 4)}, {some_event(1.0, 5)}, {some_event(1.0, 4), some_event(0.9, 1)}}) {
    Site site;
    REQUIRE(site.ledger.reserve(kRun, kRound, {some_event(1.0, 4)}, kLimit, at(1)).ok());
    const auto committed = site.ledger.commit(kRun, kRound, taken, at(2));
    REQUIRE_FALSE(committed.ok());
    CHECK(committed.error().code == ErrorCode::kRefused);
    auto both = taken;
    both.push_back(some_event(1.0, 4));
    CHECK(site.ledger.spent(1e-5) == Approx(epsilon_of(both)).epsilon(1e-12));
    CHECK_FALSE(site.ledger.note_report(report_of(kRun, kRound), at(3)).ok());
  }
}

TEST_CASE("noise that did not run leaves no finite epsilon", "[ledger]") {
  Site site;
  REQUIRE(site.ledger.reserve(kRun, kRound, {some_event()}, kLimit, at(1)).ok());
  CHECK_FALSE(site.ledger.commit(kRun, kRound, {}, at(2)).ok());
  CHECK(std::isinf(site.ledger.spent(1e-5)));
  CHECK(site.ledger.left(kLimit) == 0);
}

TEST_CASE("a round without privacy needs a site without a limit, and spends everything", "[ledger]") {
  Site site;
  const auto refused_round = site.ledger.reserve(kRun, kRound, {}, kLimit, at(1));
  REQUIRE_FALSE(refused_round.ok());
  CHECK(refused_round.error().message.find("no privacy guarantee") != std::string::npos);
  REQUIRE(site.ledger.reserve(kRun, kRound, {}, std::nullopt, at(1)).ok());
  REQUIRE(site.ledger.commit(kRun, kRound, {}, at(2)).ok());
  REQUIRE(site.ledger.note_report(report_of(kRun, kRound), at(3)).ok());
  CHECK(std::isinf(site.ledger.spent(1e-5)));
}

TEST_CASE("a run whose sampling has no accountant beside an earlier run's is refused, and not called one without privacy",
          "[ledger]") {
  Site site;
  auto fixed = some_event(), allocated = some_event();
  fixed.sampling = privacy::SamplingKind::kFixedSize;
  fixed.sampling_rate = allocated.sampling_rate = privacy::SamplingRate(1);
  fixed.population = 50;
  fixed.batch_size = 5;
  allocated.sampling = privacy::SamplingKind::kRandomAllocation;
  allocated.epoch_steps = 8;
  allocated.count = 1;
  const BudgetLimit wide{100, 1e-5};
  CHECK(relation_text({allocated}, "patient") == "add or remove one patient");
  CHECK(site.ledger.can_afford(RoundCost({allocated}), wide).ok());
  REQUIRE(site.ledger.reserve(kRun, kRound, {fixed}, wide, at(1)).ok());
  CHECK(relation_text(site.ledger.spending().total(kDefaultBudget).events, "record") == "replace one record");
  const auto refused_run = site.ledger.reserve(RunId("second"), kRound, {allocated}, wide, at(2));
  REQUIRE_FALSE(refused_run.ok());
  CHECK(refused_run.error().message.find("no finite epsilon together with what this site's patients have spent") !=
        std::string::npos);
  CHECK(site.ledger.reserve(RunId("second"), kRound, {some_event()}, wide, at(3)).ok());
}

TEST_CASE("where sites share the noise, the curve by the own share alone has a limit of its own", "[ledger]") {
  privacy::DpEvent shared = some_event(0.6, 4);  // three honest sites' shares, and this site's alone
  shared.noise = privacy::NoiseKind::kDiscreteGaussianShares;
  shared.noise_shares = 3;
  const RoundCost cost({shared}, {some_event(0.6, 4)});
  const double against = epsilon_of({shared});
  const double alone = epsilon_of({some_event(0.6, 4)});
  REQUIRE(against < alone);
  Site site;
  const auto over = site.ledger.reserve(kRun, kRound, cost, BudgetLimit{8.0, 1e-5, alone - 0.01}, at(1));
  REQUIRE_FALSE(over.ok());
  CHECK(over.error().code == ErrorCode::kOverBudget);
  CHECK(over.error().message.find("by this site's own noise alone") != std::string::npos);
  CHECK(site.log.size() == 0);
  CHECK_FALSE(site.ledger.reserve(kRun, kRound, cost, BudgetLimit{against - 0.01, 1e-5, 100.0}, at(1)).ok());
  REQUIRE(site.ledger.reserve(kRun, kRound, cost, BudgetLimit{against + 0.01, 1e-5, alone + 0.01}, at(1)).ok());
  REQUIRE(site.ledger.commit(kRun, kRound, cost, at(2)).ok());

  const auto replayed = Ledger::open(site.log);  // the log has both curves
  REQUIRE(replayed.ok());
  const Spent total = replayed->spending().total();
  CHECK(composed_epsilon(total, 1e-5) == Approx(against).epsilon(1e-12));
  CHECK(composed_epsilon(total, 1e-5, Curve::kOwnShareAlone) == Approx(alone).epsilon(1e-12));
  // The next round adds to each.
  CHECK_FALSE(site.ledger.reserve(kRun, RoundId(1), cost, BudgetLimit{8.0, 1e-5, alone + 0.01}, at(3)).ok());
  CHECK(site.ledger.reserve(kRun, RoundId(1), cost, BudgetLimit{8.0, 1e-5}, at(3)).ok());  // no limit on that curve
}

TEST_CASE("in mode local the two curves are one", "[ledger]") {
  Site site;
  REQUIRE(site.ledger.reserve(kRun, kRound, {some_event()}, BudgetLimit{8.0, 1e-5, 8.0}, at(1)).ok());
  const Spent total = site.ledger.spending().total();
  CHECK(composed_epsilon(total, 1e-5, Curve::kOwnShareAlone) == composed_epsilon(total, 1e-5));
}

TEST_CASE("a log whose entries contradict each other is refused with the entry's number", "[ledger]") {
  const TempFolder folder;
  auto log = EventLog::open(folder.path("log"));
  REQUIRE(log->append(SiteCreated{"a", {}, {}}, at(1)).ok());
  REQUIRE(log->append(Committed{kRun, kRound, {some_event()}}, at(2)).ok());
  const auto ledger = Ledger::open(*log);
  REQUIRE_FALSE(ledger.ok());
  CHECK(ledger.error().message.find("entry 1 is bad: round 0 of run 'first' is not reserved") != std::string::npos);
}

TEST_CASE("equal neighbours merge and keep their count", "[ledger]") {
  const auto all = merged({some_event(1.0, 1), some_event(1.0, 2), some_event(2.0, 1), some_event(1.0, 1)});
  REQUIRE(all.size() == 3);
  CHECK(all[0] == some_event(1.0, 3));
  CHECK(all[2] == some_event(1.0, 1));
  CHECK(merged({}).empty());
}

}  // namespace
}  // namespace sotto::audit
