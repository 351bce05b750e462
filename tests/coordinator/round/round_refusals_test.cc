// What the coordinator's side of a round refuses, and how it names who is to blame.
#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/statements.h"
#include "crypto/hash.h"
#include "tests/coordinator/round/simulator.h"
#include "tests/support/catch.h"
#include "wire/codec.h"

namespace sotto {
namespace {

const SiteIndex kRogue(1);

// Signs as the site does; `body` must be that of the changed message.
SignatureBytes sign(const Simulator& world, SiteIndex site, const wire::RoundHeader& h, const char* label, ByteSpan body) {
  return crypto::sign_statement(world.identity(site), {label, world.roster().sites[site.value()].name, h.run, h.round,
                                                       h.attempt, audit::roster_hash(world.roster()), crypto::sha256(body)});
}

std::vector<Digest> hashes_of(const wire::Shares& m) {
  std::vector<Digest> out;
  for (const auto& s : m.sealed) out.push_back(crypto::sha256(s.sealed));
  return out;
}

// Changes a message in a way that its signature no longer covers.
void spoil(wire::ToCoordinator& message) {
  if (auto* m = std::get_if<wire::Keys>(&message)) m->seed_commitment[0] ^= 1;
  if (auto* m = std::get_if<wire::Shares>(&message)) m->sealed[0].sealed[20] ^= 1;
  if (auto* m = std::get_if<wire::Report>(&message)) m->masked[0] ^= 1;
  if (auto* m = std::get_if<wire::Confirm>(&message)) m->signature[0] ^= 1;
  if (auto* m = std::get_if<wire::Unmask>(&message)) m->shares[0].share[0] ^= 1;
}

void sign_again(const Simulator& world, SiteIndex site, wire::ToCoordinator& message) {
  if (auto* m = std::get_if<wire::Keys>(&message)) m->signature = sign(world, site, m->header, "keys", wire::body(*m));
  if (auto* m = std::get_if<wire::Shares>(&message))
    m->signature = sign(world, site, m->header, "shares", wire::body(*m, hashes_of(*m)));
  if (auto* m = std::get_if<wire::Report>(&message))
    m->signature = sign(world, site, m->header, "report", wire::report_body(m->context, m->u1, crypto::sha256(m->masked)));
  if (auto* m = std::get_if<wire::Confirm>(&message)) m->signature = sign(world, site, m->header, "confirm", wire::body(*m));
  if (auto* m = std::get_if<wire::Unmask>(&message)) m->signature = sign(world, site, m->header, "unmask", wire::body(*m));
}

bool dropped(const Simulator& world, SiteIndex site, const std::string& code) {
  return std::ranges::any_of(world.drops, [&](const auto& d) { return d.site == site && d.code == code; });
}

// keys, shares, report, confirm, unmask: their place in the variant.
std::size_t index_of(const std::string& name) {
  const std::vector<std::string> names{"keys", "shares", "report", "confirm", "unmask"};
  return static_cast<std::size_t>(std::ranges::find(names, name) - names.begin()) +
         wire::ToCoordinator(wire::Keys{}).index();
}

}  // namespace

TEST_CASE("a message whose signature does not cover it is not taken, and the round goes on", "[round]") {
  const std::string which = GENERATE("keys", "shares", "report", "confirm", "unmask");
  Simulator world({.sites = 4, .colluders = 1});
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (site == kRogue && m.index() == index_of(which)) spoil(m);
    return true;
  };
  world.run_round();
  CHECK(dropped(world, kRogue, "bad_signature"));
  REQUIRE(!world.outcomes.at(0).is_void);
  CHECK(world.outcomes.at(0).sum == world.expected_sum(world.outcomes.at(0).survivors, RoundId(0)));
}

TEST_CASE("a second, different message under a valid signature is kept as a proof and excludes its sender", "[round]") {
  const std::string which = GENERATE("keys", "shares", "report", "confirm");
  Simulator world({.sites = 4, .colluders = 1});
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (site != kRogue || m.index() != index_of(which)) return true;
    world.give_to_coordinator(site, m);
    if (auto* confirm = std::get_if<wire::Confirm>(&m)) {
      confirm->u3[0] ^= 1;
    } else {
      spoil(m);
    }
    sign_again(world, site, m);
    return true;
  };
  world.run_round();
  REQUIRE(world.round_proofs.size() == 1);
  CHECK(world.round_proofs[0].against == kRogue);
  CHECK(world.round_proofs[0].first != world.round_proofs[0].second);
  CHECK(dropped(world, kRogue, "equivocation"));
  REQUIRE(!world.outcomes.at(0).is_void);
  CHECK(world.outcomes.at(0).sum == world.expected_sum(world.outcomes.at(0).survivors, RoundId(0)));
  const bool before_u1 = which == "keys" || which == "shares";
  CHECK(world.outcomes.at(0).u1.size() == (before_u1 ? 3u : 4u));
}

