#include "wire/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "wire/codec.h"
#include "wire/zmq_socket.h"

namespace sotto::wire {
namespace {

using namespace std::chrono_literals;

// Waits are upper bounds: each ends as soon as what is waited for is there.
constexpr auto kLong = 10000ms;

TransportKey key(std::uint64_t seed) {
  FixedRandom source(seed);
  return TransportKey::random(source);
}

LinkOptions quick() {
  LinkOptions options;
  options.linger = 500ms;
  return options;
}

struct Coordinator {
  RouterLink link = bind();
  static RouterLink bind(const std::string& endpoint = "tcp://127.0.0.1:0") {
    auto link = RouterLink::bind(endpoint, key(100), quick());
    REQUIRE(link.ok());
    return std::move(link).value();
  }
  void admit(std::initializer_list<std::uint64_t> seeds, bool unknown = false) {
    Admission admission;
    for (const auto seed : seeds) admission.sites.emplace(transport_public_key(key(seed)), name(seed));
    admission.unknown_may_join = unknown;
    link.admit(std::move(admission));
  }
  static SiteName name(std::uint64_t seed) { return SiteName("site-" + std::to_string(seed)); }
};

DealerLink site(const RouterLink& coordinator, std::uint64_t seed, std::uint64_t coordinator_seed = 100) {
  auto link = DealerLink::connect(coordinator.endpoint(), transport_public_key(key(coordinator_seed)), key(seed), quick());
  REQUIRE(link.ok());
  return std::move(link).value();
}

// Handshakes need the coordinator's receive() to run, so waiting for a site's event drives both ends.
std::optional<DealerEvent> next_event(DealerLink& site, RouterLink& coordinator) {
  for (auto waited = 0ms; waited < kLong; waited += 20ms) {
    CHECK_FALSE(coordinator.receive(10ms));
    if (auto event = site.receive(10ms)) return event;
  }
  return std::nullopt;
}

void connect(DealerLink& site, RouterLink& coordinator) {
  const auto event = next_event(site, coordinator);
  REQUIRE(event);
  CHECK(event->kind == DealerEvent::Kind::kConnected);
}

Bytes text(const std::string& s) { return Bytes(s.begin(), s.end()); }

void append(Bytes& out, ByteSpan more) { out.insert(out.end(), more.begin(), more.end()); }

TEST_CASE("a transport key's public key is the X25519 one", "[wire]") {
  // RFC 7748, section 6.1: Alice and Bob.
  const auto public_of = [](const char* secret) {
    return to_hex(transport_public_key(TransportKey::from(from_hex(secret).value())));
  };
  CHECK(public_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a") ==
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  CHECK(public_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb") ==
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

TEST_CASE("several sites exchange messages with the coordinator, each under its own name", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1, 2, 3});
  std::vector<DealerLink> sites;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    sites.push_back(site(coordinator.link, i));
    connect(sites.back(), coordinator.link);
  }
  for (std::uint64_t i = 1; i <= 3; ++i) REQUIRE(sites[i - 1].send(text("from " + std::to_string(i)), kLong).ok());
  for (int i = 0; i < 3; ++i) {
    const auto received = coordinator.link.receive(kLong);
    REQUIRE(received);
    REQUIRE(received->peer);
    const auto name = received->peer->value();
    CHECK(as_text(received->bytes) == "from " + name.substr(5));
    REQUIRE(coordinator.link.send(*received->peer, text("to " + name)).ok());
  }
  for (std::uint64_t i = 1; i <= 3; ++i) {
    const auto event = sites[i - 1].receive(kLong);
    REQUIRE(event);
    CHECK(as_text(event->bytes) == "to site-" + std::to_string(i));
  }
}

// Long messages need both ends at work: the site's end lives on a thread of its own meanwhile.
template <class Work>
std::optional<Received> receive_while(RouterLink& link, Work work) {
  std::atomic<bool> done{false};
  std::thread site([&] {
    work();
    done = true;
  });
  std::optional<Received> received;
  while (!received && !done) received = link.receive(20ms);
  while (!done) link.receive(20ms);
  site.join();
  if (!received) received = link.receive(200ms);
  return received;
}

TEST_CASE("messages of many megabytes and empty ones pass whole and in order", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  auto one = site(coordinator.link, 1);
  connect(one, coordinator.link);
  Bytes large(std::size_t{20} << 20);
  FixedRandom source(9);
  source.fill(large);
  const auto first = receive_while(coordinator.link, [&] { CHECK(one.send(large, kLong).ok()); });
  REQUIRE(first);
  CHECK(first->bytes == large);
  REQUIRE(one.send({}, kLong).ok());
  const auto second = coordinator.link.receive(kLong);
  REQUIRE(second);
  CHECK(second->bytes.empty());
  REQUIRE(coordinator.link.send(SiteName("site-1"), large).ok());
  REQUIRE(coordinator.link.send(SiteName("site-1"), text("after it")).ok());
  std::vector<Bytes> back;
  receive_while(coordinator.link, [&] {
    for (int i = 0; i < 2; ++i)
      if (auto event = one.receive(kLong)) back.push_back(std::move(event->bytes));
  });
  REQUIRE(back.size() == 2);
  CHECK(back[0] == large);
  CHECK(as_text(back[1]) == "after it");
}

TEST_CASE("a long message that its connection lost goes on where the receiver stands", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  Bytes large(std::size_t{8} << 20);
  FixedRandom source(9);
  source.fill(large);
  std::uint64_t before = 0;
  {
    auto one = site(coordinator.link, 1);
    connect(one, coordinator.link);
    std::thread sender([&] { static_cast<void>(one.send(large, 300ms)); });
    // Some of it arrives; then the coordinator takes nothing more, and the site gives up.
    for (int i = 0; i < 5000 && coordinator.link.chunk_bytes_taken() == 0; ++i) CHECK_FALSE(coordinator.link.receive(1ms));
    coordinator.link.drop_connections();
    sender.join();
    before = coordinator.link.chunk_bytes_taken();
    CHECK(before > 0);
    CHECK(before < large.size());
  }
  auto again = site(coordinator.link, 1);
  connect(again, coordinator.link);
  const auto received = receive_while(coordinator.link, [&] { CHECK(again.send(large, kLong).ok()); });
  REQUIRE(received);
  CHECK(received->bytes == large);
  CHECK(coordinator.link.chunk_bytes_taken() == large.size());  // nothing was taken twice
}

TEST_CASE("a long message that is not wanted is refused on its first chunk", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  auto one = site(coordinator.link, 1);
  connect(one, coordinator.link);
  std::thread sender([&] {
    CHECK(one.send(Bytes(std::size_t{64} << 20, 7), kLong).ok());
    CHECK(one.send(text("small"), kLong).ok());
  });
  std::uint64_t told = 0;
  std::optional<Received> received;
  for (auto waited = 0ms; !received && waited < kLong; waited += 20ms)
    received = coordinator.link.receive(20ms, [&](const SiteName&, ByteSpan, std::uint64_t size) {
      told = size;
      return false;
    });
  sender.join();
  REQUIRE(received);
  CHECK(as_text(received->bytes) == "small");
  CHECK(told == std::size_t{64} << 20);
  CHECK(coordinator.link.chunk_bytes_taken() == 0);
}

TEST_CASE("messages that arrive in chunks share a budget, and wait for their turn", "[wire]") {
  LinkOptions options = quick();
  options.arriving_bytes = std::size_t{3} << 20;
  auto link = RouterLink::bind("tcp://127.0.0.1:0", key(100), options);
  REQUIRE(link.ok());
  Admission admission;
  for (std::uint64_t seed = 1; seed <= 4; ++seed)
    admission.sites.emplace(transport_public_key(key(seed)), Coordinator::name(seed));
  link->admit(admission);
  std::atomic<int> sent{0};
  std::vector<std::thread> sites;
  for (std::uint64_t seed = 1; seed <= 4; ++seed)
    sites.emplace_back([&, seed] {
      auto one = DealerLink::connect(link->endpoint(), transport_public_key(key(100)), key(seed), quick());
      if (one.ok() && one->send(Bytes(std::size_t{2} << 20, static_cast<std::uint8_t>(seed)), kLong).ok()) ++sent;
    });
  std::size_t most = 0;
  int messages = 0;
  for (auto waited = 0ms; (messages < 4 || sent < 4) && waited < kLong; waited += 5ms) {
    if (link->receive(5ms)) ++messages;
    most = std::max(most, link->arriving_bytes());
  }
  for (auto& thread : sites) thread.join();
  CHECK(messages == 4);
  CHECK(sent == 4);
  CHECK(most <= options.arriving_bytes);
}

TEST_CASE("a site of an older protocol version is told so in its own framing, and one of a later version by its number",
          "[wire]") {
  CHECK(std::get<OtherVersionFrame>(parse_frame(Bytes{0x12, 0x00})).version == 3);  // a bare Protobuf envelope
  CHECK(std::get<OtherVersionFrame>(parse_frame(Bytes{5 << 3, 1, 2})).version == 5);
  CHECK(version_mismatch("site 'a'", 3, "sotto-client there", "sotto-coordinator") ==
        "site 'a' speaks protocol version 3 or older, this is 4; upgrade sotto-client there");
  CHECK(version_mismatch("site 'a'", 5, "sotto-client there", "sotto-coordinator") ==
        "site 'a' speaks protocol version 5, this is 4; upgrade sotto-coordinator");
}

TEST_CASE("a site of protocol version 3 gets an answer that it can read", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  // Version 3 had no frames of its own: a message was a bare Protobuf envelope.
  const auto context = zmq::make_context();
  const auto old = zmq::make_socket(context, ZMQ_DEALER);
  zmq::set_link_options(old, key(1), quick());
  zmq::set_option(old, ZMQ_CURVE_PUBLICKEY, transport_public_key(key(1)));
  zmq::set_option(old, ZMQ_CURVE_SERVERKEY, transport_public_key(key(100)));
  REQUIRE(zmq_connect(old.get(), coordinator.link.endpoint().c_str()) == 0);
  const Bytes hello = encode(ToCoordinator(Hello{"site-1", "0.1.0", Bytes(100, 1)}));
  REQUIRE(zmq::Frame(hello).send(old, 0) == 0);
  const auto received = coordinator.link.receive(kLong);
  REQUIRE(received);
  CHECK(received->peer == SiteName("site-1"));
  CHECK(received->other_version == 3);
  const std::string reason = version_mismatch("site 'site-1'", 3, "sotto-client there", "sotto-coordinator");
  REQUIRE(coordinator.link.reply_in_version(*received, encode(ToSite(Rejected{"protocol_version", reason}))).ok());
  std::vector<Bytes> frames;
  for (auto waited = 0ms; frames.empty() && waited < kLong; waited += 10ms) {
    CHECK_FALSE(coordinator.link.receive(10ms));
    frames = zmq::receive_all(old);
  }
  REQUIRE(frames.size() == 1);
  const auto answer = decode_to_site(frames[0]);
  REQUIRE(answer.ok());
  CHECK(std::get<Rejected>(*answer).reason == reason);
}

TEST_CASE("any bytes are a frame or none, and a frame is written as it is read", "[wire]") {
  FixedRandom source(3);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes(source.below(100));
    source.fill(bytes);
    if (!bytes.empty() && i % 2) bytes[0] = static_cast<std::uint8_t>(kProtocolVersion << 3 | bytes[0] % 8);
    const auto frame = parse_frame(bytes);
    if (const auto* whole = std::get_if<WholeFrame>(&frame)) CHECK(whole_frame(whole->message) == bytes);
    if (const auto* chunk = std::get_if<ChunkFrame>(&frame)) CHECK(chunk_frame(*chunk) == bytes);
    if (const auto* answer = std::get_if<AnswerFrame>(&frame)) CHECK(answer_frame(*answer) == bytes);
  }
  CHECK(std::holds_alternative<MalformedFrame>(parse_frame({})));
}

TEST_CASE("an unknown key is turned away while no invite is outstanding", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  auto stranger = site(coordinator.link, 2);
  const auto event = next_event(stranger, coordinator.link);
  REQUIRE(event);
  CHECK(event->kind == DealerEvent::Kind::kRefused);
  CHECK(event->detail.find("does not let this site's key in") != std::string::npos);
  const auto sent = stranger.send(text("hello"), 50ms);
  REQUIRE_FALSE(sent.ok());
  CHECK(sent.error().code == ErrorCode::kUnavailable);
}

TEST_CASE("an unknown key is let in while an invite is outstanding, without a name, and gets an answer", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1}, true);
  auto stranger = site(coordinator.link, 2);
  connect(stranger, coordinator.link);
  REQUIRE(stranger.send(text("join"), kLong).ok());
  const auto received = coordinator.link.receive(kLong);
  REQUIRE(received);
  CHECK_FALSE(received->peer);
  CHECK(received->transport == transport_public_key(key(2)));
  CHECK(as_text(received->bytes) == "join");
  REQUIRE(coordinator.link.reply(received->transport, text("welcome")).ok());
  const auto answer = stranger.receive(kLong);
  REQUIRE(answer);
  CHECK(as_text(answer->bytes) == "welcome");

  // Enrolled, the same connection has its name at once.
  coordinator.admit({1, 2});
  REQUIRE(coordinator.link.send(SiteName("site-2"), text("you are in")).ok());
  REQUIRE(stranger.send(text("hello"), kLong).ok());
  const auto named = coordinator.link.receive(kLong);
  REQUIRE(named);
  CHECK(named->peer == SiteName("site-2"));
}

