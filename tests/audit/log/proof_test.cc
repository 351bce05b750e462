#include "audit/log/proof.h"

#include "audit/report/report.h"
#include "audit/verify/views.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::audit {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Log {
  TempFolder folder;
  crypto::SigningKey key = key_of({}, "north");
  EventLog log;

  explicit Log(int entries, const std::string& salt = "salt", int differs_from = 1000)
      : log(std::move(EventLog::open(folder.path("log"))).value()) {
    REQUIRE(log.append(SiteCreated{"north", {}, digest_of(salt)}, at(1)).ok());
    for (int i = 1; i < entries; ++i) {
      const std::string reason = std::to_string(i) + (i >= differs_from ? " otherwise" : "");
      REQUIRE(log.append(RunRefused{RunId("r"), {}, reason}, at(i)).ok());
    }
  }
  SignedHead head_at(std::uint64_t size) const {
    LogImage part;
    for (std::uint64_t i = 0; i < size; ++i) {
      part.records.push_back(log.image().records[static_cast<std::size_t>(i)]);
      part.tree.append(part.records.back().hash);
    }
    return sign_head(part, "north", key);
  }
  const LogImage& image() const { return log.image(); }
};

TEST_CASE("proofs survive their JSON, hold, and fail when anything in them is changed", "[proof]") {
  const Log log(13);
  const auto& image = log.image();
  const Proof inclusion =
      InclusionProof{image.id(), 5, body_of(image.records[5]), image.head(), image.tree.inclusion_proof(5, 13)};
  const Proof consistency =
      ConsistencyProof{image.id(), {6, image.tree.root_at(6)}, image.head(), image.tree.consistency_proof(6, 13)};
  for (const Proof& proof : {inclusion, consistency}) {
    const Json json = to_json(proof);
    const auto back = proof_from_json(*Json::parse(json.dump(), "proof"));
    REQUIRE(back.ok());
    CHECK(check_proof(*back).ok());
    CHECK(check_proof_against(*back, log.head_at(13)).ok());
    CHECK_FALSE(check_proof_against(*back, log.head_at(12)).ok());
    SignedHead forged = log.head_at(13);
    forged.signature[3] ^= 1;
    CHECK_FALSE(check_proof_against(*back, forged).ok());
    const std::string text = json.dump();
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] < '0' || text[i] > '9') continue;
      std::string changed = text;
      changed[i] = changed[i] == '9' ? '8' : static_cast<char>(changed[i] + 1);
      const auto parsed = Json::parse(changed, "proof");
      if (!parsed.ok()) continue;
      const auto read = proof_from_json(*parsed);
      CHECK_FALSE((read.ok() && check_proof_against(*read, log.head_at(13)).ok()));
    }
  }
}

TEST_CASE("two heads that no single log has are a proof against their signer", "[proof]") {
  const Log a(10);
  const Log fork(12, "salt", 6);  // the same first six entries
  const Log other(10, "another salt");
  const SeenHead at8{a.head_at(8), "here"};
  CHECK_FALSE(find_split({at8, {a.head_at(8), "there"}, {a.head_at(10), "later"}}, &a.image()));
  CHECK_FALSE(find_split({at8, {fork.head_at(5), "before they part"}}, &a.image()));
  for (const SignedHead& head : {fork.head_at(8), other.head_at(3)}) {
    const auto found = find_split({at8, {head, "there"}}, nullptr);
    REQUIRE(found);
    CHECK(check_proof(*found).ok());
    CHECK(check_proof(*proof_from_json(to_json(Proof(*found)))).ok());
  }
  // Of different sizes: nothing without the log, a proof with it.
  CHECK_FALSE(find_split({at8, {fork.head_at(12), "there"}}, nullptr));
  const auto found = find_split({at8, {fork.head_at(12), "there"}}, &fork.image());
  REQUIRE(found);
  const auto proven = check_proof(*proof_from_json(to_json(Proof(*found))));
  REQUIRE(proven.ok());
  CHECK(has(*proven, "signed two histories"));
  CHECK(has(*proven, "the first 8 entries are not the same in here and in there"));
  // Nobody can be framed: an unsigned head, and two heads of one log, prove nothing.
  SplitProof framed = *found;
  framed.first.signature[0] ^= 1;
  CHECK_FALSE(check_proof(framed).ok());
  framed = *found;
  framed.first = fork.head_at(8);
  CHECK_FALSE(check_proof(framed).ok());
  framed.root_there = digest_of("another root");
  CHECK_FALSE(check_proof(framed).ok());
}

