// A malicious coordinator, and malicious sites, against an honest participant: each test mounts one attack and shows what
// the site does about it. "Honest" is checked besides after each action of every site (simulator.cc, require_honest).
#include <algorithm>

#include "crypto/hash.h"
#include "tests/client/protocol/attack.h"

namespace sotto {
namespace {

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
          {"unit", [](auto& d) { d.unit = privacy::Unit::kRecord; }},
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

}  // namespace

// ---- the descriptor

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

// ---- rounds and attempts

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

}  // namespace sotto