TEST_CASE("a site that enrolled and went is gone once, and stays so", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({}, true);
  {
    auto stranger = site(coordinator.link, 2);
    connect(stranger, coordinator.link);
    REQUIRE(stranger.send(text("join"), kLong).ok());
    REQUIRE(coordinator.link.receive(kLong));
    coordinator.admit({2});
  }
  std::vector<SiteName> gone;
  for (auto waited = 0ms; gone.empty() && waited < kLong; waited += 10ms) {
    CHECK_FALSE(coordinator.link.receive(10ms));
    gone = coordinator.link.take_gone();
  }
  CHECK(gone == std::vector{SiteName("site-2")});
  coordinator.admit({2});
  const auto sent = coordinator.link.send(SiteName("site-2"), text("x"));
  REQUIRE_FALSE(sent.ok());
  CHECK(sent.error().message.find("is not connected") != std::string::npos);
  CHECK(coordinator.link.take_gone().empty());
}

TEST_CASE("a large message of an unknown key is dropped", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({}, true);
  auto stranger = site(coordinator.link, 2);
  connect(stranger, coordinator.link);
  REQUIRE(stranger.send(Bytes(kMaxUnknownPeerBytes + 1), kLong).ok());
  REQUIRE(stranger.send(text("small"), kLong).ok());
  const auto received = coordinator.link.receive(kLong);
  REQUIRE(received);
  CHECK(as_text(received->bytes) == "small");
}

