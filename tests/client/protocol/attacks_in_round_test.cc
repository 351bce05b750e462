// Attacks inside of an attempt: on keys and shares, on the set of survivors, on the result.
#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/statements.h"
#include "crypto/hash.h"
#include "tests/client/protocol/attack.h"

namespace sotto {

// ---- keys and shares

TEST_CASE("a swapped key is refused, another site's or one's own", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4, 5);
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::KeyList>(world, [&](wire::KeyList& m) {
    if (kind == 0) m.keys[1].keys.mask_key[0] ^= 1;
    if (kind == 1) m.keys[1].keys.seal_key[0] ^= 1;
    if (kind == 2) m.keys[1].keys = m.keys[2].keys;                    // one site's keys in another's name
    if (kind == 3) m.keys[0].keys.mask_key = m.keys[1].keys.mask_key;  // the target's own
    if (kind == 4) std::swap(m.keys[0], m.keys[1]);
    if (kind == 5) m.keys.erase(m.keys.begin());  // the target left out
  });
  const std::vector<std::string> codes{"bad_signature", "bad_signature", "bad_signature",
                                       "swapped_key",   "bad_key_list",  "bad_key_list"};
  INFO(reasons(world, kTarget));
  CHECK(world.has_declined(kTarget, codes[static_cast<std::size_t>(kind)]));
  CHECK(world.messages_sent(kTarget) == 1);  // KEYS alone
  require_exact(world, 4);
}

TEST_CASE("fewer sites than tau in the key list, the share list or among the survivors are refused", "[attack]") {
  Simulator keys({.sites = 4, .colluders = 1});
  run_with<wire::KeyList>(keys, [](wire::KeyList& m) { m.keys.resize(2); });
  CHECK(keys.has_declined(kTarget, "too_few_sites"));
  Simulator shares({.sites = 4, .colluders = 1});
  run_with<wire::ShareList>(shares, [](wire::ShareList& m) { m.from.resize(2); });
  CHECK(shares.has_declined(kTarget, "too_few_sites"));
  Simulator survivors({.sites = 4, .colluders = 1});
  run_with<wire::ConfirmRequest>(survivors, [&](wire::ConfirmRequest& m) {
    m.survivors.resize(2);
    survivors.sign(m.header, m);
  });
  CHECK(survivors.has_declined(kTarget, "too_few_sites"));
}

TEST_CASE("two different KEYS of one site in one attempt stop it with both as proof", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::ShareList>(world, [&](wire::ShareList& m) {
    // The coordinator shows the key list again, in which the colluding site 1 has signed other keys.
    wire::KeyList list{m.header, {}};
    for (const auto& [site, frame] : world.frames)
      if (const auto* keys = std::get_if<wire::Keys>(&frame)) list.keys.push_back({site, *keys});
    auto& other = list.keys[1].keys;
    other.mask_key[0] ^= 1;
    other.signature = crypto::sign_statement(world.identity(SiteIndex(1)),
                                             {"keys", "site-1", m.header.run, m.header.round, m.header.attempt,
                                              audit::roster_hash(world.roster()), crypto::sha256(wire::body(other))});
    const auto sent = world.feed(kTarget, client::FromCoordinator{list});
    CHECK(std::get<wire::Declined>(sent.at(0)).code == "two_keys");
  });
  REQUIRE(world.proofs(kTarget).size() == 1);
  CHECK(world.proofs(kTarget)[0].reason.find("'site-1'") != std::string::npos);
  CHECK(world.update_of(kTarget, RoundId(0)).empty());  // it never came to training
  require_exact(world, 4);
}

