#include "audit/verify/verify.h"

#include "audit/checks/checks.h"
#include "audit/ledger/accounting.h"
#include "audit/report/report.h"
#include "privacy/mechanism/noise.h"
#include "tests/audit/log/published.h"
#include "tests/support/catch.h"

namespace sotto::audit {
namespace {

namespace fs = std::filesystem;

Expectation expected_of(const Scenario& scenario) {
  Expectation out;
  for (const auto* party : {"coordinator", "north", "south", "west"}) {
    out.fingerprints[party] = crypto::fingerprint(crypto::verify_key(key_of(scenario, party)));
  }
  out.roster = roster_hash(roster_of(scenario));
  return out;
}

TEST_CASE("an untouched folder verifies, self-asserted without and pinned with the expected fingerprints", "[verify]") {
  const Published run;
  const Verdict plain = run.verdict();
  INFO(to_text(plain, RunId("demo")));
  CHECK(plain.ok);
  CHECK_FALSE(plain.all_pinned());
  CHECK(has(to_text(plain, RunId("demo")), "identities: self-asserted"));
  CHECK(to_json(plain, RunId("demo")).at("identities").as_string() == "self-asserted");
  CHECK(plain.identities.size() == 4);

  const Verdict pinned = run.verdict(expected_of({}));
  CHECK(pinned.ok);
  CHECK(pinned.all_pinned());
  const Json json = to_json(pinned, RunId("demo"));
  CHECK(json.at("ok").as_bool());
  CHECK(json.at("identities").as_string() == "pinned");
  CHECK(json.at("checks").at(0).at("name").as_string() == "log coordinator");
}

TEST_CASE("one flipped byte in any log fails with the number of its entry", "[verify]") {
  const Published run;
  for (const std::string file : {"coordinator/log", "sites/south/log"}) {
    const Bytes bytes = run.read(file);
    for (std::size_t i = 12; i < bytes.size(); i += 997) {
      Bytes changed = bytes;
      changed[i] ^= 1;
      const auto entry = parse_log(ByteSpan(bytes).first(i)).image.records.size();
      run.write(file, changed);
      const std::string failure = run.first_failure();
      INFO(failure);
      CHECK(has(failure, file + ", entry " + std::to_string(entry) + ":"));
    }
    run.write(file, bytes);
  }
  CHECK(run.verdict().ok);
}

TEST_CASE("an entry edited with every later hash recomputed fails at the signed heads, which bound where it is",
          "[verify]") {
  const Published run;
  const Bytes bytes = run.read("sites/south/log");
  const std::uint64_t edited = entry_of(bytes, EventType::kCommitted, 1);
  run.write("sites/south/log", rewritten(bytes, [&](std::uint64_t i, Event& event) {
              if (i == edited) std::get<Committed>(event).taken = {some_event(3.0)};
              return true;
            }));
  const std::string failure = run.first_failure();
  INFO(failure);
  CHECK(has(failure, "head south: sites/south/log is not what heads/south.json signs"));
  // The coordinator saw a head after round 0 and one after round 1: the edit lies between them.
  const auto seen = parse_log(run.read("coordinator/log"));
  std::uint64_t good = 0;
  std::uint64_t bad = parse_log(bytes).image.records.size();
  for (const auto& record : seen.image.records) {
    if (record.type != EventType::kHeadSeen) continue;
    const SignedHead head = *decode_head(std::get<HeadSeen>(*decode_event(record.type, record.payload)).head);
    if (head.party != "south") continue;
    if (head.size <= edited) good = std::max(good, head.size);
    if (head.size > edited) bad = std::min(bad, head.size);
  }
  CHECK(good > 0);
  CHECK(has(failure, "the first bad entry is one of " + std::to_string(good) + " to " + std::to_string(bad - 1)));
}

TEST_CASE("a log without its last entry fails and names that entry", "[verify]") {
  const Published run;
  for (const std::string party : {"coordinator", "west"}) {
    const Bytes bytes = run.read(log_file(party));
    const std::uint64_t last = parse_log(bytes).image.records.size() - 1;
    run.write(log_file(party), rewritten(bytes, [&](std::uint64_t i, Event&) { return i != last; }));
    const std::string failure = run.first_failure();
    INFO(failure);
    CHECK(has(failure, log_file(party) + ", entry " + std::to_string(last) + ": it is missing"));
    run.write(log_file(party), bytes);
  }
}

TEST_CASE("an entry that no head covers fails", "[verify]") {
  const Published run;
  const std::string path = run.folder.path("sites/north/log");
  auto log = EventLog::open(path);
  REQUIRE(log->append(RunRefused{RunId("later"), {}, "no"}, at(1800000000)).ok());
  CHECK(has(run.first_failure(), "no signed head covers it"));
}

TEST_CASE("an edited epsilon in the report fails, in JSON and in HTML", "[verify]") {
  const Published run;
  const Json report = *Json::read_file(run.folder.path(kReportJsonFile));
  const std::string epsilon = report.at("sites").at(1).at("epsilon").dump();
  const std::string site = "\"name\": \"south\",\n      \"epsilon\": ";
  run.replace_text(kReportJsonFile, site + epsilon, site + "0.5");
  const std::string failure = run.first_failure();
  INFO(failure);
  CHECK(has(failure, "report/report.json says epsilon 0.5 for site "));
  const std::size_t given = failure.find("give ");
  REQUIRE(given != std::string::npos);
  CHECK(rounded_up(std::stod(failure.substr(given + 5))).dump() == epsilon);  // the report's digits, rounded up

  const Published other;
  other.replace_text(kReportHtmlFile, "<td class=\"n\">" + epsilon + "</td>", "<td class=\"n\">0.5</td>");
  CHECK(has(other.first_failure(), "report/report.html is not the report that the logs give: they differ first in line"));
}

TEST_CASE("a site's log replaced by the same site's log of another run fails", "[verify]") {
  Scenario other_run;
  other_run.run = "other";
  const Published run;
  const Published other(other_run);
  run.write("sites/south/log", other.read("sites/south/log"));
  CHECK(has(run.first_failure(), "sites/south/log, entry 0: this is another log than the one that heads/south.json signs"));
  // With its own, genuine head beside it, the other parties' logs tell.
  run.write("heads/south.json", other.read("heads/south.json"));
  const std::string failure = run.first_failure();
  INFO(failure);
  CHECK(has(failure, "heads seen of south: sites/south/log is not what coordinator/log, entry "));
}

TEST_CASE("a folder re-signed with new keys verifies by itself and fails against the expected fingerprints", "[verify]") {
  Scenario forged;
  forged.seed = 2;
  const Published run(forged);
  CHECK(run.verdict().ok);
  CHECK_FALSE(run.verdict().all_pinned());
  const std::string failure = run.first_failure(expected_of({}));
  INFO(failure);
  CHECK(has(failure, "identity coordinator: 'coordinator' signs with the key "));
  CHECK(has(failure, "expected was " + expected_of({}).fingerprints["coordinator"]));
  Expectation roster_only;
  roster_only.roster = roster_hash(roster_of({}));
  CHECK(has(run.first_failure(roster_only), "the roster is not the expected one"));
  Expectation head_only;
  head_only.heads.push_back({"north", parse_log(Published().read("sites/north/log")).image.head()});
  CHECK(has(run.first_failure(head_only), "does not have the expected head"));
  CHECK(Published().first_failure(head_only).empty());
}

TEST_CASE("noise, sampling or a number of steps that the plan does not have fails and names the entry", "[verify]") {
  const privacy::Grid grid(privacy::ClipNorm(0.3), 1000);
  const auto planned = [&](double rate, double sigma, std::uint64_t steps) {
    return privacy::planned_event(privacy::Unit::kPatient, privacy::SamplingRate(rate), privacy::NoiseMultiplier(sigma),
                                  grid, steps);
  };
  const std::vector<std::pair<std::vector<privacy::DpEvent>, std::string>> cases = {
      {{planned(0.024, 0.3, 4)}, "noise multiplier 0.3"},
      {{planned(0.048, 0.6, 4)}, "sampling rate 0.048 instead of 0.024"},
      {{planned(0.024, 0.6, 5)}, "5 steps instead of 4"},
      {{}, "no noise ran"},
  };
  for (const auto& [taken, words] : cases) {
    Scenario scenario;
    scenario.change_taken = [&taken = taken](std::vector<privacy::DpEvent>& events) { events = taken; };
    const Published run(scenario);
    const Verdict verdict = run.verdict();
    const std::string text = to_text(verdict, RunId("demo"));
    INFO(text);
    CHECK_FALSE(verdict.ok);
    const auto entry = entry_of(run.read("sites/south/log"), EventType::kCommitted);
    CHECK(has(text,
              "FAIL  sampling and noise south: sites/south/log, entry " + std::to_string(entry) + ": what ran: " + words));
    // A round that did not run as reserved may not be reported either.
    CHECK(has(text, "FAIL  ledger south: sites/south/log, entry "));
  }
}

// What a coordinator that signs anew whatever it wants can do to its own log.
std::string after_own_rewrite(const Published& run, const std::function<bool(std::uint64_t, Event&)>& keep) {
  const Scenario scenario;
  const Bytes changed = rewritten(run.read("coordinator/log"), keep);
  run.write("coordinator/log", changed);
  const auto image = parse_log(changed).image;
  REQUIRE(write_head(run.folder.path(), sign_head(image, kCoordinatorParty, key_of(scenario, kCoordinatorParty))).ok());
  const Verdict verdict = run.verdict();
  CHECK_FALSE(verdict.ok);
  return verdict.first_failed()->name + ": " + verdict.first_failed()->detail;
}

TEST_CASE("a coordinator that rewrites and signs its own log is caught by the heads that sites saw", "[verify]") {
  const Published run;
  const std::string failure = after_own_rewrite(run, [](std::uint64_t, Event& event) {
    if (auto* e = std::get_if<SiteEnrolled>(&event)) e->declared_size += 1;
    return true;
  });
  INFO(failure);
  CHECK(has(failure, "heads seen of coordinator: coordinator/log is not what sites/north/log, entry "));
}

// After the sites' last look at the coordinator's log, only cross-checks between the logs can tell.
std::string after_late_rewrite(const std::function<void(Event&)>& change) {
  const Published run;
  const std::uint64_t last_round = entry_of(run.read("coordinator/log"), EventType::kRoundOpened, 1);
  return after_own_rewrite(run, [&](std::uint64_t i, Event& event) {
    if (i > last_round) change(event);
    return true;
  });
}

TEST_CASE("changed survivors, signatures, sums and adapters are caught between the logs", "[verify]") {
  const std::string without_site = after_late_rewrite([](Event& event) {
    if (auto* e = std::get_if<RoundResult>(&event)) e->survivors.pop_back();
  });
  CHECK(has(without_site, "its survivors are not those that the sites were asked to confirm"));
  const std::string both = after_late_rewrite([](Event& event) {
    if (auto* e = std::get_if<RoundResult>(&event)) e->survivors.pop_back();
    if (auto* s = std::get_if<Survivors>(&event)) s->u3.pop_back();
  });
  CHECK(has(both, "it sums over 2 sites, the plan asks for 3"));
  const std::string report = after_late_rewrite([](Event& event) {
    if (auto* e = std::get_if<ReportReceived>(&event)) e->y = digest_of("another y");
  });
  CHECK(has(report, "survivors: coordinator/log, entry "));
  const std::string signature = after_late_rewrite([](Event& event) {
    if (auto* e = std::get_if<ConfirmReceived>(&event)) e->signature[5] ^= 1;
  });
  CHECK(has(signature, "survivors: coordinator/log, entry "));
  const std::string adapter = after_late_rewrite([](Event& event) {
    if (auto* e = std::get_if<RoundResult>(&event)) e->adapter = digest_of("another adapter");
  });
  CHECK(has(adapter, "the site accepted another result than coordinator/log, entry "));
  const std::string keys = after_late_rewrite([](Event& event) {
    if (auto* e = std::get_if<Survivors>(&event)) e->u1[0].keys = digest_of("another key");
  });
  CHECK(has(keys, "keys of site 'north' in U1 are not those that were received"));
}

TEST_CASE("a descriptor that a site was shown differently fails", "[verify]") {
  Published run;
  const Scenario scenario;
  const Bytes changed = rewritten(run.read("sites/west/log"), [](std::uint64_t, Event& event) {
    if (auto* e = std::get_if<RoundJoined>(&event); e && e->round == RoundId(1)) {
      auto d = *decode_descriptor(e->descriptor);
      d.min_sites = 2;
      e->descriptor = encode(d);
    }
    return true;
  });
  // The site signs this log itself, and the coordinator's record of its heads is taken out.
  run.write("sites/west/log", changed);
  REQUIRE(write_head(run.folder.path(), sign_head(parse_log(changed).image, "west", key_of(scenario, "west"))).ok());
  const std::string failure = after_own_rewrite(run, [](std::uint64_t, Event& event) {
    const auto* e = std::get_if<HeadSeen>(&event);
    return !(e && decode_head(e->head)->party == "west");
  });
  INFO(failure);
  CHECK(has(failure, "heads seen of coordinator"));  // the sites saw the coordinator's log with those heads in it
}

TEST_CASE("a missing log, head or report fails by name, and other entries stay checkable", "[verify]") {
  const auto without = [](const std::string& file) {
    const Published run;
    fs::remove(run.folder.path(file));
    return run.first_failure();
  };
  CHECK(has(without("sites/north/log"), "log north: sites/north/log is missing"));
  CHECK(has(without("coordinator/log"), "log coordinator: coordinator/log is missing"));
  CHECK(has(without("heads/south.json"), "head south: heads/south.json: "));
  CHECK(has(without("report/report.json"), "report/report.json"));
  CHECK(has(without("report/report.html"), "report.html"));
  CHECK(has(without("roster"), "the file roster is not the roster of coordinator/log"));
}

TEST_CASE("a site that delivered no log fails by that alone, and the others are still judged", "[verify]") {
  const Published run;
  fs::remove(run.folder.path("sites/north/log"));
  fs::remove(run.folder.path("heads/north.json"));
  REQUIRE(write_report(*read_run_folder(run.folder.path())).ok());
  const Verdict verdict = run.verdict();
  CHECK_FALSE(verdict.ok);
  std::size_t failed = 0;
  bool south = false;
  for (const auto& c : verdict.checks) {
    failed += c.ok ? 0 : 1;
    south |= c.ok && c.name == "epsilon south";
  }
  CHECK(failed == 1);
  CHECK(south);
}

TEST_CASE("the report of a hostile folder is written inside of it and nowhere else", "[verify]") {
  const Published run;
  const std::string victim = run.folder.path() + ".victim";
  REQUIRE(write_file_atomically(victim, "mine").ok());
  const std::string report = run.folder.path() + "/report";
  std::filesystem::remove_all(report);
  std::filesystem::create_directory(report);
  std::filesystem::create_symlink(victim, report + "/report.json");
  std::filesystem::create_symlink(victim, report + "/report.json.new");
  CHECK(write_report(*read_run_folder(run.folder.path())).ok());
  CHECK(*read_text_file(victim) == "mine");
  CHECK_FALSE(std::filesystem::is_symlink(report + "/report.json"));
  std::filesystem::remove_all(report);
  std::filesystem::create_directory_symlink(std::filesystem::temp_directory_path(), report);
  const auto refused = write_report(*read_run_folder(run.folder.path()));
  REQUIRE_FALSE(refused.ok());
  CHECK(has(refused.error().message, "is a link"));
  std::filesystem::remove(victim);
}

TEST_CASE("an adapter beside the logs must be the one that the last round made", "[verify]") {
  const Published run;
  const auto found = [&] { return check_adapter_file(*read_run_folder(run.folder.path())); };
  CHECK(*found() == "not delivered");
  REQUIRE(make_folder(run.folder.path("adapter")).ok());
  run.write("adapter/adapter.bin", as_bytes("another adapter"));
  REQUIRE_FALSE(found().ok());
  CHECK(has(found().error().message, "it is not the adapter that the sites made"));
  CHECK_FALSE(verify(*read_run_folder(run.folder.path()), std::nullopt).ok);
}

TEST_CASE("run.json that says something else than the logs fails", "[verify]") {
  const Published run;
  run.replace_text("run.json", "\"target_epsilon\": 8", "\"target_epsilon\": 1");
  CHECK(has(run.first_failure(), "run.json is not what coordinator/log says"));
}

TEST_CASE("a folder without anything to judge is one clear error", "[verify]") {
  const TempFolder folder;
  CHECK(has(read_run_folder(folder.path("nothing")).error().message, "no folder"));
  CHECK_FALSE(read_run_folder(folder.path()).ok());
  REQUIRE(write_file_atomically(folder.path("run.json"), std::string_view("{\"run\": \"../x\"}")).ok());
  CHECK(has(read_run_folder(folder.path()).error().message, "does not name a run"));
  REQUIRE(write_file_atomically(folder.path("run.json"), std::string_view("{\"run\": \"x\"}")).ok());
  const auto empty = read_run_folder(folder.path());
  REQUIRE(empty.ok());
  CHECK_FALSE(verify(*empty, std::nullopt).ok);
}

TEST_CASE("a file of expectations is read line by line, and a wrong line is named", "[verify]") {
  const TempFolder folder;
  const auto read = [&](const std::string& text) {
    REQUIRE(write_file_atomically(folder.path("expect"), text).ok());
    return read_expectation(folder.path("expect"));
  };
  const std::string hex(64, 'a');
  const auto good = read("# from the call of May 3\nnorth 0123-4567 89ab\nroster " + hex + "\nhead west 12 " + hex + "\n");
  REQUIRE(good.ok());
  CHECK(good->fingerprints.at("north") == "0123-456789ab");
  CHECK(good->heads.at(0).head.size == 12);
  CHECK(has(read("north\n").error().message, "expect:1: expected NAME FINGERPRINT"));
  CHECK(has(read("\nroster zz\n").error().message, "expect:2: 'zz' is not a SHA-256"));
  CHECK(has(read("head a -1 " + hex).error().message, "not a number of entries"));
  CHECK_FALSE(read("# nothing\n").ok());
}

}  // namespace
}  // namespace sotto::audit
