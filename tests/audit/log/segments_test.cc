#include <cstdlib>

#include "audit/log/event_log.h"
#include "audit/log/signed_head.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::audit {
namespace {

const RunId kRun("r");
const LogOptions kSmall{600};

Event note(int i) { return RunRefused{kRun, digest_of("plan"), "refusal number " + std::to_string(i)}; }

std::string rotated_log(const TempFolder& folder, int entries) {
  const std::string path = folder.path("log");
  auto log = EventLog::open(path, kSmall);
  REQUIRE(log.ok());
  REQUIRE(log->append(SiteCreated{"a", {}, digest_of("salt")}, at(1)).ok());
  for (int i = 1; i < entries; ++i) REQUIRE(log->append(note(i), at(i)).ok());
  return path;
}

TEST_CASE("a log of several segments is the log that one file would be", "[segments]") {
  const TempFolder folder;
  const std::string path = rotated_log(folder, 30);
  const std::size_t segments = count_segments(path);
  CHECK(segments >= 5);
  CHECK(file_exists(segment_file(path, 0)));

  const TempFolder other;
  auto one = EventLog::open(other.path("log"));
  REQUIRE(one->append(SiteCreated{"a", {}, digest_of("salt")}, at(1)).ok());
  for (int i = 1; i < 30; ++i) REQUIRE(one->append(note(i), at(i)).ok());
  CHECK(*read_log_bytes(path) == *read_binary_file(other.path("log")));
  CHECK(read_log(path)->tree.root() == one->root());

  const auto again = EventLog::open(path, kSmall);
  REQUIRE(again.ok());
  CHECK(again->root() == one->root());
  const auto scanned = scan_log(path);
  REQUIRE(scanned.ok());
  CHECK_FALSE(scanned->damage);
  CHECK(scanned->files == segments + 1);
  CHECK(scanned->head == one->image().head());
  CHECK(scanned->id == one->image().id());
}

TEST_CASE("writing goes on after a reopening, into the live segment", "[segments]") {
  const TempFolder folder;
  const std::string path = rotated_log(folder, 10);
  auto log = EventLog::open(path, kSmall);
  for (int i = 10; i < 20; ++i) REQUIRE(log->append(note(i), at(i)).ok());
  CHECK(read_log(path)->records.size() == 20);
  const auto second = EventLog::open(path, kSmall);
  CHECK(second.error().code == ErrorCode::kRefused);  // the lock holds across rotations
}

TEST_CASE("a crash between two segments, or within the live one, loses nothing that was confirmed", "[segments]") {
  const TempFolder folder;
  const std::string path = rotated_log(folder, 12);
  const auto whole = read_log(path);
  const Bytes live = *read_binary_file(path);
  for (std::size_t n = 0; n <= live.size(); n += 5) {
    REQUIRE(write_file_atomically(path, ByteSpan(live).first(n)).ok());
    auto log = EventLog::open(path, kSmall);
    REQUIRE(log.ok());
    CHECK(log->root() == whole->tree.root_at(log->size()));
    CHECK(log->append(note(99), at(99)).ok());
  }
  std::filesystem::remove(path);  // closed, and the new file not made yet
  auto log = EventLog::open(path, kSmall);
  REQUIRE(log.ok());
  CHECK(log->size() < 12);
  CHECK(log->root() == whole->tree.root_at(log->size()));
  CHECK(log->append(note(99), at(99)).ok());
}

TEST_CASE("a segment that is torn, missing, exchanged or changed is damage, with the entry's number", "[segments]") {
  const TempFolder folder;
  const std::string path = rotated_log(folder, 30);
  const Bytes second = *read_binary_file(segment_file(path, 1));
  const std::uint64_t first_of_second = parse_log(*read_binary_file(segment_file(path, 0))).image.records.size();
  const auto expect_damage = [&](std::uint64_t at_least, std::uint64_t below) {
    const auto opened = EventLog::open(path, kSmall);
    REQUIRE_FALSE(opened.ok());
    const auto scanned = scan_log(path);
    REQUIRE(scanned->damage);
    CHECK(scanned->damage->entry >= at_least);
    CHECK(scanned->damage->entry < below);
    CHECK(scanned->head.size == scanned->damage->entry);
  };
  REQUIRE(write_file_atomically(segment_file(path, 1), ByteSpan(second).first(second.size() - 9)).ok());
  expect_damage(first_of_second, 30);
  Bytes changed = second;
  changed[40] ^= 1;
  REQUIRE(write_file_atomically(segment_file(path, 1), changed).ok());
  expect_damage(first_of_second, first_of_second + 1);
  REQUIRE(write_file_atomically(segment_file(path, 1), *read_binary_file(segment_file(path, 2))).ok());
  expect_damage(first_of_second, first_of_second + 1);
  std::filesystem::remove(segment_file(path, 1));  // the later ones are then no part of the log
  expect_damage(first_of_second, first_of_second + 1);
}

TEST_CASE("a scan of any bytes agrees with reading them at once", "[segments]") {
  const TempFolder folder;
  FixedRandom random(5);
  const std::string path = rotated_log(folder, 8);
  const Bytes whole = *read_log_bytes(path);
  for (int i = 0; i < 200; ++i) {
    Bytes changed = whole;
    if (i % 2 == 0) changed[static_cast<std::size_t>(random.below(changed.size()))] ^= 1;
    changed.resize(static_cast<std::size_t>(12 + random.below(changed.size() - 12)));
    if (i % 5 == 0) changed.resize(changed.size() + 3000, 0);
    REQUIRE(write_file_atomically(folder.path("one"), changed).ok());
    const ParsedLog parsed = parse_log(changed);
    const auto scanned = scan_log(folder.path("one"));
    REQUIRE(scanned.ok());
    CHECK(scanned->damage.has_value() == parsed.damage.has_value());
    CHECK(scanned->head == parsed.image.head());
    if (parsed.damage) CHECK(scanned->damage->why == parsed.damage->why);
  }
}

// --- sealed entries

struct SealedLog {
  TempFolder folder;
  FixedRandom random{4};
  LogKey key = LogKey::random(random);
  AttackMeasured secret{kRun, digest_of("adapter"), 100, 50, 0.61, 0.02, 0.0};
  EventLog log = std::move(EventLog::open(folder.path("log"))).value();