TEST_CASE("a site that was revoked is not heard any more on its open connection", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1, 2});
  auto one = site(coordinator.link, 1);
  auto two = site(coordinator.link, 2);
  connect(one, coordinator.link);
  connect(two, coordinator.link);
  coordinator.admit({2});
  REQUIRE(one.send(text("still here"), kLong).ok());
  REQUIRE(two.send(text("me too"), kLong).ok());
  const auto received = coordinator.link.receive(kLong);
  REQUIRE(received);
  CHECK(received->peer == SiteName("site-2"));
  CHECK_FALSE(coordinator.link.receive(100ms));
  CHECK_FALSE(coordinator.link.send(SiteName("site-1"), text("x")).ok());
}

TEST_CASE("a site that expects another coordinator key gets no connection", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  auto one = site(coordinator.link, 1, 101);
  const auto event = next_event(one, coordinator.link);
  REQUIRE(event);
  CHECK(event->kind == DealerEvent::Kind::kRefused);
  CHECK(event->detail.find("its key is not the one in the invite code") != std::string::npos);
}

TEST_CASE("a site reconnects by itself to a coordinator that was restarted", "[wire]") {
  std::optional<Coordinator> coordinator(std::in_place);
  coordinator->admit({1});
  const std::string endpoint = coordinator->link.endpoint();
  auto one = site(coordinator->link, 1);
  connect(one, coordinator->link);
  coordinator.reset();
  const auto gone = one.receive(kLong);
  REQUIRE(gone);
  CHECK(gone->kind == DealerEvent::Kind::kDisconnected);
  // The news may be a moment ahead of the pipe's end: what is sent in between is queued, and lost.
  bool sent = true;
  for (auto waited = 0ms; sent && waited < kLong; waited += 10ms) {
    sent = one.send(text("lost?"), 0ms).ok();
    if (sent) std::this_thread::sleep_for(10ms);
  }
  CHECK_FALSE(sent);

  Coordinator again{Coordinator::bind(endpoint)};
  again.admit({1});
  connect(one, again.link);
  CHECK_FALSE(again.link.send(SiteName("site-1"), text("too early")).ok());
  REQUIRE(one.send(text("hello again"), kLong).ok());
  const auto received = again.link.receive(kLong);
  REQUIRE(received);
  CHECK(as_text(received->bytes) == "hello again");
  CHECK(again.link.send(SiteName("site-1"), text("welcome")).ok());
}