TEST_CASE("the same message twice is taken once", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    world.give_to_coordinator(site, m);
    return true;
  };
  world.run_round();
  CHECK(world.round_proofs.empty());
  CHECK(world.outcomes.at(0).survivors.size() == 4);
  CHECK(world.outcomes.at(0).sum == world.expected_sum(world.outcomes.at(0).survivors, RoundId(0)));
}

TEST_CASE("a bit-flipped share names the site that revealed it, and the other t shares open the attempt", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  const bool with_drop_out = GENERATE(false, true);
  if (with_drop_out) world = Simulator({.sites = 5, .colluders = 0});
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (with_drop_out && site == SiteIndex(4) && std::holds_alternative<wire::Report>(m)) return false;
    if (site == SiteIndex(0) && std::holds_alternative<wire::Unmask>(m)) {
      std::get<wire::Unmask>(m).shares.back().share[5] ^= 0x10;
      sign_again(world, site, m);
    }
    return true;
  };
  world.run_round();
  REQUIRE(world.round_proofs.size() == 1);
  CHECK(world.round_proofs[0].against == SiteIndex(0));
  CHECK(world.round_proofs[0].code == "bad_share");
  CHECK(world.round_proofs[0].reason.find("'site-0' revealed a share of the " +
                                          std::string(with_drop_out ? "mask key" : "self-mask seed")) != std::string::npos);
  REQUIRE(!world.outcomes.at(0).is_void);
  CHECK(world.outcomes.at(0).sum == world.expected_sum(world.outcomes.at(0).survivors, RoundId(0)));
}

TEST_CASE("t - 1 answers to UNMASK open nothing, and the sites that answered open no other attempt", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});  // t = 3
  world.to_coordinator = [](SiteIndex site, const wire::ToCoordinator& m) {
    return !(std::holds_alternative<wire::Unmask>(m) && site.value() >= 2);
  };
  world.run_round();
  CHECK(world.outcomes.at(0).is_void);
  CHECK(world.outcomes.at(0).sum.empty());
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(world.has_declined(SiteIndex(i), "already_opened"));
}

TEST_CASE("a flipped bit of a masked vector, signed by its sender, changes the sum by that bit", "[round]") {
  Simulator world({.sites = 3, .colluders = 1, .bits = 24});
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (site == kRogue && std::holds_alternative<wire::Report>(m)) {
      std::get<wire::Report>(m).masked[4] ^= 1;  // coordinate 1, bit 8
      sign_again(world, site, m);
    }
    return true;
  };
  world.run_round();
  // The site itself sees in CONFIRM that this is not its report; t = 3 sites are needed.
  CHECK(world.outcomes.at(0).is_void);
  CHECK(world.has_declined(kRogue, "bad_survivors"));

  Simulator larger({.sites = 4, .colluders = 1, .bits = 24});
  larger.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (site == kRogue && std::holds_alternative<wire::Report>(m)) {
      std::get<wire::Report>(m).masked[4] ^= 1;
      sign_again(larger, site, m);
    }
    return true;
  };
  larger.run_round();
  REQUIRE(!larger.outcomes.at(0).is_void);
  const auto expected = larger.expected_sum(larger.outcomes.at(0).survivors, RoundId(0));
  const auto& sum = larger.outcomes.at(0).sum;
  const std::uint32_t difference = (sum[1] - expected[1]) & 0xffffff;
  CHECK((difference == 0x100 || difference == 0xffff00));
  for (std::size_t k = 0; k < sum.size(); ++k) CHECK((k == 1 || sum[k] == expected[k]));
}

TEST_CASE("no sum of the masked vectors that the coordinator received is a sum of updates", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.run_round();
  std::vector<std::vector<std::uint32_t>> y(4);
  const auto size = world.layout().trained_size(world.plan().trained);
  for (const auto& [site, m] : world.frames)
    if (const auto* report = std::get_if<wire::Report>(&m))
      y[site.value()] = aggregation::unpack_bits(report->masked, size, 24).value();
  for (unsigned subset = 1; subset < 16; ++subset) {
    std::vector<SiteIndex> sites;
    std::vector<std::uint32_t> masked(size);
    for (unsigned i = 0; i < 4; ++i) {
      if ((subset >> i & 1) == 0) continue;
      sites.push_back(SiteIndex(i));
      for (std::size_t k = 0; k < size; ++k) masked[k] = (masked[k] + y[i][k]) & 0xffffff;
    }
    const auto clear = world.expected_sum(sites, RoundId(0));
    std::size_t equal = 0;
    for (std::size_t k = 0; k < size; ++k) equal += masked[k] == clear[k];
    CHECK(equal <= 1);  // 35 coordinates of 24 bits: two equal ones by chance have probability below 2^-38
  }
  // Nor does an update stand in any frame as it is.
  for (std::uint32_t i = 0; i < 4; ++i) {
    const auto packed = aggregation::pack_bits(world.update_of(SiteIndex(i), RoundId(0)), 24);
    const ByteSpan needle = ByteSpan(packed).first(12);
    for (const auto& frame : world.frame_bytes) CHECK(std::ranges::search(frame, needle).empty());
  }
}

