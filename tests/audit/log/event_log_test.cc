#include "audit/log/event_log.h"

#include "audit/log/signed_head.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::audit {
namespace {

std::vector<Event> some_events() {
  const RunId run("r");
  return {SiteCreated{"a", {}, digest_of("salt")},   RunRefused{run, digest_of("plan"), "too much"},
          Reserved{run, RoundId(0), {some_event()}}, Committed{run, RoundId(0), {some_event()}},
          Refunded{run, RoundId(0), "crash"},        AttemptClosed{run, RoundId(0), AttemptId(1), "deadline"}};
}

Bytes whole_log(const std::string& path) {
  auto log = EventLog::open(path);
  REQUIRE(log.ok());
  std::int64_t time = 100;
  for (const auto& event : some_events()) REQUIRE(log->append(event, at(time++)).ok());
  return *read_binary_file(path);
}

TEST_CASE("what was appended is there after reopening, and its hashes are its Merkle leaves", "[log]") {
  const TempFolder folder;
  const std::string path = folder.path("log");
  const Bytes bytes = whole_log(path);
  const auto log = EventLog::open(path);
  REQUIRE(log.ok());
  CHECK(log->recovered().empty());
  REQUIRE(log->size() == some_events().size());
  MerkleTree tree;
  for (std::uint64_t i = 0; i < log->size(); ++i) {
    const Record& record = log->image().records[static_cast<std::size_t>(i)];
    CHECK(record.index == i);
    CHECK(record.time == at(100 + static_cast<std::int64_t>(i)));
    CHECK(encode(log->event(i)) == encode(some_events()[static_cast<std::size_t>(i)]));
    CHECK(record.hash == leaf_hash(body_of(record)));
    tree.append(record.hash);
  }
  CHECK(log->root() == tree.root());
  CHECK(read_log(path)->records == log->image().records);
}

TEST_CASE("a log cut at any byte opens to the whole entries before the cut, and can be continued", "[log]") {
  const TempFolder folder;
  const Bytes bytes = whole_log(folder.path("log"));
  const auto whole = parse_log(bytes);
  REQUIRE_FALSE(whole.damage);
  const std::string path = folder.path("cut");
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    INFO("cut at byte " << n);
    REQUIRE(write_file_atomically(path, ByteSpan(bytes).first(n)).ok());
    auto log = EventLog::open(path);
    REQUIRE(log.ok());
    const std::uint64_t kept = log->size();
    REQUIRE(kept <= whole.image.records.size());
    CHECK(log->root() == whole.image.tree.root_at(kept));
    const bool boundary = parse_log(ByteSpan(bytes).first(n)).valid_bytes == n;
    CHECK(log->recovered().empty() == boundary);
    if (n % 7 == 0) {  // an append after recovery is readable again
      REQUIRE(log->append(some_events()[0], at(500)).ok());
      CHECK(read_log(path)->records.size() == kept + 1);
    }
  }
}

TEST_CASE("a tail of zeros that a crash left is cut", "[log]") {
  const TempFolder folder;
  const std::string path = folder.path("log");
  Bytes bytes = whole_log(path);
  const std::size_t size = bytes.size();
  bytes.resize(size + 4096, 0);
  REQUIRE(write_file_atomically(path, bytes).ok());
  const auto log = EventLog::open(path);
  REQUIRE(log.ok());
  CHECK(log->size() == some_events().size());
  CHECK(log->recovered().find("cut 4096 bytes of an unfinished entry 6") != std::string::npos);
}

TEST_CASE("any flipped bit is refused with the number of its entry", "[log]") {
  const TempFolder folder;
  const Bytes bytes = whole_log(folder.path("log"));
  std::vector<std::size_t> ends;  // of the entries
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    const auto prefix = parse_log(ByteSpan(bytes).first(n));
    if (prefix.valid_bytes == n && n > 0 && !prefix.damage) ends.push_back(n);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    const auto parsed = parse_log(changed);
    INFO("byte " << i);
    REQUIRE(parsed.damage);
    const auto after = std::upper_bound(ends.begin(), ends.end(), i);
    const auto entry = after == ends.begin() ? 0 : after - ends.begin() - 1;
    CHECK(parsed.damage->entry == static_cast<std::uint64_t>(entry));
    CHECK_FALSE(parsed.damage->torn);
    if (i % 16 == 0) {
      const std::string path = folder.path("flipped");
      REQUIRE(write_file_atomically(path, changed).ok());
      const auto opened = EventLog::open(path);
      REQUIRE_FALSE(opened.ok());
      CHECK(opened.error().message.find("entry " + std::to_string(entry)) != std::string::npos);
      CHECK(read_binary_file(path).value() == changed);  // nothing was cut
    }
  }
}