TEST_CASE("the coordinator learns that a site's connection broke, and that it is back", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1, 2});
  std::optional<DealerLink> one(site(coordinator.link, 1));
  auto two = site(coordinator.link, 2);
  connect(*one, coordinator.link);
  connect(two, coordinator.link);
  REQUIRE(one->send(text("hello"), kLong).ok());
  REQUIRE(two.send(text("hello"), kLong).ok());
  REQUIRE(coordinator.link.receive(kLong));
  REQUIRE(coordinator.link.receive(kLong));
  CHECK(coordinator.link.take_gone().empty());
  one.reset();
  std::vector<SiteName> gone;
  for (auto waited = 0ms; gone.empty() && waited < kLong; waited += 10ms) {
    CHECK_FALSE(coordinator.link.receive(10ms));
    gone = coordinator.link.take_gone();
  }
  CHECK(gone == std::vector{SiteName("site-1")});
  CHECK(coordinator.link.take_gone().empty());
  CHECK_FALSE(coordinator.link.send(SiteName("site-1"), text("x")).ok());

  auto again = site(coordinator.link, 1);
  connect(again, coordinator.link);
  REQUIRE(again.send(text("back"), kLong).ok());
  REQUIRE(coordinator.link.receive(kLong));
  CHECK(coordinator.link.send(SiteName("site-1"), text("x")).ok());
  CHECK(coordinator.link.take_gone().empty());
}