TEST_CASE("a bit-flipped share names the site it is said to come from", "[attack]") {
  const bool signed_by_dealer = GENERATE(false, true);
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  if (signed_by_dealer) {
    world.to_coordinator = [&](SiteIndex site, wire::ToCoordinator& m) {
      if (site != SiteIndex(2) || !std::holds_alternative<wire::Shares>(m)) return true;
      auto& shares = std::get<wire::Shares>(m);
      shares.sealed[0].sealed[30] ^= 1;  // for site 0
      std::vector<Digest> sealed;
      for (const auto& s : shares.sealed) sealed.push_back(crypto::sha256(s.sealed));
      const auto& h = shares.header;
      shares.signature = crypto::sign_statement(
          world.identity(site), {"shares", "site-2", h.run, h.round, h.attempt, audit::roster_hash(world.roster()),
                                 crypto::sha256(wire::body(shares, sealed))});
      return true;
    };
    world.run_round();
  } else {
    run_with<wire::ShareList>(world, [](wire::ShareList& m) { m.from[2].sealed[30] ^= 1; });
  }
  INFO(reasons(world, kTarget));
  CHECK(world.has_declined(kTarget, "bad_share"));
  CHECK(world.declined(kTarget).back().reason.find(signed_by_dealer ? "'site-2'" : "site 2") != std::string::npos);
}

TEST_CASE("shares of others, forged, left out or shown differently, are refused", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4);
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::ShareList>(world, [&](wire::ShareList& m) {
    if (kind == 0) m.from[1].key_share_hashes[3][0] ^= 1;
    if (kind == 1) m.from[1].sealed = m.from[2].sealed;
    if (kind == 2) m.from[0].seed_share_hashes[0][0] ^= 1;  // the target's own
    if (kind == 3) m.from[1].recipients.pop_back();
    if (kind == 4) std::swap(m.from[1], m.from[2]);
  });
  const std::vector<std::string> codes{"bad_signature", "bad_share", "swapped_key", "bad_share_list", "bad_share_list"};
  INFO(reasons(world, kTarget));
  CHECK(world.has_declined(kTarget, codes[static_cast<std::size_t>(kind)]));
  CHECK(world.update_of(kTarget, RoundId(0)).empty());
  require_exact(world, 4);
}

TEST_CASE("a coordinator that shows sites different logs is found out by what they share", "[attack]") {
  // Same size and another root: two signed heads that contradict each other.
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::RoundOpen>(world, [&](wire::RoundOpen& m) {
    auto d = descriptor_of(m);
    m.head = world.head_of_coordinator(world.coordinator_log().size() - 2, 7);  // the size it had when it signed
    d.coordinator_head = crypto::sha256(m.head);
    replace_descriptor(world, m, d);
  });
  for (std::uint32_t i = 0; i < 5; ++i) {
    INFO("site " << i << ": " << reasons(world, SiteIndex(i)));
    REQUIRE(world.halts(SiteIndex(i)).size() == 1);
    CHECK(world.halts(SiteIndex(i))[0].code == "split_view");
  }
  CHECK(world.outcomes.back().is_void);
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(world.update_of(SiteIndex(i), RoundId(0)).empty());
}

TEST_CASE("another head of the coordinator in one attempt ends it even when the heads do not contradict each other",
          "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4, .max_attempts = 1});
  run_with<wire::RoundOpen>(world, [&](wire::RoundOpen& m) {
    auto d = descriptor_of(m);
    m.head = world.head_of_coordinator(1000, 7);
    d.coordinator_head = crypto::sha256(m.head);
    replace_descriptor(world, m, d);
  });
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(world.has_declined(SiteIndex(i), "split_view"));
  CHECK(world.outcomes.back().is_void);
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(world.update_of(SiteIndex(i), RoundId(0)).empty());
}

// ---- survivors

TEST_CASE("survivors shown differently to different sites gather no t equal CONFIRMs", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .max_attempts = 1});  // t = tau = 4
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (auto* request = std::get_if<wire::ConfirmRequest>(&m); request != nullptr && site.value() < 2) {
      request->survivors.pop_back();  // sites 0 and 1 are told that site 4 dropped out
      world.sign(request->header, *request);
    }
    return true;
  };
  world.run_round();
  CHECK(world.outcomes.at(0).is_void);
  for (const auto& [site, m] : world.frames) CHECK(!std::holds_alternative<wire::Unmask>(m));
}