  SealedLog() {
    REQUIRE(log.append(SiteCreated{"a", {}, digest_of("salt")}, at(1)).ok());
    REQUIRE(log.append_sealed(secret, key, random, at(2)).ok());
  }
  Sealed entry(std::uint64_t i) const { return std::get<Sealed>(log.event(i)); }
};

TEST_CASE("a sealed entry is verified without its key and read with it, in its own place alone", "[sealed]") {
  SealedLog site;
  CHECK(read_log(site.folder.path("log")).ok());
  const LogPlace place{site.log.image().id(), 1};
  const auto opened = open_event(site.entry(1), site.key, place);
  REQUIRE(opened.ok());
  CHECK(encode(*opened) == encode(Event(site.secret)));
  CHECK_FALSE(open_event(site.entry(1), site.key, {site.log.image().id(), 2}).ok());
  CHECK_FALSE(open_event(site.entry(1), site.key, {digest_of("another log"), 1}).ok());
  const auto other = LogKey::random(site.random);
  CHECK(open_event(site.entry(1), other, place).error().message.find("sealed with another key") != std::string::npos);
  Sealed changed = site.entry(1);
  changed.box[20] ^= 1;
  CHECK_FALSE(open_event(changed, site.key, place).ok());
  // The same event sealed twice has nothing in common.
  REQUIRE(site.log.append_sealed(site.secret, site.key, site.random, at(3)).ok());
  CHECK(site.entry(1).box != site.entry(2).box);
}

TEST_CASE("what the auditor must read is not sealed, and what is a function of patients' data is not written bare",
          "[sealed]") {
  SealedLog site;
  const auto refusal = site.log.append_sealed(Reserved{kRun, RoundId(0), {some_event()}}, site.key, site.random, at(3));
  REQUIRE_FALSE(refusal.ok());
  CHECK(refusal.error().message.find("an auditor has to read it") != std::string::npos);
  CHECK_THROWS_AS(site.log.append(site.secret, at(3)), Failure);
  CHECK_FALSE(may_stand_in_site_log(EventType::kAttackMeasured));
}

TEST_CASE("a log key comes from a file, the environment or a systemd credential, and errors never show it", "[sealed]") {
  const TempFolder folder;
  const std::string hex(64, 'a');
  REQUIRE(write_file_atomically(folder.path("hex"), hex + "\n").ok());
  REQUIRE(write_file_atomically(folder.path("raw"), Bytes(32, 0xaa)).ok());
  REQUIRE(write_file_atomically(folder.path("short"), std::string("abcd")).ok());
  ::setenv("SOTTO_TEST_LOG_KEY", hex.c_str(), 1);
  ::setenv("CREDENTIALS_DIRECTORY", folder.path().c_str(), 1);
  const auto from_file = read_log_key("file:" + folder.path("hex"));
  REQUIRE(from_file.ok());
  for (const auto& source :
       {"file:" + folder.path("raw"), std::string("env:SOTTO_TEST_LOG_KEY"), std::string("credential:hex")}) {
    const auto key = read_log_key(source);
    REQUIRE(key.ok());
    CHECK(*key == *from_file);
  }
  ::unsetenv("CREDENTIALS_DIRECTORY");
  for (const auto& source :
       {"file:" + folder.path("short"), std::string("env:SOTTO_NO_SUCH_VARIABLE"), std::string("credential:hex"),
        std::string("vault:x"), std::string("file:"), "file:" + folder.path("nowhere")}) {
    const auto key = read_log_key(source);
    REQUIRE_FALSE(key.ok());
    CHECK(key.error().message.find("abcd") == std::string::npos);
  }
}

}  // namespace
}  // namespace sotto::audit
