// A malicious coordinator, and malicious sites, against an honest participant: each test mounts one attack and shows what the
// site does about it. "Honest" is checked besides after each action of every site (simulator.cc, require_honest).
#include <algorithm>

#include "audit/statements.h"
#include "crypto/hash.h"
#include "tests/coordinator/simulator.h"
#include "tests/support/catch.h"

namespace sotto {
namespace {

const SiteIndex kTarget(0);

RoundDescriptor descriptor_of(const wire::RoundOpen& m) { return decode_descriptor(m.descriptor).value(); }

// Puts another descriptor under the coordinator's signature, as only a malicious coordinator can.
void replace_descriptor(const Simulator& world, wire::RoundOpen& m, const RoundDescriptor& d) {
  m.descriptor = encode(d);
  world.sign({d.run, d.round, d.attempt}, m);
}

struct Change {
  std::string field;
  std::function<void(RoundDescriptor&)> make;
};

// Every field of a descriptor that a site knows by itself.
std::vector<Change> changes() {
  return {{"model", [](auto& d) { d.model[0] ^= 1; }},
          {"plan", [](auto& d) { d.plan[0] ^= 1; }},
          {"roster", [](auto& d) { d.roster[0] ^= 1; }},
          {"layout", [](auto& d) { d.layout[0] ^= 1; }},
          {"adapter", [](auto& d) { d.adapter[0] ^= 1; }},
          {"transcript", [](auto& d) { d.transcript[0] ^= 1; }},
          {"unit", [](auto& d) { d.unit = PrivacyUnit::kRecord; }},
          {"privacy", [](auto& d) { d.privacy = false; }},
          {"sites", [](auto& d) { d.sites += 1; }},
          {"sites", [](auto& d) { d.sites -= 1; }},
          {"colluders", [](auto& d) { d.colluders -= 1; }},
          {"min_sites", [](auto& d) { d.min_sites -= 1; }},
          {"local_steps", [](auto& d) { d.local_steps += 1; }},
          {"clip_norm", [](auto& d) { d.clip_norm *= 2; }},
          {"ring", [](auto& d) { d.ring.step *= 2; }},
          {"ring", [](auto& d) { d.ring.range *= 2; }},
          {"ring", [](auto& d) { d.ring.bits -= 1; }},
          {"rotation_seed", [](auto& d) { d.rotation_seed[0] ^= 1; }},
          {"per_site", [](auto& d) { d.per_site[1].noise_multiplier /= 2; }},
          {"per_site", [](auto& d) { d.per_site[1].weight = 2; }},
          {"per_site", [](auto& d) { d.per_site[1].sampling_rate *= 2; }},
          {"per_site", [](auto& d) { d.per_site[1].declared_size += 1; }},
          {"per_site", [](auto& d) { d.per_site.push_back(d.per_site[0]); }},
          {"per_site", [](auto& d) { d.per_site.pop_back(); }}};
}

std::string reasons(const Simulator& world, SiteIndex site) {
  std::string out;
  for (const auto& d : world.declined(site)) out += d.code + ": " + d.reason + "\n";
  return out;
}

// Runs a round in which the target's messages of type M are changed by `change`.
template <class M>
void run_with(Simulator& world, std::function<void(M&)> change) {
  world.to_site = [change](SiteIndex site, wire::ToSite& m) {
    if (site == kTarget && std::holds_alternative<M>(m)) change(std::get<M>(m));
    return true;
  };
  world.run_round();
}

void require_exact(const Simulator& world, std::size_t survivors) {
  REQUIRE(!world.outcomes.back().is_void);
  CHECK(world.outcomes.back().survivors.size() == survivors);
  const RoundId round(static_cast<std::uint32_t>(world.outcomes.size()) - 1);
  CHECK(world.outcomes.back().sum == world.expected_sum(world.outcomes.back().survivors, round));
}

}  // namespace

// ---- the descriptor --------------------------------------------------------------------------------------------------------

TEST_CASE("a site shown another model, plan, roster, tau, c, noise or grid than it approved sends no keys", "[attack]") {
  for (const auto& change : changes()) {
    INFO(change.field);
    Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
    world.run_round();  // in the second round the adapter and the transcript are known as well
    const auto sent = world.messages_sent(kTarget);
    run_with<wire::RoundOpen>(world, [&](wire::RoundOpen& m) {
      auto d = descriptor_of(m);
      change.make(d);
      replace_descriptor(world, m, d);
    });
    INFO(reasons(world, kTarget));
    CHECK(world.messages_sent(kTarget) == sent);
    CHECK(world.has_declined(kTarget, "descriptor_differs"));
    CHECK(world.declined(kTarget).back().reason.find("'" + change.field + "'") != std::string::npos);
    require_exact(world, 4);
  }
}

TEST_CASE("a second attempt under other inputs does not get the stored update", "[attack]") {
  for (const auto& change : changes()) {
    INFO(change.field);
    Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
    world.run_round();
    wire::RoundOpen first;
    run_with<wire::RoundOpen>(world, [&](wire::RoundOpen& m) { first = m; });
    // Site 0 is back where it was after REPORT of a third round; the coordinator then opens attempt 2 for it alone.
    world.to_coordinator = [&](SiteIndex site, const wire::ToCoordinator& m) {
      return !(site == kTarget && std::holds_alternative<wire::Report>(m));
    };
    bool mounted = false;
    world.to_site = [&](SiteIndex site, wire::ToSite& m) {
      if (site == kTarget && std::holds_alternative<wire::RoundOpen>(m)) first = std::get<wire::RoundOpen>(m);
      if (site == kTarget || !std::holds_alternative<wire::ConfirmRequest>(m) || mounted) return true;
      mounted = true;
      REQUIRE(world.trainings(kTarget, RoundId(2)) == 1);
      auto d = descriptor_of(first);
      d.attempt = AttemptId(2);
      change.make(d);
      wire::RoundOpen second = first;
      replace_descriptor(world, second, d);
      const auto sent = world.feed(kTarget, client::FromCoordinator{second});
      REQUIRE(sent.size() == 1);
      CHECK(std::get<wire::Declined>(sent[0]).code == "descriptor_differs");
      return true;
    };
    world.run_round();
    CHECK(mounted);
  }
}

TEST_CASE("two descriptors of one attempt under the coordinator's signature halt the site with both as proof", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site != kTarget || !std::holds_alternative<wire::RoundOpen>(m)) return true;
    const auto first = std::get<wire::RoundOpen>(m);
    world.feed(kTarget, client::FromCoordinator{first});
    auto d = descriptor_of(first);
    d.coordinator_head[0] ^= 1;
    replace_descriptor(world, std::get<wire::RoundOpen>(m), d);
    return true;
  };
  world.run_round();
  REQUIRE(world.halts(kTarget).size() == 1);
  const auto proof = world.halts(kTarget)[0];
  CHECK(proof.code == "two_descriptors");
  // Anybody can check the proof: two bodies of one attempt, each followed by the coordinator's signature.
  for (const auto& half : {proof.first, proof.second}) {
    const ByteSpan body = ByteSpan(half).first(half.size() - 64);
    SignatureBytes signature{};
    std::copy(half.end() - 64, half.end(), signature.begin());
    const auto d = decode_descriptor(body).value();
    CHECK(d.attempt == AttemptId(1));
    CHECK(signature == world.sign_as_coordinator({d.run, d.round, d.attempt}, "round_open", body));
  }
  CHECK(proof.first != proof.second);
  world.to_site = [](SiteIndex, wire::ToSite&) { return true; };
  const auto sent = world.messages_sent(kTarget);
  world.run_round();
  CHECK(world.messages_sent(kTarget) == sent);
  CHECK(world.has_declined(kTarget, "halted"));
  require_exact(world, 3);
}

