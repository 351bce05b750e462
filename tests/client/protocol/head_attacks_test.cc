// A coordinator that has two pasts: rewritten between rounds, or one for each of two sites.
#include "audit/log/signed_head.h"
#include "crypto/hash.h"
#include "tests/client/protocol/attack.h"

namespace sotto {
namespace {

const SiteIndex kOther(1);

// The log as it would be had another site enrolled first: every later root differs.
std::vector<audit::Event> rewritten(std::vector<audit::Event> log, std::size_t entry) {
  log.at(entry) = audit::SiteEnrolled{"forged", {}, {}, 1};
  return log;
}

audit::SignedHead seen(const Bytes& head) { return audit::decode_head(head).value(); }

bool logged(const Simulator& world, SiteIndex site, const Bytes& head) {
  return std::ranges::any_of(world.log_of(site), [&](const audit::Event& event) {
    const auto* e = std::get_if<audit::HeadSeen>(&event);
    return e != nullptr && e->head == head;
  });
}

template <class M>
std::vector<M> sent_by(const Simulator& world, SiteIndex site) {
  std::vector<M> out;
  for (const auto& [from, message] : world.frames)
    if (const auto* m = std::get_if<M>(&message); m != nullptr && from == site) out.push_back(*m);
  return out;
}

}  // namespace

TEST_CASE("each new head is proven to continue the last one that the site saw before it answers", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  std::vector<std::uint64_t> shown;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site != kTarget) return true;
    if (const auto* open = std::get_if<wire::RoundOpen>(&m)) shown.push_back(seen(open->head).size);
    if (const auto* proof = std::get_if<wire::HeadProof>(&m)) {
      CHECK(sent_by<wire::Keys>(world, kTarget).size() == world.outcomes.size() - 1);  // none yet in this round
      CHECK(!proof->path.empty());
    }
    return true;
  };
  for (int round = 0; round < 3; ++round) world.run_round();
  for (std::size_t round = 0; round < 3; ++round) CHECK(!world.outcomes[round].is_void);
  const auto asked = sent_by<wire::FetchHeadProof>(world, kTarget);
  REQUIRE(asked.size() == 2);  // the first head continues nothing
  CHECK(asked[0].from == shown[0]);
  CHECK(asked[1].from == shown[1]);
}

TEST_CASE("a site that was away has the newest head proven from the one that it saw last", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1, .min_sites = 3});
  world.run_round();
  world.kill(kTarget);
  world.run_round();
  world.restart(kTarget);
  world.run_round();
  require_exact(world, 4);
  const auto own = sent_by<wire::FetchHeadProof>(world, kTarget);
  const auto others = sent_by<wire::FetchHeadProof>(world, kOther);
  REQUIRE(own.size() == 1);
  REQUIRE(others.size() == 2);
  CHECK(own[0].from == others[0].from);  // the head of round 0
}

TEST_CASE("a coordinator whose log was rewritten between rounds is stopped by every site, with both heads", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.run_round();
  world.run_round();
  world.rewrite_coordinator_log(rewritten(world.coordinator_log(), 1));
  world.run_round();
  CHECK(world.outcomes.back().is_void);
  for (std::uint32_t i = 0; i < 4; ++i) {
    const SiteIndex site(i);
    REQUIRE(world.halts(site).size() == 1);
    const auto proof = world.halts(site)[0];
    CHECK(proof.code == "split_view");
    CHECK(seen(proof.first).size < seen(proof.second).size);
    CHECK(audit::signature_holds(seen(proof.first)));
    CHECK(audit::signature_holds(seen(proof.second)));
    CHECK(logged(world, site, proof.first));  // for `sotto-audit verify`, which has the coordinator's log
    CHECK(logged(world, site, proof.second));
    CHECK(sent_by<wire::Keys>(world, site).size() == 2);  // of the rounds before
    CHECK(world.update_of(site, RoundId(2)).empty());
  }
}

