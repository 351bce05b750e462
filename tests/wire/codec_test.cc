#include "wire/codec.h"

#include "tests/support/catch.h"
#include "tests/wire/samples.h"
#include "wire/link.h"

namespace sotto::wire {
namespace {

template <class T>
T decoded(const ToCoordinator& message) {
  auto back = decode_to_coordinator(encode(message));
  REQUIRE(back.ok());
  REQUIRE(std::holds_alternative<T>(back.value()));
  return std::get<T>(std::move(back).value());
}

template <class T>
T decoded(const ToSite& message) {
  auto back = decode_to_site(encode(message));
  REQUIRE(back.ok());
  REQUIRE(std::holds_alternative<T>(back.value()));
  return std::get<T>(std::move(back).value());
}

std::string error_of(const ToCoordinator& message) {
  const auto back = decode_to_coordinator(encode(message));
  REQUIRE_FALSE(back.ok());
  CHECK(back.error().code == ErrorCode::kProtocol);
  return back.error().message;
}

std::string error_of(const ToSite& message) {
  const auto back = decode_to_site(encode(message));
  REQUIRE_FALSE(back.ok());
  return back.error().message;
}

template <class T>
T sample() {
  FixedRandom source(1);
  for (auto& m : samples_to_coordinator(source))
    if constexpr (requires { std::get_if<T>(&m); })
      if (auto* found = std::get_if<T>(&m)) return *found;
  FAIL("no sample");
  return {};
}

template <class T>
T site_sample() {
  FixedRandom source(1);
  for (auto& m : samples_to_site(source))
    if (auto* found = std::get_if<T>(&m)) return *found;
  FAIL("no sample");
  return {};
}

TEST_CASE("every message to the coordinator comes back as the same bytes and kind", "[wire]") {
  FixedRandom source(2);
  const auto samples = samples_to_coordinator(source);
  CHECK(samples.size() == std::variant_size_v<ToCoordinator>);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(samples[i].index() == i);
    const Bytes bytes = encode(samples[i]);
    const auto back = decode_to_coordinator(bytes);
    INFO(name_of(samples[i]));
    REQUIRE(back.ok());
    CHECK(back.value().index() == i);
    CHECK(encode(back.value()) == bytes);
  }
}

TEST_CASE("every message to a site comes back as the same bytes and kind", "[wire]") {
  FixedRandom source(3);
  const auto samples = samples_to_site(source);
  CHECK(samples.size() == std::variant_size_v<ToSite>);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(samples[i].index() == i);
    const Bytes bytes = encode(samples[i]);
    const auto back = decode_to_site(bytes);
    INFO(name_of(samples[i]));
    REQUIRE(back.ok());
    CHECK(back.value().index() == i);
    CHECK(encode(back.value()) == bytes);
  }
}

TEST_CASE("fields arrive in their places", "[wire]") {
  const auto shares = sample<Shares>();
  const auto back = decoded<Shares>(ToCoordinator(shares));
  CHECK(back.header == shares.header);
  CHECK(back.seed_share_hashes == shares.seed_share_hashes);
  CHECK(back.key_share_hashes == shares.key_share_hashes);
  CHECK(back.sealed.at(1).to == SiteIndex(2));
  CHECK(back.sealed.at(1).sealed == shares.sealed.at(1).sealed);
  CHECK(back.signature == shares.signature);

  const auto unmask = decoded<Unmask>(ToCoordinator(sample<Unmask>()));
  CHECK(unmask.shares.at(0).kind == SecretKind::kSelfMaskSeed);
  CHECK(unmask.shares.at(1).kind == SecretKind::kMaskKey);
  CHECK(unmask.shares.at(1).owner == SiteIndex(1));

  const auto join = decoded<Join>(ToCoordinator(sample<Join>()));
  CHECK(join.declared_size == 1400);
  CHECK(join.name == "north");

  const auto result = site_sample<RoundResult>();
  const auto result_back = decoded<RoundResult>(ToSite(result));
  CHECK(result_back.u1 == result.u1);
  CHECK(result_back.survivors == result.survivors);
  CHECK(result_back.sum == result.sum);
  CHECK(result_back.adapter == result.adapter);
  CHECK(result_back.descriptor == result.descriptor);
  CHECK(decoded<JoinReply>(ToSite(JoinReply{false, "no"})).accepted == false);
}

TEST_CASE("an update of a hundred megabytes passes", "[wire]") {
  auto report = sample<Report>();
  report.masked.assign(std::size_t{100} << 20, 0x5a);
  CHECK(decoded<Report>(ToCoordinator(report)).masked == report.masked);
}

TEST_CASE("a field over its limit is refused by its name", "[wire]") {
  auto join = sample<Join>();
  join.name = "../north";
  CHECK(error_of(ToCoordinator(join)) == "join.name: not a name of 1 to 64 of a-z, 0-9 and '-'");
  join = sample<Join>();
  join.token.resize(65);
  CHECK(error_of(ToCoordinator(join)) == "join.token: 65 bytes, at most 64");

  auto keys = sample<Keys>();
  keys.header.run = RunId("");
  CHECK(error_of(ToCoordinator(keys)) == "keys.header.run: not a name of 1 to 64 of a-z, 0-9 and '-'");

  auto hello = sample<Hello>();
  hello.head.resize(4097);
  CHECK(error_of(ToCoordinator(hello)) == "hello.head: 4097 bytes, at most 4096");

  auto shares = sample<Shares>();
  shares.sealed[1].to = SiteIndex(128);
  CHECK(error_of(ToCoordinator(shares)) == "shares.sealed[1].to: 128, at most 127");
  shares = sample<Shares>();
  shares.sealed[0].sealed.resize((256 << 10) + 1);
  CHECK(error_of(ToCoordinator(shares)) == "shares.sealed[0].sealed: 262145 bytes, at most 262144");

  auto request = site_sample<UnmaskRequest>();
  request.survivors[1] = SiteIndex(200);
  CHECK(error_of(ToSite(request)) == "unmask_request.survivors: site 200, at most 127");

  auto approval = sample<RunApproval>();
  approval.layout.resize((4 << 20) + 1);
  CHECK(error_of(ToCoordinator(approval)) == "run_approval.layout: 4194305 bytes, at most 4194304");
}

TEST_CASE("sentences are cut and cleaned before they are sent", "[wire]") {
  const auto back = decoded<RunRefusal>(ToCoordinator(RunRefusal{RunId("r"), std::string(2000, 'x') + "\n"}));
  CHECK(back.reason == std::string(1000, 'x'));
  CHECK(decoded<RunRefusal>(ToCoordinator(RunRefusal{RunId("r"), "a\x1b[2Jb"})).reason == "a [2Jb");
  // A letter of two bytes across the cut is dropped whole: what is sent is valid UTF-8.
  const auto cut = decoded<RunRefusal>(ToCoordinator(RunRefusal{RunId("r"), std::string(999, 'x') + "\xc3\xa9"}));
  CHECK(cut.reason == std::string(999, 'x'));
}

}  // namespace
}  // namespace sotto::wire