TEST_CASE("a descriptor, head or adapter that does not fit its hash or signature is refused", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4);
  Simulator world({.sites = 4, .colluders = 1});
  world.run_round();
  world.run_round();
  run_with<wire::RoundOpen>(world, [&](wire::RoundOpen& m) {
    auto d = descriptor_of(m);
    if (kind == 0) m.signature[3] ^= 1;
    if (kind == 1) m.head[40] ^= 1;
    if (kind == 2) m.adapter.back() ^= 1;
    if (kind == 3) m.descriptor.pop_back();
    if (kind == 4) {  // a head that the descriptor names, but that is older than the last one shown
      m.head = world.head_of_coordinator(2, 9);
      d.coordinator_head = crypto::sha256(m.head);
      replace_descriptor(world, m, d);
    }
  });
  const std::vector<std::string> codes{"bad_signature", "bad_head", "bad_adapter", "bad_descriptor", "head_went_back"};
  INFO(reasons(world, kTarget));
  CHECK(world.has_declined(kTarget, codes[static_cast<std::size_t>(kind)]));
  require_exact(world, 3);
}

TEST_CASE("the first adapter must be the one that the plan's seed gives", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  run_with<wire::RoundOpen>(world, [&](wire::RoundOpen& m) {
    auto state = decode_adapter(m.adapter).value();
    state.factors[0].b[0] = 7;
    m.adapter = encode(state);
    auto d = descriptor_of(m);
    d.adapter = crypto::sha256(m.adapter);
    replace_descriptor(world, m, d);
  });
  CHECK(world.has_declined(kTarget, "bad_adapter"));
  CHECK(world.messages_sent(kTarget) == 0);
}