TEST_CASE("CONFIRMs to other survivors open nothing at a site that confirmed its own", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4, 5);
  Simulator world({.sites = 5, .colluders = 1});  // t = 4
  run_with<wire::UnmaskRequest>(world, [&](wire::UnmaskRequest& m) {
    if (kind == 0) m.survivors.pop_back();
    if (kind == 1) m.survivors.push_back(SiteIndex(0));  // named twice
    if (kind == 2) m.confirms.resize(3);
    if (kind == 3) m.confirms[1] = m.confirms[0];
    if (kind == 4) m.confirms[0].signature[0] ^= 1;
    if (kind == 5) std::swap(m.confirms[0].signature, m.confirms[1].signature);
  });
  const std::vector<std::string> codes{"bad_survivors", "bad_survivors", "too_few_confirms",
                                       "bad_confirms",  "bad_signature", "bad_signature"};
  INFO(reasons(world, kTarget));
  CHECK(world.has_declined(kTarget, codes[static_cast<std::size_t>(kind)]));
  for (const auto& [site, m] : world.frames) CHECK(!(site == kTarget && std::holds_alternative<wire::Unmask>(m)));
  require_exact(world, 5);  // the other four are t
}

TEST_CASE("survivors with a foreign, forged or missing report are refused", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4, 5, 6);
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::ConfirmRequest>(world, [&](wire::ConfirmRequest& m) {
    auto& s = m.survivors;
    if (kind == 0) s[1].masked[0] ^= 1;
    if (kind == 1) std::swap(s[1].signature, s[2].signature);
    if (kind == 2) s[0].masked = s[1].masked;  // the target's own
    if (kind == 3) s.erase(s.begin());         // the target left out
    if (kind == 4) s.push_back(s[1]);          // a site named twice
    if (kind == 5) s[4].site = SiteIndex(9);
    if (kind != 6) world.sign(m.header, m);
    if (kind == 6) m.signature[0] ^= 1;
  });
  const std::vector<std::string> codes{"bad_signature", "bad_signature", "bad_survivors", "bad_survivors",
                                       "bad_survivors", "bad_survivors", "bad_signature"};
  INFO(reasons(world, kTarget));
  CHECK(world.has_declined(kTarget, codes[static_cast<std::size_t>(kind)]));
  for (const auto& [site, m] : world.frames) CHECK(!(site == kTarget && std::holds_alternative<wire::Confirm>(m)));
  require_exact(world, 5);
}

TEST_CASE("a site that is named active and then dropped is never unmasked both ways", "[attack]") {
  // Told two sets of survivors, the site has confirmed the first; the second is a proof against the coordinator.
  Simulator world({.sites = 5, .colluders = 1});
  run_with<wire::ConfirmRequest>(world, [&](wire::ConfirmRequest& m) {
    world.feed(kTarget, client::FromCoordinator{m});
    m.survivors.pop_back();
    world.sign(m.header, m);
  });
  REQUIRE(world.halts(kTarget).size() == 1);
  CHECK(world.halts(kTarget)[0].code == "two_sets_of_survivors");
  CHECK(world.participant(kTarget).halted());
}

TEST_CASE("after its answer to UNMASK a site gives no share of another kind, however it is asked", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1});
  wire::UnmaskRequest request;
  wire::ConfirmRequest confirm;
  bool mounted = false;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site != kTarget) return true;
    if (const auto* c = std::get_if<wire::ConfirmRequest>(&m)) confirm = *c;
    if (const auto* r = std::get_if<wire::UnmaskRequest>(&m)) request = *r;
    if (!std::holds_alternative<wire::RoundResult>(m) || mounted) return true;
    mounted = true;
    auto again = world.feed(kTarget, client::FromCoordinator{request});
    REQUIRE(again.size() == 1);
    const auto first = std::get<wire::Unmask>(again[0]);
    for (const auto& share : first.shares) CHECK(share.kind == wire::SecretKind::kSelfMaskSeed);
    auto changed = request;
    changed.survivors.pop_back();
    CHECK(std::holds_alternative<wire::Declined>(world.feed(kTarget, client::FromCoordinator{changed}).at(0)));
    again = world.feed(kTarget, client::FromCoordinator{request});
    CHECK(std::get<wire::Unmask>(again.at(0)).signature == first.signature);  // byte-identical
    return true;
  };
  world.run_round();
  CHECK(mounted);
  require_exact(world, 5);
}

