// The registry: its log is the truth, replayed and signed; promotions, ways back, the tree, the card.
#include "audit/log/signed_head.h"
#include "base/files.h"
#include "lineage/card.h"
#include "lineage/model_registry.h"
#include "lineage/tree.h"
#include "tests/lineage/lineage_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::lineage {
namespace {

audit::Time at(std::int64_t second) { return audit::Time(std::chrono::seconds(2'000'000'000 + second)); }

struct Place {
  TemporaryFolder folder;
  FixedRandom random{1};
  crypto::SigningKey key = crypto::SigningKey::random(random);
  std::string path = folder.file("registry");

  ModelRegistry open() {
    auto registry = ModelRegistry::open(path, key, random);
    REQUIRE(registry.ok());
    return std::move(*registry);
  }
  std::vector<Finding> findings(const Made& model) {
    return judge(some_gate(folder), model.passport, std::nullopt, good_evidence(folder, model));
  }
};

TEST_CASE("what a registry knows is what its signed log says", "[registry]") {
  Place place;
  const auto first = made(1), second = made(2, "second", first.passport.model);
  {
    auto registry = place.open();
    const auto orphan = registry.add(second.passport, "", at(0));
    REQUIRE_FALSE(orphan.ok());
    CHECK(orphan.error().message.find("register that one first") != std::string::npos);
    REQUIRE(registry.add(first.passport, "", at(1)).ok());
    CHECK_FALSE(registry.add(first.passport, "", at(1)).ok());
    CHECK_FALSE(registry.add(second.passport, "another-domain", at(2)).ok());
    REQUIRE(registry.add(second.passport, "", at(2)).ok());
    REQUIRE(registry.promote(*registry.find(first.passport.model), "Anna", place.findings(first), at(3)).ok());
  }
  auto registry = place.open();
  CHECK(registry.models().size() == 2);
  CHECK(registry.in_use("coding") == first.passport.model);
  CHECK(registry.promoted_at(first.passport.model) == at(3));
  CHECK(registry.find(first.passport.id().substr(0, 8)).value()->passport.model == first.passport.model);
  CHECK_FALSE(registry.find("abc").ok());
  CHECK_FALSE(registry.find("ffffffff").ok());
  const auto head = audit::head_from_json(Json::read_file(place.path + "/head.json").value());
  REQUIRE(head.ok());
  CHECK(audit::signature_holds(*head));
  const auto log = audit::read_log(place.path + "/log");
  REQUIRE(log.ok());
  CHECK(head->size == log->records.size());
  CHECK(audit::check_prefix(*head, *log).ok());
}

TEST_CASE("another key does not open a registry, and a log that contradicts itself is refused by entry", "[registry]") {
  Place place;
  {
    auto registry = place.open();
  }
  const auto other = crypto::SigningKey::random(place.random);
  CHECK_FALSE(ModelRegistry::open(place.path, other, place.random).ok());
  {
    auto log = audit::EventLog::open(place.path + "/log");
    REQUIRE(log.ok());
    REQUIRE(log->append(audit::ModelPromoted{made(1).passport.model, "coding", "Eve", "[]"}, at(5)).ok());
  }
  const auto opened = ModelRegistry::open(place.path, place.key, place.random);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().message.find("log, entry 1") != std::string::npos);
}

TEST_CASE("a promotion that the gate does not let through names every check and changes nothing", "[registry]") {
  Place place;
  auto registry = place.open();
  const auto model = made(1);
  REQUIRE(registry.add(model.passport, "", at(1)).ok());
  auto evidence = good_evidence(place.folder, model);
  evidence.review.clear();
  write(evidence.safety, evaluation("safety-task", model.passport, "safety", 0.1));
  const auto done = registry.promote(*registry.find(model.passport.model), "Anna",
                                     judge(some_gate(place.folder), model.passport, std::nullopt, evidence), at(2));
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().message.find("safety: failed") != std::string::npos);
  CHECK(done.error().message.find("review: missing") != std::string::npos);
  CHECK(done.error().message.find("quality") == std::string::npos);
  CHECK_FALSE(registry.in_use("coding"));
  CHECK_FALSE(registry.promote(*registry.find(model.passport.model), "", place.findings(model), at(2))
                  .ok());  // nobody answers for it
}

TEST_CASE("a domain goes back to what it used before, and to nothing that was never promoted", "[registry]") {
  Place place;
  auto registry = place.open();
  const auto a = made(1), b = made(2, "second", a.passport.model), c = made(3, "third", a.passport.model);
  for (const auto* m : {&a, &b, &c}) REQUIRE(registry.add(m->passport, "", at(1)).ok());
  CHECK_FALSE(registry.roll_back("coding", std::nullopt, "Anna", "none yet", at(1)).ok());
  for (const auto* m : {&a, &b})
    REQUIRE(registry.promote(*registry.find(m->passport.model), "Anna", place.findings(*m), at(2)).ok());
  CHECK_FALSE(registry.promote(*registry.find(b.passport.model), "Anna", place.findings(b), at(2)).ok());  // in use already
  CHECK_FALSE(registry.roll_back("coding", c.passport.model, "Anna", "because", at(3)).ok());
  CHECK_FALSE(registry.roll_back("coding", std::nullopt, "Anna", "", at(3)).ok());
  REQUIRE(registry.roll_back("coding", std::nullopt, "Anna", "wrong chapters", at(3)).value() == a.passport.model);
  CHECK_FALSE(registry.roll_back("coding", std::nullopt, "Anna", "further", at(4)).ok());  // nothing before the first
  REQUIRE(registry.roll_back("coding", b.passport.model, "Ben", "it was right after all", at(5)).ok());
  CHECK(registry.in_use("coding") == b.passport.model);
}

TEST_CASE("the tree and its picture show who came from whom and what is in use", "[registry]") {
  Place place;
  auto registry = place.open();
  CHECK(lineage_text(registry).find("no models") != std::string::npos);
  const auto a = made(1, "a"), b = made(2, "b", a.passport.model), c = made(3, "c", b.passport.model),
             d = made(4, "d", a.passport.model);
  for (const auto* m : {&a, &b, &c, &d}) REQUIRE(registry.add(m->passport, "", at(1)).ok());
  REQUIRE(registry.promote(*registry.find(b.passport.model), "Anna", place.findings(b), at(2)).ok());
  const auto text = lineage_text(registry);
  CHECK(text.find("`-- " + a.passport.short_id()) != std::string::npos);
  CHECK(text.find("    |-- " + b.passport.short_id()) != std::string::npos);
  CHECK(text.find("    |   `-- " + c.passport.short_id()) != std::string::npos);
  CHECK(text.find("    `-- " + d.passport.short_id()) != std::string::npos);
  CHECK(text.find("in use") != std::string::npos);
  const auto json = lineage_json(registry);
  CHECK(json.at(0).at("models").at(0).at("children").items().size() == 2);
  const auto svg = lineage_svg(registry);
  std::size_t boxes = 0;
  for (std::size_t i = svg.find("<rect"); i != svg.npos; i = svg.find("<rect", i + 1)) ++boxes;
  CHECK(boxes == 5);  // the base and four models
  CHECK(svg.ends_with("</svg>\n"));
}

TEST_CASE("a card tells privacy, evidence, waived checks and origin, and nobody's text becomes markup", "[registry]") {
  Place place;
  auto registry = place.open();
  const auto a = made(1, "a"), b = made(2, "b", a.passport.model);
  for (const auto* m : {&a, &b}) REQUIRE(registry.add(m->passport, "", at(1)).ok());
  const Model& model = *registry.find(b.passport.model);
  CHECK(model_card(registry, model).find("Not promoted.") != std::string::npos);
  const auto gate = some_gate(place.folder, "[waived]\nreview = \"No experts yet <script> | x\"\n");
  REQUIRE(
      registry
          .promote(model, "Anna *the* Great", judge(gate, b.passport, std::nullopt, good_evidence(place.folder, b)), at(2))
          .ok());
  const auto card = model_card(registry, model);
  CHECK(card.find("in use.") != std::string::npos);
  CHECK(card.find("epsilon **" + b.passport.json.at("privacy").at("epsilon").dump() + "**") != std::string::npos);
  CHECK(card.find("trained on from: `" + a.passport.id()) != std::string::npos);
  CHECK(card.find("| review | **waived** |") != std::string::npos);
  CHECK(card.find("<script>") == std::string::npos);
  CHECK(card.find("Anna \\*the\\* Great") != std::string::npos);
  CHECK(card.find("code\\_exact") != std::string::npos);
  const auto* promotion = promotion_of(registry, model);
  REQUIRE(promotion != nullptr);
  const Json passport = passport_after(model, *promotion);
  CHECK(passport.at("approvals").at(0).at("by").as_string() == "Anna *the* Great");
  CHECK(passport.at("evaluations").items().size() == 4);
  CHECK(parse_passport(passport.dump(), "after").ok());
  REQUIRE(registry.add(made(9, "open", std::nullopt, false).passport, "", at(3)).ok());
  CHECK(model_card(registry, registry.models().back()).find("**None.**") != std::string::npos);
}

}  // namespace
}  // namespace sotto::lineage