// ---- rounds and attempts ---------------------------------------------------------------------------------------------------

TEST_CASE("a replayed round, attempt or request is refused", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  std::vector<wire::ToSite> seen;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site == kTarget) seen.push_back(m);
    return true;
  };
  world.run_round();
  const auto transcript = seen;
  world.run_round();
  const auto sent = world.messages_sent(kTarget);
  for (const auto& old : transcript)
    for (const auto& answer : world.feed(kTarget, client::FromCoordinator{old}))
      CHECK((std::holds_alternative<wire::Declined>(answer)));
  CHECK(world.messages_sent(kTarget) == sent);
  CHECK(world.has_declined(kTarget, "replayed_round"));
  CHECK(world.has_declined(kTarget, "wrong_attempt"));
  // The last result again is answered with the same acceptance, not taken again.
  const auto again = world.feed(kTarget, client::FromCoordinator{seen.back()});
  REQUIRE(again.size() == 1);
  CHECK(std::holds_alternative<wire::Accepted>(again[0]));
}

TEST_CASE("a round that is not the next one is refused until the results between are known", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1});
  bool mounted = false;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site != kTarget || mounted || !std::holds_alternative<wire::RoundOpen>(m)) return true;
    mounted = true;
    auto changed = std::get<wire::RoundOpen>(m);
    auto d = descriptor_of(changed);
    d.round = RoundId(1);
    replace_descriptor(world, changed, d);
    const auto sent = world.feed(kTarget, client::FromCoordinator{changed});
    CHECK(std::get<wire::Declined>(sent.at(0)).code == "behind");
    return true;
  };
  world.run_round();
  require_exact(world, 4);
}

TEST_CASE("two attempts of one round are never both opened", "[attack]") {
  // The coordinator hides that it got answers to UNMASK and opens another attempt, with one site fewer.
  Simulator world({.sites = 4, .colluders = 1});
  bool hidden = false;
  world.to_coordinator = [&](SiteIndex, const wire::ToCoordinator& m) {
    const auto* unmask = std::get_if<wire::Unmask>(&m);
    if (unmask != nullptr && !hidden) {
      hidden = true;
      world.crash_coordinator(false);
    }
    return true;
  };
  world.run_round();
  REQUIRE(hidden);
  CHECK(world.has_declined(kTarget, "already_opened"));
  CHECK(std::ranges::count(world.log_of(kTarget), audit::EventType::kUnmaskAnswered, audit::type_of) == 1);
}

