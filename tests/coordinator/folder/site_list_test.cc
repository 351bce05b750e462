#include "coordinator/folder/site_list.h"

#include "base/files.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::coordinator {
namespace {

struct Applicant {
  explicit Applicant(std::uint64_t seed) : random(seed), key(crypto::SigningKey::random(random)) { random.fill(transport); }
  wire::Join join(const std::string& name, ByteSpan token, std::uint64_t size = 1400) const {
    wire::Join m{name, Bytes(token.begin(), token.end()), crypto::verify_key(key).value(), size, {}};
    const crypto::Statement statement{
        wire::label_of(m), name, {}, RoundId(0), AttemptId(0), {}, crypto::sha256(wire::body(m, transport))};
    m.signature = crypto::sign_statement(key, statement);
    return m;
  }
  FixedRandom random;
  crypto::SigningKey key;
  PublicKeyBytes transport{};
};

struct FolderWriter {
  TemporaryFolder folder;
  FixedRandom random{1};
  SiteList registry = SiteList::open(folder.file("registry.json")).value();
};

TEST_CASE("a site goes from invited to joined to approved, and the file remembers", "[coordinator]") {
  FolderWriter writer;
  const Applicant north(2);
  const auto token = writer.registry.invite(SiteName("north"), writer.random);
  REQUIRE(token.ok());
  CHECK(writer.registry.admission().unknown_may_join);
  CHECK(writer.registry.admission().sites.empty());
  REQUIRE(writer.registry.join(north.join("north", *token), north.transport).ok());
  CHECK_FALSE(writer.registry.admission().unknown_may_join);
  CHECK(writer.registry.admission().sites.at(north.transport) == SiteName("north"));
  CHECK(writer.registry.approved().empty());
  REQUIRE(writer.registry.approve(SiteName("north")).ok());

  const auto again = SiteList::open(writer.folder.file("registry.json"));
  REQUIRE(again.ok());
  REQUIRE(again->approved().size() == 1);
  const Site site = again->approved()[0];
  CHECK(site.declared_size == 1400);
  CHECK(site.transport == north.transport);
  CHECK(site.fingerprint() == crypto::fingerprint(crypto::verify_key(north.key)));
  // The token itself is not kept.
  CHECK(read_text_file(writer.folder.file("registry.json"))->find(to_hex(*token)) == std::string::npos);
}

TEST_CASE("a join needs the right token, and the token works once", "[coordinator]") {
  FolderWriter writer;
  const Applicant north(2);
  const Applicant thief(3);
  const auto token = writer.registry.invite(SiteName("north"), writer.random);
  CHECK_FALSE(writer.registry.join(north.join("north", Bytes(16, 0)), north.transport).ok());
  CHECK_FALSE(writer.registry.join(north.join("north", {}), north.transport).ok());
  CHECK_FALSE(writer.registry.join(north.join("south", *token), north.transport).ok());
  CHECK_FALSE(writer.registry.join(north.join("north", *token, 0), north.transport).ok());
  REQUIRE(writer.registry.join(north.join("north", *token), north.transport).ok());
  // Said again by the same site after a lost answer; refused from anybody else.
  CHECK(writer.registry.join(north.join("north", *token), north.transport).ok());
  CHECK_FALSE(writer.registry.join(thief.join("north", *token), thief.transport).ok());
  CHECK_FALSE(writer.registry.join(north.join("north", *token, 1500), north.transport).ok());
}

TEST_CASE("a join whose signature or connection is another's is refused", "[coordinator]") {
  FolderWriter writer;
  const Applicant north(2);
  const Applicant thief(3);
  const auto token = writer.registry.invite(SiteName("north"), writer.random);
  auto message = north.join("north", *token);
  CHECK_FALSE(writer.registry.join(message, thief.transport).ok());  // signed for another connection
  message.declared_size = 9999;
  const auto changed = writer.registry.join(message, north.transport);
  REQUIRE_FALSE(changed.ok());
  CHECK(changed.error().code == ErrorCode::kProtocol);
}

TEST_CASE("two sites cannot share keys", "[coordinator]") {
  FolderWriter writer;
  const Applicant north(2);
  const auto first = writer.registry.invite(SiteName("north"), writer.random);
  const auto second = writer.registry.invite(SiteName("south"), writer.random);
  REQUIRE(writer.registry.join(north.join("north", *first), north.transport).ok());
  CHECK_FALSE(writer.registry.join(north.join("south", *second), north.transport).ok());
}

TEST_CASE("a revoked site is not admitted and can be invited anew", "[coordinator]") {
  FolderWriter writer;
  const Applicant north(2);
  const auto token = writer.registry.invite(SiteName("north"), writer.random);
  REQUIRE(writer.registry.join(north.join("north", *token), north.transport).ok());
  REQUIRE(writer.registry.approve(SiteName("north")).ok());
  CHECK_FALSE(writer.registry.invite(SiteName("north"), writer.random).ok());
  REQUIRE(writer.registry.revoke(SiteName("north")).ok());
  CHECK(writer.registry.admission().sites.empty());
  CHECK_FALSE(writer.registry.approve(SiteName("north")).ok());
  CHECK_FALSE(writer.registry.join(north.join("north", *token), north.transport).ok());
  const auto fresh = writer.registry.invite(SiteName("north"), writer.random);
  REQUIRE(fresh.ok());
  CHECK(writer.registry.join(north.join("north", *fresh), north.transport).ok());
}

TEST_CASE("names that are none, unknown sites and sites that have not joined are refused", "[coordinator]") {
  FolderWriter writer;
  CHECK_FALSE(writer.registry.invite(SiteName("North"), writer.random).ok());
  CHECK_FALSE(writer.registry.invite(SiteName("../x"), writer.random).ok());
  CHECK_FALSE(writer.registry.invite(SiteName("coordinator"), writer.random).ok());
  CHECK(writer.registry.approve(SiteName("north")).error().code == ErrorCode::kNotFound);
  CHECK(writer.registry.revoke(SiteName("north")).error().code == ErrorCode::kNotFound);
  REQUIRE(writer.registry.invite(SiteName("north"), writer.random).ok());
  CHECK(writer.registry.approve(SiteName("north")).error().message.find("sotto-client join") != std::string::npos);
}

TEST_CASE("a damaged registry is refused, not read in part", "[coordinator]") {
  TemporaryFolder folder;
  REQUIRE(
      write_file_atomically(folder.file("registry.json"), "{\"sites\": [{\"name\": \"north\", \"state\": \"king\"}]}").ok());
  const auto registry = SiteList::open(folder.file("registry.json"));
  REQUIRE_FALSE(registry.ok());
  CHECK(registry.error().message.find("king") != std::string::npos);
}

}  // namespace
}  // namespace sotto::coordinator
