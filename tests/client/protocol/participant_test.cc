// A participant by itself: who may create it, what its snapshot holds, and the sealed shares.
#include <algorithm>

#include "client/protocol/sealed_share.h"
#include "crypto/hash.h"
#include "tests/coordinator/round/simulator.h"
#include "tests/support/catch.h"

namespace sotto {
namespace {

std::string refusal_of(const Simulator& world, client::ParticipantConfig config, SiteIndex identity) {
  FixedRandom random(1);
  const auto made = client::Participant::create(std::move(config), world.identity(identity), random);
  return made.ok() ? "" : made.error().message;
}

}  // namespace

TEST_CASE("a participant is made only from a plan and roster that fit each other, the site and its limits",
          "[participant]") {
  const Simulator world({.sites = 4, .colluders = 1});
  const SiteIndex self(2);
  CHECK(refusal_of(world, world.config_of(self), self).empty());

  auto config = world.config_of(self);
  config.limits.min_sites = 4;
  CHECK(refusal_of(world, config, self).find("min_sites = 3 is below this site's own limit, 4") != std::string::npos);
  config = world.config_of(self);
  config.limits.min_colluders = 2;
  CHECK(refusal_of(world, config, self).find("colluders = 1 is below this site's own limit, 2") != std::string::npos);
  CHECK(refusal_of(world, world.config_of(self), SiteIndex(1)).find("another identity key for site 'site-2'") !=
        std::string::npos);
  config = world.config_of(self);
  config.self = SiteIndex(4);
  CHECK(!refusal_of(world, config, self).empty());
  config = world.config_of(self);
  config.roster.sites.pop_back();
  CHECK(!refusal_of(world, config, self).empty());
  config = world.config_of(self);
  config.plan.min_sites = 2;  // below t
  CHECK(!refusal_of(world, config, self).empty());
}

TEST_CASE("a snapshot is refused when it is damaged, cut, or of another run or site", "[participant]") {
  Simulator world({.sites = 4, .colluders = 1});
  std::vector<Bytes> snapshots;
  world.before_action = [&](SiteIndex site, const client::Action& a) {
    if (const auto* persist = std::get_if<client::Persist>(&a); persist != nullptr && site == SiteIndex(0))
      snapshots.emplace_back(persist->snapshot.reveal().begin(), persist->snapshot.reveal().end());
    return true;
  };
  world.run_round();
  REQUIRE(snapshots.size() >= 6);
  FixedRandom random(1);
  const auto restore = [&](const Bytes& bytes, SiteIndex as) {
    return client::Participant::restore(world.config_of(as), world.identity(as), random, bytes);
  };
  for (const auto& good : snapshots) {
    const auto restored = restore(good, SiteIndex(0));
    REQUIRE(restored.ok());
    const auto again = restored.value().snapshot();
    CHECK(std::ranges::equal(again.reveal(), good));  // nothing is lost or added on the way
    CHECK(!restore(good, SiteIndex(1)).ok());
    for (std::size_t at = 0; at < good.size(); at += 97) {
      Bytes bad = good;
      bad[at] ^= 0x40;
      CHECK(!restore(bad, SiteIndex(0)).ok());
      CHECK(!restore(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(at)), SiteIndex(0)).ok());
    }
  }
}

TEST_CASE("once a result is accepted, nothing of the round's secrets or update is left in the snapshot", "[participant]") {
  Simulator world({.sites = 4, .colluders = 1});
  Bytes with_update;
  world.before_action = [&](SiteIndex site, const client::Action& a) {
    if (const auto* send = std::get_if<client::Send>(&a);
        site == SiteIndex(0) && send != nullptr && std::holds_alternative<wire::Report>(send->message))
      with_update = world.snapshot_of(site);
    return true;
  };
  world.run_round();
  const auto x = world.update_of(SiteIndex(0), RoundId(0));
  ByteWriter clear;
  for (const auto v : x) clear.u32(v);
  CHECK(!std::ranges::search(with_update, clear.view()).empty());
  const Bytes after = world.snapshot_of(SiteIndex(0));
  CHECK(std::ranges::search(after, ByteSpan(clear.view()).first(16)).empty());
  CHECK(after.size() < with_update.size());
}