TEST_CASE("a message that was under way when its sender left does not bring the sender back", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  {
    auto one = site(coordinator.link, 1);
    connect(one, coordinator.link);
    REQUIRE(one.send(text("hello"), kLong).ok());
    REQUIRE(coordinator.link.receive(kLong));
    CHECK(coordinator.link.connected(SiteName("site-1")));
    REQUIRE(one.send(text("farewell"), kLong).ok());
  }
  std::vector<SiteName> gone;
  for (auto waited = 0ms; gone.empty() && waited < kLong; waited += 10ms) {
    std::this_thread::sleep_for(10ms);
    gone = coordinator.link.take_gone();
  }
  CHECK(gone == std::vector{SiteName("site-1")});
  const auto received = coordinator.link.receive(kLong);
  REQUIRE(received);
  CHECK(received->bytes == text("farewell"));
  CHECK_FALSE(coordinator.link.connected(SiteName("site-1")));
  CHECK(coordinator.link.take_gone().empty());
  CHECK_FALSE(coordinator.link.send(SiteName("site-1"), text("x")).ok());
}

TEST_CASE("the last message leaves before a link closes", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  std::optional<DealerLink> one(site(coordinator.link, 1));
  connect(*one, coordinator.link);
  const auto received = receive_while(coordinator.link, [&] {
    CHECK(one->send(Bytes(1 << 20, 7), 0ms).ok());
    one.reset();
  });
  REQUIRE(received);
  CHECK(received->bytes == Bytes(1 << 20, 7));
}

// What a stranger does, with bare sockets.
class Stranger {
 public:
  explicit Stranger(const std::string& endpoint) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  Stranger(Stranger&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Stranger() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  std::size_t send(ByteSpan bytes) const {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    return sent;
  }

 private:
  int fd_ = -1;
};

std::size_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6)) << 10;
  return 0;
}

