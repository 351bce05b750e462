// One forgery each, in the order in which an auditor would name them. What verify says is asserted in words, because that
// sentence is what a person gets.
#include "audit/checks/checks.h"
#include "audit/log/proof.h"
#include "tests/audit/log/published.h"

namespace sotto::audit {
namespace {

constexpr const char* kLog = "sites/south/log";

// The frames of a log's file, without its first word.
std::vector<Bytes> frames_of(const Bytes& file) {
  std::vector<Bytes> out;
  for (const auto& record : parse_log(file).image.records) out.push_back(frame_of(record));
  return out;
}
Bytes file_of(const std::vector<Bytes>& frames) {
  ByteWriter out;
  out.raw(as_bytes(kLogMagic));
  for (const auto& frame : frames) out.raw(frame);
  return out.take();
}
// The same entries in another order or number, with every hash recomputed.
Bytes chained(const std::vector<Record>& records) {
  std::vector<Bytes> frames;
  Digest previous{};
  for (std::size_t i = 0; i < records.size(); ++i) {
    Record record = records[i];
    record.index = i;
    record.time = records[0].time;
    record.previous = previous;
    record.hash = leaf_hash(body_of(record));
    previous = record.hash;
    frames.push_back(frame_of(record));
  }
  return file_of(frames);
}

struct Forged : Published {
  Bytes original = read(kLog);
  std::vector<Record> records = parse_log(original).image.records;
  std::uint64_t committed = entry_of(original, EventType::kCommitted);