TEST_CASE("joining an attempt closes the earlier ones for ever", "[attack]") {
  Simulator world({.sites = 4, .colluders = 1, .min_sites = 4});
  std::optional<wire::UnmaskRequest> of_first;
  std::optional<wire::ConfirmRequest> confirm_of_first;
  wire::RoundOpen open_first;
  world.to_site = [&](SiteIndex site, wire::ToSite& m) {
    if (site != kTarget) return true;
    if (const auto* open = std::get_if<wire::RoundOpen>(&m)) {
      if (descriptor_of(*open).attempt == AttemptId(1)) open_first = *open;
    }
    if (const auto* request = std::get_if<wire::ConfirmRequest>(&m); request != nullptr && !confirm_of_first) {
      confirm_of_first = *request;
      world.crash_coordinator(false);  // attempt 2, while attempt 1 waits for CONFIRMs
      return false;
    }
    if (const auto* list = std::get_if<wire::KeyList>(&m); list != nullptr && list->header.attempt == AttemptId(2)) {
      for (const wire::ToSite& old : {wire::ToSite(*confirm_of_first), wire::ToSite(open_first)}) {
        const auto sent = world.feed(kTarget, client::FromCoordinator{old});
        REQUIRE(sent.size() == 1);
        const auto code = std::get<wire::Declined>(sent[0]).code;
        CHECK((code == "wrong_attempt" || code == "closed_attempt"));
      }
    }
    return true;
  };
  world.run_round();
  REQUIRE(confirm_of_first);
  CHECK(world.outcomes.at(0).attempt == AttemptId(2));
  require_exact(world, 4);
  CHECK(std::ranges::count(world.log_of(kTarget), audit::EventType::kAttemptClosed, audit::type_of) == 1);
}

// ---- keys and shares -------------------------------------------------------------------------------------------------------

TEST_CASE("a swapped key is refused, another site's or one's own", "[attack]") {
  const int kind = GENERATE(0, 1, 2, 3, 4, 5);
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  run_with<wire::KeyList>(world, [&](wire::KeyList& m) {
    if (kind == 0) m.keys[1].keys.mask_key[0] ^= 1;
    if (kind == 1) m.keys[1].keys.seal_key[0] ^= 1;
    if (kind == 2) m.keys[1].keys = m.keys[2].keys;                         // one site's keys in another's name
    if (kind == 3) m.keys[0].keys.mask_key = m.keys[1].keys.mask_key;      // the target's own
    if (kind == 4) std::swap(m.keys[0], m.keys[1]);
    if (kind == 5) m.keys.erase(m.keys.begin());                            // the target left out
  });
  const std::vector<std::string> codes{"bad_signature", "bad_signature", "bad_signature", "swapped_key", "bad_key_list", "bad_key_list"};
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
    other.signature = crypto::sign_statement(world.identity(SiteIndex(1)), {"keys", "site-1", m.header.run, m.header.round, m.header.attempt,
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
      shares.signature = crypto::sign_statement(world.identity(site), {"shares", "site-2", h.run, h.round, h.attempt,
                                                audit::roster_hash(world.roster()), crypto::sha256(wire::body(shares, sealed))});
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
  world.run_round();
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
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(world.update_of(SiteIndex(i), RoundId(1)).empty());
}

TEST_CASE("another head of the coordinator in one attempt ends it even when the heads do not contradict each other", "[attack]") {
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

// ---- survivors -------------------------------------------------------------------------------------------------------------

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
  const std::vector<std::string> codes{"bad_survivors", "bad_survivors", "too_few_confirms", "bad_confirms", "bad_signature", "bad_signature"};
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
    if (kind == 2) s[0].masked = s[1].masked;      // the target's own
    if (kind == 3) s.erase(s.begin());              // the target left out
    if (kind == 4) s.push_back(s[1]);               // a site named twice
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

// ---- results ---------------------------------------------------------------------------------------------------------------

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

TEST_CASE("a site shown another result than the others is out of step with them and joins nothing more", "[attack]") {
  Simulator world({.sites = 5, .colluders = 1, .min_sites = 4});
  // An honest-looking pair of sum and adapter, for the target alone: the sum is off and the adapter follows from it.
  run_with<wire::RoundResult>(world, [&](wire::RoundResult& m) {
    wire::RoundResult other = m;
    other.sum[0] ^= 1;
    world.sign(other.header, other);
    m = other;
  });
  // The adapter does not follow from the changed sum.
  REQUIRE(world.halts(kTarget).size() == 1);
  CHECK(world.halts(kTarget)[0].code == "false_step");
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