// ---- results

TEST_CASE("an adapter that is not the server step over the published sum halts every site", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.publish = [](const Bytes& adapter) {
    auto state = decode_adapter(adapter).value();
    state.factors[0].b[0] += 1;
    return encode(state);
  };
  world.run_round();
  for (std::uint32_t i = 0; i < 4; ++i) {
    REQUIRE(world.halts(SiteIndex(i)).size() == 1);
    CHECK(world.halts(SiteIndex(i))[0].code == "false_step");
  }
  CHECK(world.outcomes.at(0).accepted.empty());
}

TEST_CASE("a site shown another sum than the others halts, for the adapter does not follow from it", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::RoundResult>(world, [&](wire::RoundResult& m) {
    m.sum[0] ^= 1;
    world.sign(m.header, m);
  });
  REQUIRE(world.halts(kTarget).size() == 1);
  CHECK(world.halts(kTarget)[0].code == "false_step");
}

TEST_CASE("a site shown another sum and the adapter that follows from it is out of step in the next round", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::RoundResult>(world, [&](wire::RoundResult& m) {
    m.sum[0] ^= 1;
    const auto size = world.layout().trained_size(world.plan().trained);
    const auto sum = aggregation::unpack_bits(m.sum, size, world.plan().ring.bits).value();
    m.adapter = world.step(m.start, sum, m.survivors.size());
    world.sign(m.header, m);
  });
  CHECK(world.participant(kTarget).next_round() == RoundId(1));
  world.to_site = [](SiteIndex, wire::ToSite&) { return true; };
  world.run_round();
  CHECK(world.has_declined(kTarget, "descriptor_differs"));
  require_exact(world, 4);
}

TEST_CASE("a false void for one site leaves it with another transcript than the next descriptor names", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site == kTarget && std::holds_alternative<wire::RoundResult>(m)) {
      const auto h = std::get<wire::RoundResult>(m).header;
      wire::RoundVoid nothing{h, "too few sites", {}};
      world.sign(h, nothing);
      m = nothing;
    }
    return true;
  };
  world.run_round();
  world.to_site = [](SiteIndex, wire::ToSite&) { return true; };
  world.run_round();
  CHECK(world.has_declined(kTarget, "descriptor_differs"));
  require_exact(world, 4);
}

TEST_CASE("a result that its survivors did not confirm, or that the coordinator did not sign, is refused", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4, 5, 6, 7);
  Simulator world({.sites = 5, .colluders = 1});
  run_with<wire::RoundResult>(world, [&](wire::RoundResult& m) {
    if (kind == 0) m.signature[0] ^= 1;
    if (kind == 1) m.confirms.resize(3);
    if (kind == 2) m.survivors.pop_back();
    if (kind == 3) m.u1[1].keys[0] ^= 1;
    if (kind == 4) m.sum.pop_back();
    if (kind == 5) m.adapter.pop_back();
    if (kind == 6) m.descriptor[70] ^= 1;
    if (kind == 7) m.header.attempt = AttemptId(2);
    if (kind != 0) world.sign(m.header, m);
  });
  INFO(reasons(world, kTarget));
  CHECK(world.outcomes.at(0).accepted.size() == 4);
  CHECK(world.participant(kTarget).next_round() == RoundId(0));
  CHECK(!world.declined(kTarget).empty());
}

TEST_CASE("a void round that the coordinator did not sign is not believed", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  run_with<wire::KeyList>(world, [&](wire::KeyList& m) {
    const auto sent = world.feed(kTarget, client::FromCoordinator{wire::RoundVoid{m.header, "void", {}}});
    CHECK(std::get<wire::Declined>(sent.at(0)).code == "bad_signature");
  });
  require_exact(world, 4);
}

}  // namespace sotto