  std::string with(const Bytes& log) const {
    write(kLog, log);
    const std::string failure = first_failure();
    UNSCOPED_INFO(failure);
    return failure;
  }
  std::string entry(std::uint64_t i) const { return std::string(kLog) + ", entry " + std::to_string(i) + ": "; }
};

TEST_CASE("tamper: an entry changed", "[tamper]") {
  const Forged run;
  Bytes flipped = run.original;
  flipped[flipped.size() / 2] ^= 0x10;
  const auto at = parse_log(flipped).damage->entry;
  CHECK(has(run.with(flipped), run.entry(at) + "its content does not have the hash that stands with it"));
  // With every hash recomputed, the signed head tells, and the others' heads tell where.
  const Bytes redone = rewritten(run.original, [&](std::uint64_t i, Event& e) {
    if (i == run.committed) std::get<Committed>(e).taken = {some_event(9.0)};
    return true;
  });
  const std::string told = run.with(redone);
  CHECK(has(told, "head south: sites/south/log is not what heads/south.json signs; the first bad entry is one of "));
}

TEST_CASE("tamper: an entry removed", "[tamper]") {
  const Forged run;
  auto frames = frames_of(run.original);
  frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(run.committed));
  CHECK(has(run.with(file_of(frames)), run.entry(run.committed) + "it is numbered " + std::to_string(run.committed + 1)));
  auto records = run.records;
  records.erase(records.begin() + static_cast<std::ptrdiff_t>(run.committed));
  CHECK(has(run.with(chained(records)), run.entry(records.size()) + "it is missing: heads/south.json signs"));
  frames = frames_of(run.original);
  frames.pop_back();
  CHECK(has(run.with(file_of(frames)), run.entry(frames.size()) + "it is missing"));
}

TEST_CASE("tamper: an entry inserted", "[tamper]") {
  const Forged run;
  auto frames = frames_of(run.original);
  const Bytes again = frames[2];
  frames.insert(frames.begin() + 3, again);
  CHECK(has(run.with(file_of(frames)), run.entry(3) + "it is numbered 2"));
  auto records = run.records;
  Record extra = records[3];
  extra.type = EventType::kRunRefused;
  extra.payload = encode(Event(RunRefused{RunId("demo"), {}, "never said"}));
  records.insert(records.begin() + 3, extra);
  CHECK(has(run.with(chained(records)), "is not what heads/south.json signs"));
  records = run.records;
  records.push_back(extra);
  records.back().time = records[records.size() - 2].time;
  const Bytes longer = rewritten(file_of(frames_of(run.original)), [](std::uint64_t, Event&) { return true; });
  REQUIRE(longer == run.original);  // the helper itself changes nothing
}

TEST_CASE("tamper: entries reordered", "[tamper]") {
  const Forged run;
  auto frames = frames_of(run.original);
  std::swap(frames[4], frames[5]);
  CHECK(has(run.with(file_of(frames)), run.entry(4) + "it is numbered 5"));
  auto records = run.records;
  std::swap(records[4], records[5]);
  CHECK(has(run.with(chained(records)), "is not what heads/south.json signs"));
}

TEST_CASE("tamper: a head replaced", "[tamper]") {
  const Forged run;
  const auto& records = run.records;
  // By another head that the site itself signed: an older one of the same log.
  LogImage older;
  for (std::size_t i = 0; i + 2 < records.size(); ++i) {
    older.records.push_back(records[i]);
    older.tree.append(records[i].hash);
  }
  REQUIRE(write_head(run.folder.path(), sign_head(older, "south", key_of({}, "south"))).ok());
  CHECK(has(run.first_failure(), run.entry(records.size() - 2) + "no signed head covers it"));
  // By a head under another key, over the right log.
  Scenario stranger;
  stranger.seed = 9;
  REQUIRE(write_head(run.folder.path(), sign_head(parse_log(run.original).image, "south", key_of(stranger, "south"))).ok());
  CHECK(has(run.first_failure(), "the head of 'south' is signed by another key"));
  // By another party's head.
  run.write("heads/south.json", run.read("heads/north.json"));
  CHECK(has(run.first_failure(), "head south: heads/south.json is a head of 'north'"));
}

TEST_CASE("tamper: a signature swapped", "[tamper]") {
  const Forged run;
  const Json north = *Json::read_file(run.folder.path("heads/north.json"));
  const Json south = *Json::read_file(run.folder.path("heads/south.json"));
  run.replace_text("heads/south.json", south.at("signature").as_string(), north.at("signature").as_string());
  CHECK(has(run.first_failure(), "head south: heads/south.json: the signature does not hold"));
  run.replace_text("heads/south.json", north.at("signature").as_string(), south.at("signature").as_string());
  CHECK(run.first_failure().empty());

  // Of two REPORTs in the coordinator's log, which it signs anew itself.
  SignatureBytes first{};
  bool have_first = false;
  const Bytes swapped = rewritten(run.read("coordinator/log"), [&](std::uint64_t, Event& e) {
    if (auto* report = std::get_if<ReportReceived>(&e); report && report->round == RoundId(1)) {
      if (have_first) report->signature = first;
      if (!have_first) first = report->signature;
      have_first = true;
    }
    return true;
  });
  run.write("coordinator/log", swapped);
  REQUIRE(
      write_head(run.folder.path(), sign_head(parse_log(swapped).image, kCoordinatorParty, key_of({}, kCoordinatorParty)))
          .ok());
  const std::string told = run.first_failure();
  INFO(told);
  CHECK(has(told, "survivors: coordinator/log, entry "));
}

TEST_CASE("tamper: a number in the report edited", "[tamper]") {
  const Forged run;
  const Json report = *Json::read_file(run.folder.path(kReportJsonFile));
  const std::string epsilon = report.at("sites").at(2).at("epsilon").dump();
  const std::string site = "\"name\": \"west\",\n      \"epsilon\": ";
  run.replace_text(kReportJsonFile, site + epsilon, site + "1.2");
  CHECK(has(run.first_failure(), "report/report.json says epsilon 1.2 for site 'west'"));
  run.replace_text(kReportJsonFile, site + "1.2", site + epsilon);
  CHECK(run.first_failure().empty());
  // A number that no check looks at by name is still not the report's.
  run.replace_text(kReportJsonFile, "\"delta\": 1e-05", "\"delta\": 1e-06");
  CHECK(has(run.first_failure(), "report/report.json is not the report that the logs give: they differ first in line"));
}

TEST_CASE("a coordinator that rewrote its past is convicted by a proof that needs neither log", "[tamper]") {
  const Forged run;
  const Bytes changed = rewritten(run.read("coordinator/log"), [](std::uint64_t, Event& e) {
    if (auto* site = std::get_if<SiteEnrolled>(&e)) site->declared_size += 10;
    return true;
  });
  run.write("coordinator/log", changed);
  REQUIRE(
      write_head(run.folder.path(), sign_head(parse_log(changed).image, kCoordinatorParty, key_of({}, kCoordinatorParty)))
          .ok());
  const Verdict verdict = run.verdict();
  CHECK_FALSE(verdict.ok);
  REQUIRE(verdict.proofs.size() == 1);
  const auto proven = check_proof(*proof_from_json(*Json::parse(verdict.proofs[0].dump(), "proof")));
  REQUIRE(proven.ok());
  CHECK(has(*proven, "'coordinator' ("));
  CHECK(has(*proven, "signed two histories"));
  CHECK(has(to_text(verdict, RunId("demo")), "\"format\": \"sotto/split/1\""));
}

TEST_CASE("canaries that show more than is proven fail the run and its report", "[tamper]") {
  Scenario scenario;
  scenario.canaries = 200;
  const Published honest(scenario);
  const Verdict verdict = honest.verdict();
  INFO(to_text(verdict, RunId("demo")));
  CHECK(verdict.ok);
  const Json report = *Json::read_file(honest.folder.path(kReportJsonFile));
  CHECK(report.at("holds").as_bool());
  CHECK(report.at("measured_epsilon_at_least").as_double() < report.at("largest_epsilon").as_double());

  scenario.noise_was_off = true;
  scenario.noise_multiplier = 3;
  const Published broken(scenario);
  const std::string text = to_text(broken.verdict(), RunId("demo"));
  INFO(text);
  CHECK(has(text, "FAIL  canaries north: sites/north/log, entry "));
  CHECK(has(text, "the noise, the sampling or the proof is not what the log says"));
  const Json failed = *Json::read_file(broken.folder.path(kReportJsonFile));
  CHECK_FALSE(failed.at("holds").as_bool());
  CHECK(has(report_html_text(failed), "THIS REPORT DOES NOT HOLD"));
}

TEST_CASE("a run ends once at every site, and as at the coordinator", "[tamper]") {
  const auto after = [](const std::function<bool(Event&)>& keep) {
    const Published run{Scenario{}};
    run.write(kLog, rewritten(run.read(kLog), [&](std::uint64_t, Event& e) { return keep(e); }));
    const auto folder = read_run_folder(run.folder.path());
    std::string text;
    for (const auto& site : folder->sites) {
      const auto found = check_end(*folder, site);
      if (site.party == "south") text = found.ok() ? "" : found.error().message;
    }
    return text;
  };
  CHECK(after([](Event&) { return true; }).empty());
  CHECK(has(after([](Event& e) { return !std::holds_alternative<RunFinished>(e); }), "this site has no run_finished"));
  CHECK(has(after([](Event& e) {
              if (auto* end = std::get_if<RunFinished>(&e)) end->adapter = digest_of("an earlier adapter");
              return true;
            }),
            "another adapter than at the coordinator"));
  // An end that came before the first round, and the true one: neither the first nor the last of several counts.
  CHECK(has(after([](Event& e) {
              if (const auto* ran = std::get_if<ProgramRan>(&e)) e = RunFinished{ran->run, digest_of("early")};
              return true;
            }),
            "a second end of one run"));
  bool accepted = false;
  CHECK(has(after([&](Event& e) {
              if (const auto* result = std::get_if<ResultAccepted>(&e); result && !accepted) {
                accepted = true;
                e = RunFinished{result->run, result->adapter};
                return true;
              }
              return !std::holds_alternative<RunFinished>(e);
            }),
            "a result after the run's end"));
}

TEST_CASE("an audit that the plan fixed and a site did not log, or measured otherwise, fails", "[tamper]") {
  Scenario scenario;
  scenario.canaries = 200;
  const auto after = [&](const std::function<bool(Event&)>& keep) {
    const Published run(scenario);
    const Bytes changed = rewritten(run.read(kLog), [&](std::uint64_t, Event& e) { return keep(e); });
    run.write(kLog, changed);
    const auto folder = read_run_folder(run.folder.path());
    std::string text;
    for (const auto& site : folder->sites) {
      if (site.party == "south")
        text = check_canaries(*folder, site).ok() ? "" : check_canaries(*folder, site).error().message;
    }
    return text;
  };
  CHECK(has(after([](Event& e) { return !std::holds_alternative<AuditMeasured>(e); }), "their outcome was not logged"));
  CHECK(has(after([](Event& e) {
              if (auto* m = std::get_if<AuditMeasured>(&e)) m->guesses = 60, m->correct = 60;
              return true;
            }),
            "60 guesses of 200 canaries, and the plan fixed 100 of 200"));
  CHECK(has(after([](Event& e) {
              if (auto* m = std::get_if<AuditMeasured>(&e)) m->adapter = digest_of("an earlier adapter");
              return true;
            }),
            "another adapter was scored than the run's last"));
}

}  // namespace
}  // namespace sotto::audit