// The greeting of ZMTP 3.1 with CURVE, then a command frame that announces 256 MiB.
Bytes greeting_and_huge_command() {
  Bytes out{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'};
  out.resize(64);
  append(out, Bytes{0x06, 0, 0, 0, 0, 0x10, 0, 0, 0});
  append(out, Bytes(60000, 'x'));
  return out;
}

TEST_CASE("hundreds of hostile connections cost little memory, and a site still gets in", "[wire]") {
  Coordinator coordinator;
  coordinator.admit({1});
  const std::size_t before = resident_bytes();
  std::vector<Stranger> strangers;
  const Bytes hostile = greeting_and_huge_command();
  for (int i = 0; i < 400; ++i) {
    strangers.emplace_back(coordinator.link.endpoint());
    if (i % 2) strangers.back().send(hostile);
    if (i % 50 == 0) CHECK_FALSE(coordinator.link.receive(10ms));
  }
  for (int i = 0; i < 30; ++i) CHECK_FALSE(coordinator.link.receive(10ms));
  const auto counts = coordinator.link.connections();
  CHECK(counts.unproven <= ConnectionLimits().unproven_per_source);
  CHECK(counts.turned_away >= 300);
  CHECK(resident_bytes() < before + (std::size_t{32} << 20));
  for (int i = 0; i < 380; ++i) strangers[static_cast<std::size_t>(i)].close();
  auto one = site(coordinator.link, 1);
  connect(one, coordinator.link);
  REQUIRE(one.send(text("hello"), kLong).ok());
  CHECK(coordinator.link.receive(kLong));
}

TEST_CASE("a connection that proves nothing is ended, and one that is enrolled counts for no source", "[wire]") {
  LinkOptions options = quick();
  options.connections = {8, 4, 1, 300ms};
  auto link = RouterLink::bind("tcp://127.0.0.1:0", key(100), options);
  REQUIRE(link.ok());
  Admission admission;
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    admission.sites.emplace(transport_public_key(key(seed)), Coordinator::name(seed));
  link->admit(admission);
  std::vector<DealerLink> sites;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {  // one after the other: one unproven connection of a source
    sites.push_back(site(*link, seed));
    connect(sites.back(), *link);
    REQUIRE(sites.back().send(text("hello"), kLong).ok());
    REQUIRE(link->receive(kLong));
    for (int i = 0; i < 200 && link->connections().unproven > 0; ++i) CHECK_FALSE(link->receive(5ms));
  }
  CHECK(link->connections().open == 3);
  const Stranger silent(link->endpoint());
  for (int i = 0; i < 200 && link->connections().open < 4; ++i) CHECK_FALSE(link->receive(5ms));
  CHECK(link->connections().unproven == 1);
  for (int i = 0; i < 400 && link->connections().open > 3; ++i) CHECK_FALSE(link->receive(5ms));
  CHECK(link->connections().open == 3);
}

TEST_CASE("a joined site that floods and leaves ends neither the coordinator nor its stop", "[wire]") {
  std::optional<Coordinator> coordinator(std::in_place);
  coordinator->admit({1});
  {
    auto one = site(coordinator->link, 1);
    connect(one, coordinator->link);
    for (int i = 0; i < 3000; ++i)
      if (!one.send(Bytes(10000, 1), 0ms).ok()) break;
  }
  // The owner is busy for longer than a heartbeat; then it stops with everything unread.
  std::this_thread::sleep_for(2500ms);
  coordinator.reset();
  SUCCEED("no abort");
}

TEST_CASE("endpoints that are none, and addresses that are taken, are refused", "[wire]") {
  for (const char* endpoint : {"", "tcp://", "tcp://host", "tcp://host:", "tcp://host:x", "tcp://host:65536", "tcp://:80",
                               "ipc:///tmp/x", "host:80", "tcp://host:80x"}) {
    INFO(endpoint);
    CHECK_FALSE(DealerLink::connect(endpoint, transport_public_key(key(1)), key(2)).ok());
    CHECK_FALSE(RouterLink::bind(endpoint, key(1)).ok());
  }
  CHECK_FALSE(DealerLink::connect("tcp://127.0.0.1:0", transport_public_key(key(1)), key(2)).ok());
  Coordinator coordinator;
  const auto second = RouterLink::bind(coordinator.link.endpoint(), key(1), quick());
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace sotto::wire