TEST_CASE("an entry taken out of the middle, repeated or moved is refused by number", "[log]") {
  const TempFolder folder;
  const Bytes bytes = whole_log(folder.path("log"));
  const auto image = parse_log(bytes).image;
  const auto piece = [&](std::size_t i) {
    const Bytes body = body_of(image.records[i]);
    const auto n = static_cast<std::uint32_t>(body.size());
    return ByteWriter().u32(n).u32(~n).raw(body).raw(image.records[i].hash).take();
  };
  const auto log_of = [&](const std::vector<std::size_t>& order) {
    ByteWriter out;
    out.raw(as_bytes("sotto/log/1\n"));
    for (const std::size_t i : order) out.raw(piece(i));
    return out.take();
  };
  REQUIRE_FALSE(parse_log(log_of({0, 1, 2, 3})).damage);
  CHECK(parse_log(log_of({0, 1, 3})).damage->entry == 2);
  CHECK(parse_log(log_of({0, 1, 1})).damage->entry == 2);
  CHECK(parse_log(log_of({1, 0})).damage->entry == 0);
}

TEST_CASE("a second writer is refused while the first one lives", "[log]") {
  const TempFolder folder;
  const std::string path = folder.path("log");
  {
    const auto first = EventLog::open(path);
    REQUIRE(first.ok());
    const auto second = EventLog::open(path);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == ErrorCode::kRefused);
  }
  CHECK(EventLog::open(path).ok());
}

TEST_CASE("a file that is not a log, and an entry of an unknown type, are refused", "[log]") {
  const TempFolder folder;
  REQUIRE(write_file_atomically(folder.path("text"), std::string_view("hello, this is no log")).ok());
  CHECK_FALSE(EventLog::open(folder.path("text")).ok());
  Record record;
  record.type = static_cast<EventType>(999);
  const Bytes body = body_of(record);
  const auto n = static_cast<std::uint32_t>(body.size());
  const Bytes file = ByteWriter().raw(as_bytes("sotto/log/1\n")).u32(n).u32(~n).raw(body).raw(leaf_hash(body)).take();
  REQUIRE(write_file_atomically(folder.path("new"), file).ok());
  const auto opened = EventLog::open(folder.path("new"));
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().message.find("entry 0 is bad: event type 999 is not in this version") != std::string::npos);
}

TEST_CASE("times never run backwards, even when the clock does", "[log]") {
  const TempFolder folder;
  auto log = EventLog::open(folder.path("log"));
  REQUIRE(log->append(some_events()[0], at(100)).ok());
  REQUIRE(log->append(some_events()[1], at(50)).ok());
  CHECK(log->image().records[1].time == at(100));
}

TEST_CASE("a signed head holds for its log and for its later states, and for nothing else", "[head]") {
  const TempFolder folder;
  FixedRandom random(3);
  const auto key = crypto::SigningKey::random(random);
  auto log = EventLog::open(folder.path("log"));
  REQUIRE(log->append(some_events()[0], at(1)).ok());
  REQUIRE(log->append(some_events()[1], at(2)).ok());
  const SignedHead head = sign_head(log->image(), "a", key);
  CHECK(signature_holds(head));
  CHECK(check_prefix(head, log->image()).ok());
  CHECK(*decode_head(encode(head)) == head);
  CHECK(*head_from_json(*Json::parse(to_json(head).dump(), "head")) == head);

  REQUIRE(log->append(some_events()[2], at(3)).ok());
  CHECK(check_prefix(head, log->image()).ok());

  SignedHead changed = head;
  changed.size += 1;
  CHECK_FALSE(signature_holds(changed));
  CHECK_FALSE(check_prefix(changed, log->image()).ok());
  changed = head;
  changed.party = "b";
  CHECK_FALSE(signature_holds(changed));

  auto other = EventLog::open(folder.path("other"));
  REQUIRE(other->append(SiteCreated{"a", {}, digest_of("other salt")}, at(1)).ok());
  CHECK(check_prefix(head, other->image()).error().message.find("another log") != std::string::npos);
  CHECK_FALSE(check_prefix(head, LogImage{}).ok());
}

}  // namespace
}  // namespace sotto::audit