TEST_CASE("a proof that is not one is refused by its field", "[proof]") {
  const auto error = [](const std::string& text) {
    const auto proof = proof_from_json(*Json::parse(text, "proof"));
    return proof.ok() ? "" : proof.error().message;
  };
  CHECK(has(error("{}"), "format"));
  CHECK(has(error(R"({"format": "sotto/inclusion/9"})"), "not in this version"));
  CHECK(has(error(R"({"format": "sotto/inclusion/1", "log": "zz"})"), "'log'"));
  const std::string hex(64, '0');
  CHECK(has(error(R"({"format": "sotto/consistency/1", "log": ")" + hex + R"(", "from": 3})"), "'from'"));
  CHECK(has(error(R"({"format": "sotto/consistency/1", "log": ")" + hex + R"(", "from": {"size": -1}})"), "negative"));
}

// Two sites of one run, and a coordinator that shows the second of them another history from round 1 on.
struct SplitView {
  TempFolder honest;
  TempFolder other;
  SplitView() {
    write_logs(honest.path(), {});
    Scenario scenario;
    scenario.rounds = 3;  // another plan: from run_submitted on the coordinator's log differs
    write_logs(other.path(), scenario);
  }
};

TEST_CASE("a coordinator that showed two histories is convicted by the folders of two sites, with the proof", "[views]") {
  const SplitView views;
  const auto verdict = compare_views({views.honest.path("sites/north"), views.other.path("sites/south/log")});
  REQUIRE(verdict.ok());
  CHECK_FALSE(verdict->ok);
  const std::string text = to_text(*verdict, std::nullopt);
  INFO(text);
  CHECK(has(text, "FAIL  heads of coordinator: 'coordinator' ("));
  CHECK(has(text, "signed two histories"));
  CHECK(has(text, "FAIL  plans and rosters: the plan and roster of run 'demo' is not the same in "));
  REQUIRE(verdict->proofs.size() == 1);
  CHECK(check_proof(*proof_from_json(verdict->proofs[0])).ok());
  CHECK(to_json(*verdict, std::nullopt).at("proofs").items().size() == 1);
}

TEST_CASE("the folders of honest parties agree", "[views]") {
  const TempFolder run;
  write_logs(run.path(), {});
  for (const auto& paths :
       {std::vector<std::string>{run.path("sites/north"), run.path("sites/south")},
        std::vector<std::string>{run.path("sites/west"), run.path("coordinator"), run.path("sites/south/log")}}) {
    const auto verdict = compare_views(paths);
    REQUIRE(verdict.ok());
    INFO(to_text(*verdict, std::nullopt));
    CHECK(verdict->ok);
    CHECK(verdict->proofs.empty());
  }
  Bytes bytes = *read_binary_file(run.path("sites/north/log"));
  bytes[bytes.size() / 2] ^= 1;
  REQUIRE(write_file_atomically(run.path("sites/north/log"), bytes).ok());
  CHECK_FALSE(compare_views({run.path("sites/north"), run.path("sites/south")})->ok);
  CHECK_FALSE(compare_views({run.path("sites/north"), "/nowhere"}).ok());
}