TEST_CASE("two histories that both continue the last head are found out by what the sites share", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  world.run_round();
  // Only an entry after the last head that sites saw is forged, so the target gets a proof that holds.
  std::vector<audit::Event> fork;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site != kTarget) return true;
    if (auto* open = std::get_if<wire::RoundOpen>(&m)) {
      const std::size_t size = seen(open->head).size;
      fork = world.coordinator_log();
      fork.resize(size);
      fork = rewritten(std::move(fork), size - 1);
      auto d = descriptor_of(*open);
      open->head = world.head_of_coordinator(fork);
      d.coordinator_head = crypto::sha256(open->head);
      replace_descriptor(world, *open, d);
    }
    if (auto* proof = std::get_if<wire::HeadProof>(&m))
      proof->path = Simulator::tree_of(fork).consistency_proof(proof->from, fork.size());
    return true;
  };
  world.run_round();
  CHECK(world.outcomes.back().is_void);
  for (std::uint32_t i = 0; i < 5; ++i) {
    INFO("site " << i << ": " << reasons(world, SiteIndex(i)));
    REQUIRE(world.halts(SiteIndex(i)).size() == 1);
    const auto proof = world.halts(SiteIndex(i))[0];
    CHECK(proof.code == "split_view");
    CHECK(seen(proof.first).size == seen(proof.second).size);
    CHECK(world.update_of(SiteIndex(i), RoundId(1)).empty());
  }
}

TEST_CASE("without a proof that holds no site answers", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4);
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  world.run_round();
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    auto* proof = std::get_if<wire::HeadProof>(&m);
    if (site != kTarget || proof == nullptr) return true;
    if (kind == 1) proof->path.pop_back();
    if (kind == 2) proof->path[0][5] ^= 1;
    if (kind == 3) proof->path.push_back(proof->path[0]);
    if (kind == 4) proof->header.attempt = AttemptId(2);  // an answer to another question
    return kind != 0;
  };
  world.run_round();
  require_exact(world, 4);
  CHECK(sent_by<wire::Keys>(world, kTarget).size() == 1);
  CHECK(world.halts(kTarget).size() == (kind >= 1 && kind <= 3 ? 1 : 0));
}

TEST_CASE("two descriptors of one attempt are a proof even before the head is proven", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  world.run_round();
  bool mounted = false;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    auto* open = std::get_if<wire::RoundOpen>(&m);
    if (site != kTarget || open == nullptr || mounted) return true;
    mounted = true;
    const auto asked = world.feed(kTarget, client::FromCoordinator{*open});
    CHECK(std::holds_alternative<wire::FetchHeadProof>(asked.at(0)));
    auto d = descriptor_of(*open);
    open->head = world.head_of_coordinator(seen(open->head).size + 1, 7);
    d.coordinator_head = crypto::sha256(open->head);
    replace_descriptor(world, *open, d);
    return true;
  };
  world.run_round();
  REQUIRE(world.halts(kTarget).size() == 1);
  CHECK(world.halts(kTarget)[0].code == "two_descriptors");
  CHECK(sent_by<wire::Keys>(world, kTarget).size() == 1);
  require_exact(world, 4);
}

TEST_CASE("a head of an earlier run binds the coordinator in the next one", "[attack]") {
  const int kind = GENERATE(0, 1, 2);
  Simulator world({.sites = 4, .colluders = 1});
  auto config = world.config_of(kTarget);
  const auto log = world.coordinator_log();
  if (kind == 0) config.coordinator_head = world.head_of_coordinator(log);
  if (kind == 1) config.coordinator_head = world.head_of_coordinator(rewritten(log, 0));
  if (kind == 2) config.coordinator_head = world.head_of_coordinator(500, 3);
  FixedRandom random(4);
  auto site = client::Participant::create(config, world.identity(kTarget), random).value();
  std::optional<wire::RoundOpen> open;
  world.to_site = [&](SiteIndex to, wire::ToSite& m) {
    if (to == kTarget && std::holds_alternative<wire::RoundOpen>(m)) open = std::get<wire::RoundOpen>(m);
    return true;
  };
  world.run_round();
  const auto actions = site.on(client::FromCoordinator{*open});
  const bool halted = std::ranges::any_of(actions, [](const auto& a) { return std::holds_alternative<client::Halt>(a); });
  const bool declined = std::ranges::any_of(actions, [](const auto& a) {
    const auto* send = std::get_if<client::Send>(&a);
    const auto* m = send == nullptr ? nullptr : std::get_if<wire::Declined>(&send->message);
    return m != nullptr && m->code == "head_went_back";
  });
  CHECK(halted == (kind == 1));
  CHECK(declined == (kind == 2));
}

}  // namespace sotto