TEST_CASE("a sealed share opens for its receiver in its attempt and direction, and nowhere else", "[participant]") {
  FixedRandom random(9);
  const auto mine = crypto::SealKey::random(random);
  const auto theirs = crypto::SealKey::random(random);
  const client::SealingContext good{{RunId("run-1"), RoundId(3), AttemptId(2)},
                                    {7},
                                    SiteIndex(0),
                                    SiteIndex(1),
                                    crypto::public_key(mine),
                                    crypto::public_key(theirs)};
  const client::SharePlaintext plaintext{
      crypto::ShareValue::random(random), crypto::ShareValue::random(random), {1, 2}, {3}};
  const Bytes sealed = client::seal_share(good, mine, plaintext, random).value();
  const auto opened = client::open_share(good, theirs, sealed);
  REQUIRE(opened.ok());
  CHECK(opened->seed_share == plaintext.seed_share);
  CHECK(opened->key_share == plaintext.key_share);
  CHECK(opened->own_head == plaintext.own_head);
  CHECK(opened->coordinator_head == plaintext.coordinator_head);

  std::vector<client::SealingContext> others(6, good);
  others[0].header.round = RoundId(4);
  others[1].header.attempt = AttemptId(1);
  others[2].roster[0] ^= 1;
  others[3].from = SiteIndex(2);
  others[4].to = SiteIndex(2);
  others[5].header.run = RunId("run-2");
  for (const auto& other : others) CHECK(!client::open_share(other, theirs, sealed).ok());
  CHECK(!client::open_share(good, crypto::SealKey::random(random), sealed).ok());
  for (std::size_t at = 0; at < sealed.size(); at += 7) {
    Bytes flipped = sealed;
    flipped[at] ^= 1;
    CHECK(!client::open_share(good, theirs, flipped).ok());
  }
}

TEST_CASE("a snapshot that is older than the site's log is refused, and so is none at all", "[participant]") {
  Simulator world({.sites = 4, .colluders = 1});
  const SiteIndex site(0);
  std::vector<Bytes> snapshots{world.snapshot_of(site)};
  std::vector<std::size_t> logged_after{world.log_of(site).size()};
  world.before_action = [&](SiteIndex who, const client::Action& a) {
    if (who != site) return true;
    if (std::holds_alternative<client::Send>(a)) logged_after.back() = world.log_of(site).size();
    if (const auto* persist = std::get_if<client::Persist>(&a)) {
      snapshots.emplace_back(persist->snapshot.reveal().begin(), persist->snapshot.reveal().end());
      logged_after.push_back(world.log_of(site).size());
    }
    return true;
  };
  world.run_round();
  world.run_round();
  FixedRandom random(1);
  const auto fits = [&](const Bytes& snapshot, std::size_t entries) {
    const auto restored =
        client::Participant::restore(world.config_of(site), world.identity(site), random, snapshot).value();
    for (std::size_t i = 0; i < entries; ++i)
      if (!restored.fits(world.log_of(site)[i]).ok()) return false;
    return true;
  };
  REQUIRE(snapshots.size() > 10);
  for (std::size_t i = 0; i < snapshots.size(); ++i) {
    INFO("snapshot " << i);
    CHECK(fits(snapshots[i], logged_after[i]));
    if (i > 0) CHECK(fits(snapshots[i], logged_after[i - 1]));  // a crash between the two
    // Every later send is known to the log: an older snapshot does not fit. (U1 is persisted without a message of its own.)
    if (i + 2 < snapshots.size()) CHECK(!fits(snapshots[i], world.log_of(site).size()));
  }
  const auto fresh = client::Participant::create(world.config_of(site), world.identity(site), random).value();
  CHECK(std::ranges::any_of(world.log_of(site), [&](const auto& event) { return !fresh.fits(event).ok(); }));
}

}  // namespace sotto