// A log of `party` in `folder`, then a copy of the folder in which it goes on in another way; heads beside both where asked.
struct Forked {
  TempFolder place;
  std::vector<std::string> paths;
  Forked(const Event& creation, const crypto::SigningKey* key, const std::string& party, bool same_size = true) {
    namespace fs = std::filesystem;
    const auto append = [&](const std::string& folder, const Event& event) {
      auto log = EventLog::open(place.path(folder + "/log")).value();
      REQUIRE(log.append(event, Time{}).ok());
      if (!key) return;
      const std::string head = to_json(sign_head(log.image(), party, *key)).dump(2);
      REQUIRE(write_file_atomically(place.path(folder + "/head.json"), head).ok());
    };
    fs::create_directories(place.path("one"));
    append("one", creation);
    append("one", HeadSeen{});
    fs::copy(place.path("one"), place.path("two"), fs::copy_options::recursive);
    append("one", RunFinished{RunId("one"), {}});
    append("two", RunFinished{RunId("two"), {}});
    if (!same_size) append("two", RunFinished{RunId("three"), {}});
    paths = {place.path("one"), place.path("two")};
  }
};

TEST_CASE("two histories of one log are told apart, whatever kind of log it is, with the proof", "[views]") {
  const auto key = key_of({}, "north");
  const PublicKeyBytes identity = crypto::verify_key(key).value();
  const std::vector<std::pair<Event, std::string>> kinds = {{SiteCreated{"alone", identity, {}}, "alone"},
                                                            {SiteCreated{"north", identity, {}}, "north"},
                                                            {CoordinatorCreated{identity, {}}, "coordinator"},
                                                            {RegistryCreated{identity, {}}, "registry"}};
  for (const auto& [creation, party] : kinds) {
    for (const bool same_size : {true, false}) {
      INFO(party << ", same size: " << same_size);
      const Forked signed_by_one_key(creation, &key, party, same_size);
      const auto verdict = compare_views(signed_by_one_key.paths);
      REQUIRE(verdict.ok());
      CHECK_FALSE(verdict->ok);
      const std::string text = to_text(*verdict, std::nullopt);
      CHECK(has(text, "FAIL  histories: the log of '" + party + "' has two histories: from entry 2 on"));
      CHECK(has(text, "signed two histories"));
      REQUIRE(verdict->proofs.size() == 1);
      const auto proof = proof_from_json(verdict->proofs[0]);
      REQUIRE(proof.ok());
      CHECK(std::holds_alternative<SplitProof>(*proof));
      CHECK(check_proof(*proof).ok());

      const Forked without_heads(creation, nullptr, party, same_size);
      const auto bare = compare_views(without_heads.paths);
      CHECK_FALSE(bare->ok);
      REQUIRE(bare->proofs.size() == 2);  // one entry that is two things
      for (const Json& json : bare->proofs) CHECK(check_proof(*proof_from_json(json)).ok());
    }
  }
  const Forked book(BookCreated{}, nullptr, "book");
  CHECK(has(to_text(*compare_views(book.paths), std::nullopt), "the log of 'book of patients' has two histories"));
}

TEST_CASE("a copy that stopped earlier is no second history, and two logs that one key began are", "[views]") {
  const auto key = key_of({}, "north");
  const PublicKeyBytes identity = crypto::verify_key(key).value();
  const TempFolder place;
  for (const std::string folder : {"one", "begun-anew"}) {
    std::filesystem::create_directories(place.path(folder));
    auto log = EventLog::open(place.path(folder + "/log")).value();
    REQUIRE(log.append(SiteCreated{"north", identity, digest_of(folder)}, Time{}).ok());
  }
  std::filesystem::copy(place.path("one"), place.path("older"), std::filesystem::copy_options::recursive);
  {
    auto log = EventLog::open(place.path("one/log")).value();
    REQUIRE(log.append(RunFinished{RunId("one"), {}}, Time{}).ok());
  }
  CHECK(compare_views({place.path("one"), place.path("older")})->ok);
  CHECK(has(to_text(*compare_views({place.path("one"), place.path("begun-anew")}), std::nullopt), "one key began both"));
}

}  // namespace
}  // namespace sotto::audit