TEST_CASE("messages from nowhere, for another round, or of another kind are dropped with their reason", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  bool once = false;
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (once || !std::holds_alternative<wire::Keys>(m)) return true;
    once = true;
    auto keys = std::get<wire::Keys>(m);
    world.give_to_coordinator(SiteIndex(77), keys);
    auto other = keys;
    other.header.round = RoundId(3);
    world.give_to_coordinator(site, other);
    other = keys;
    other.header.attempt = AttemptId(2);
    world.give_to_coordinator(site, other);
    other = keys;
    other.mask_key = other.seal_key;
    world.give_to_coordinator(site, other);
    world.give_to_coordinator(site, wire::FetchRun{"run-1"});
    world.give_to_coordinator(site, wire::Shares{keys.header, {}, {}, {}, {}});
    return true;
  };
  world.run_round();
  std::vector<std::string> codes;
  for (const auto& d : world.drops) codes.push_back(d.code);
  CHECK(codes ==
        std::vector<std::string>{"unknown_sender", "wrong_round", "wrong_attempt", "bad_keys", "wrong_type", "too_early"});
  CHECK(!world.outcomes.at(0).is_void);
}

TEST_CASE("shares and reports of the wrong shape are dropped before their signature is looked at", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  const int kind = GENERATE(0, 1, 2, 3, 4, 5);
  world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
    if (site != kRogue) return true;
    if (auto* shares = std::get_if<wire::Shares>(&m)) {
      if (kind == 0) shares->seed_share_hashes.pop_back();
      if (kind == 1) shares->key_share_hashes.push_back({});
      if (kind == 2) std::swap(shares->sealed[0], shares->sealed[1]);
      if (kind == 3) shares->sealed.pop_back();
    }
    if (auto* report = std::get_if<wire::Report>(&m)) {
      if (kind == 4) report->masked.push_back(0);
      if (kind == 5) report->context[0] ^= 1;
    }
    sign_again(world, site, m);
    return true;
  };
  world.run_round();
  CHECK(dropped(world, kRogue, kind < 4 ? "bad_shares" : "bad_report"));
  CHECK(world.outcomes.at(0).survivors.size() == 3);
  CHECK(world.outcomes.at(0).sum == world.expected_sum(world.outcomes.at(0).survivors, RoundId(0)));
}

TEST_CASE("shares that do not give what their dealer published are that dealer's fault by name", "[round]") {
  FixedRandom random(3);
  const auto seed = crypto::MaskSeed::random(random);
  const auto key = crypto::MaskKey::random(random);
  const auto other = crypto::Secret<32>::random(random);
  const auto job = [&](bool wrong_seed, bool wrong_key, std::uint32_t shares) {
    coordinator::UnmaskJob out{aggregation::MaskedSum(1, 8), {}, 2, {}, {}};
    REQUIRE(out.sum.add(SiteIndex(0), std::vector<std::uint32_t>{5}).ok());
    for (std::uint32_t i = 0; i < 2; ++i) out.u1.push_back({SiteIndex(i), crypto::public_key(key), crypto::commit(seed)});
    auto a = crypto::split(wrong_seed ? other.reveal() : seed.reveal(), 2, 3, random);
    auto b = crypto::split(wrong_key ? other.reveal() : key.reveal(), 2, 3, random);
    a.erase(a.begin() + shares, a.end());
    b.erase(b.begin() + shares, b.end());
    out.owners.push_back({SiteIndex(0), true, std::move(a)});
    out.owners.push_back({SiteIndex(1), false, std::move(b)});
    return out;
  };
  CHECK(run(job(false, false, 3)).ok());
  CHECK(run(job(false, false, 2)).ok());
  CHECK(!run(job(false, false, 1)).ok());
  const auto seed_fault = run(job(true, false, 3));
  REQUIRE(!seed_fault.ok());
  CHECK(seed_fault.error().message.find("site 0 signed shares that do not give the self-mask seed") != std::string::npos);
  const auto key_fault = run(job(false, true, 3));
  REQUIRE(!key_fault.ok());
  CHECK(key_fault.error().message.find("site 1 signed shares that do not give the mask key") != std::string::npos);
}

TEST_CASE("a site that says again and again that it is behind is sent the results once an attempt", "[round]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.run_round();
  std::size_t results_of_round_0 = 0;
  world.to_site = [&](SiteIndex site, const wire::ToSite& m) {
    const auto* result = std::get_if<wire::RoundResult>(&m);
    if (site == kRogue && result != nullptr && result->header.round == RoundId(0)) ++results_of_round_0;
    return true;
  };
  world.to_coordinator = [&](SiteIndex site, const wire::ToCoordinator& m) {
    if (site != kRogue || !std::holds_alternative<wire::Keys>(m)) return true;
    for (int i = 0; i < 5; ++i)
      world.give_to_coordinator(site, wire::Declined{std::get<wire::Keys>(m).header, "behind", "again"});
    return false;
  };
  world.run_round();
  CHECK(results_of_round_0 == 1);
  CHECK(world.outcomes.at(1).survivors.size() == 3);
}

}  // namespace sotto
