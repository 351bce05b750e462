// The coordinator's end. Connections are let in by a ZAP handler (rfc.zeromq.org/spec/27), a REP socket that lives in the
// same thread as the ROUTER and is served inside receive(): no lock, and nobody gets in while the owner is busy elsewhere.
// The handler gives every connection a user id, its transport key in hexadecimal, which libzmq attaches to each message; the
// names are looked up per message, so enrolment and revocation act on connections that are open already.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include "wire/zmq_socket.h"

namespace sotto::wire {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";  // fixed by the specification, one in each context
constexpr const char* kZapDomain = "sotto";
constexpr auto kStalled = std::chrono::seconds(30);  // a message that has not moved for so long makes room for others

using Clock = std::chrono::steady_clock;

PublicKeyBytes key_from(ByteSpan bytes) {
  PublicKeyBytes key{};
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

std::optional<PublicKeyBytes> key_of(const zmq::Frame& frame) {
  const char* user = frame.property("User-Id");
  if (user == nullptr) return std::nullopt;
  const auto key = digest_from_hex(user);
  if (!key) return std::nullopt;
  return key.value();
}

}  // namespace

struct RouterLink::State {
  std::unique_ptr<Acceptor> acceptor;  // the last to go: what is sent leaves through it
  zmq::Context context;
  zmq::Socket zap;
  zmq::Socket router;
  zmq::Socket monitor;
  LinkOptions options;
  Admission admission;
  struct Connection {
    Bytes route;  // routing id
    int descriptor = -1;
  };
  std::map<PublicKeyBytes, Connection> routes;                        // newest connection of each enrolled key
  std::optional<std::pair<PublicKeyBytes, Connection>> last_unknown;  // whom reply() may answer
  std::vector<SiteName> gone;
  struct Peer {
    SendQueue queue;
    Arriving arriving;
  };
  std::map<PublicKeyBytes, Peer> peers;  // enrolled keys that were heard
  MessageStore store;
  std::uint64_t chunk_bytes = 0;
  std::set<Bytes> closed;  // routes of broken connections, while messages of theirs may still wait to be taken

  bool admitted(const PublicKeyBytes& key) const { return admission.sites.contains(key) || admission.unknown_may_join; }
  void serve_zap();
  void note_disconnections();
  void note_message(const SiteName& site, const PublicKeyBytes& key, const Connection& connection);
  template <class Matches>
  void forget(Matches matches);
  std::optional<Received> take_message(const JudgeTransfer& judge);
  std::optional<Bytes> take_frame(const Received& from, ByteSpan bytes, const JudgeTransfer& judge);
  std::optional<Bytes> take_chunk(const Received& from, const ChunkFrame& chunk, const JudgeTransfer& judge);
  bool room_for(const PublicKeyBytes& key, std::uint64_t size);
  void pump(const PublicKeyBytes& key);
  bool pump_all();
  bool send_frame(const Bytes& route, ByteSpan frame);
  Result<void> send_to(const Bytes& route, const std::string& whom, ByteSpan frame);
};

RouterLink::RouterLink(std::unique_ptr<State> state) : state_(std::move(state)) {}
RouterLink::RouterLink(RouterLink&&) noexcept = default;
RouterLink& RouterLink::operator=(RouterLink&&) noexcept = default;

RouterLink::~RouterLink() {
  if (!state_) return;
  const auto end = Clock::now() + state_->options.linger;
  while (state_->pump_all() && Clock::now() < end) receive(std::chrono::milliseconds(20));
}

Result<RouterLink> RouterLink::bind(const std::string& endpoint, const TransportKey& key, LinkOptions options) {
  SOTTO_TRY_VOID(zmq::check_endpoint(endpoint, true));
  auto state = std::make_unique<State>();
  state->options = options;
  state->context = zmq::make_context();
  state->zap = zmq::make_socket(state->context, ZMQ_REP);
  zmq::set_option(state->zap, ZMQ_LINGER, 0);
  if (zmq_bind(state->zap.get(), kZapEndpoint) != 0) zmq::fail("cannot bind the authenticator");
  state->router = zmq::make_socket(state->context, ZMQ_ROUTER);
  zmq::set_link_options(state->router, key, options);
  zmq::set_option(state->router, ZMQ_CURVE_SERVER, 1);
  zmq::set_option(state->router, ZMQ_ROUTER_MANDATORY, 1);
  zmq::set_option(state->router, ZMQ_ZAP_DOMAIN, as_bytes(kZapDomain));
  // The acceptor bounds what lies in here: a limit of libzmq's own would have it stop reading (acceptor.h).
  zmq::set_option(state->router, ZMQ_RCVHWM, 0);
  zmq::set_option(state->router, ZMQ_HEARTBEAT_IVL, static_cast<int>(options.heartbeat.count()));
  zmq::set_option(state->router, ZMQ_HEARTBEAT_TIMEOUT, static_cast<int>(options.heartbeat_limit.count()));
  zmq::set_option(state->router, ZMQ_HEARTBEAT_TTL, static_cast<int>(options.heartbeat_limit.count()));
  zmq::set_option(state->router, ZMQ_BACKLOG, 512);
  zmq::set_option(state->router, ZMQ_IPC_FILTER_PID, static_cast<int>(::getpid()));
  const std::string inner =
      "sotto-" + std::to_string(::getpid()) + "-" + std::to_string(Clock::now().time_since_epoch().count());
  if (zmq_bind(state->router.get(), ("ipc://@" + inner).c_str()) != 0) zmq::fail("cannot bind the inner socket");
  state->monitor = zmq::watch(state->context, state->router, ZMQ_EVENT_DISCONNECTED);
  SOTTO_TRY(state->acceptor, Acceptor::listen(endpoint, inner, options.connections));
  return RouterLink(std::move(state));
}

const std::string& RouterLink::endpoint() const { return state_->acceptor->endpoint(); }

void RouterLink::admit(Admission admission) {
  auto& s = *state_;
  s.admission = std::move(admission);
  std::erase_if(s.routes, [&](const auto& route) { return !s.admission.sites.contains(route.first); });
  for (auto peer = s.peers.begin(); peer != s.peers.end();) {
    if (s.admission.sites.contains(peer->first)) {
      ++peer;
      continue;
    }
    peer->second.queue.clear(s.store);
    peer = s.peers.erase(peer);
  }
  if (s.last_unknown && s.admission.sites.contains(s.last_unknown->first)) {
    s.routes.insert(*s.last_unknown);
    s.last_unknown.reset();
  }
}

// Request: version, request id, domain, address, routing id, mechanism, credentials. Reply: version, request id, status
// code, status text, user id, metadata.
void RouterLink::State::serve_zap() {
  const auto request = zmq::receive_all(zap);
  if (request.empty()) return;
  const bool well_formed = request.size() == 7 && as_text(request[2]) == kZapDomain && as_text(request[5]) == "CURVE" &&
                           request[6].size() == std::tuple_size_v<PublicKeyBytes>;
  const bool good = well_formed && admitted(key_from(request[6]));
  const Bytes id = request.size() > 1 ? request[1] : Bytes{};
  const std::string user = good ? to_hex(request[6]) : "";
  const std::array<ByteSpan, 6> reply{
      as_bytes("1.0"), ByteSpan(id), as_bytes(good ? "200" : "400"), as_bytes(good ? "OK" : "not enrolled"),
      as_bytes(user),  as_bytes("")};
  for (std::size_t i = 0; i < reply.size(); ++i)
    if (zmq::Frame(reply[i]).send(zap, i + 1 < reply.size() ? ZMQ_SNDMORE : 0) != 0) zmq::fail("cannot answer a handshake");
}

// Anything that is not one frame from an admitted key is dropped without an answer.
std::optional<Received> RouterLink::State::take_message(const JudgeTransfer& judge) {
  zmq::Frame route;
  if (route.receive(router, ZMQ_DONTWAIT) != 0) {
    if (zmq_errno() == EAGAIN) closed.clear();  // all that broken connections had sent is taken
    if (zmq_errno() == EAGAIN || zmq_errno() == EINTR) return std::nullopt;
    zmq::fail("cannot receive");
  }
  if (!route.more()) return std::nullopt;
  zmq::Frame body;
  if (body.receive(router, 0) != 0) zmq::fail("cannot receive");
  if (body.more()) {
    zmq::receive_all(router);
    return std::nullopt;
  }
  const auto key = key_of(body);
  const auto site = key ? admission.sites.find(*key) : admission.sites.end();
  const bool enrolled = site != admission.sites.end();
  acceptor->took(body.connection(), body.bytes().size() + kFrameOverhead, enrolled);
  if (!key || !admitted(*key)) return std::nullopt;
  Received received{std::nullopt, *key, {}, 0};
  const State::Connection connection{Bytes(route.bytes().begin(), route.bytes().end()), body.connection()};
  if (enrolled) {
    received.peer = site->second;
    note_message(site->second, *key, connection);
  } else {
    if (body.bytes().size() > kMaxUnknownPeerBytes) return std::nullopt;
    last_unknown = {*key, connection};
  }
  if (const auto parsed = parse_frame(body.bytes()); const auto* other = std::get_if<OtherVersionFrame>(&parsed)) {
    received.other_version = other->version;
    return received;
  }
  auto message = take_frame(received, body.bytes(), judge);
  if (!message) return std::nullopt;
  received.bytes = std::move(*message);
  return received;
}

std::optional<Bytes> RouterLink::State::take_frame(const Received& from, ByteSpan bytes, const JudgeTransfer& judge) {
  const auto frame = parse_frame(bytes);
  if (const auto* whole = std::get_if<WholeFrame>(&frame)) return Bytes(whole->message.begin(), whole->message.end());
  if (!from.peer) return std::nullopt;  // a stranger's message fits in one frame
  std::optional<Bytes> message;
  if (const auto* chunk = std::get_if<ChunkFrame>(&frame)) message = take_chunk(from, *chunk, judge);
  if (const auto* answer = std::get_if<AnswerFrame>(&frame)) peers[from.transport].queue.on(*answer, store, Clock::now());
  pump(from.transport);
  return message;
}

std::optional<Bytes> RouterLink::State::take_chunk(const Received& from, const ChunkFrame& chunk,
                                                   const JudgeTransfer& judge) {
  auto& peer = peers[from.transport];
  const auto now = Clock::now();
  const auto say = [&](AnswerFrame::Kind kind, std::uint64_t offset) { peer.queue.answer({kind, chunk.digest, offset}); };
  if (!peer.arriving.is(chunk.digest)) {
    const bool fits = chunk.size > kMaxWholeBytes && chunk.size <= kMaxMessageBytes;
    if (chunk.offset != 0) {
      say(AnswerFrame::Kind::kTaken, 0);
      return std::nullopt;
    }
    if (!fits || (judge && !judge(*from.peer, chunk.payload, chunk.size))) {
      say(AnswerFrame::Kind::kRefused, 0);
      return std::nullopt;
    }
    peer.arriving.forget();  // one a peer: the newest
    if (!room_for(from.transport, chunk.size)) {
      say(AnswerFrame::Kind::kBusy, 0);
      return std::nullopt;
    }
    peer.arriving.begin(chunk, now);
  }
  const bool next = chunk.offset == peer.arriving.have() && chunk.size == peer.arriving.size();
  if (next) chunk_bytes += chunk.payload.size();
  auto whole = peer.arriving.take(chunk, now);
  if (whole)
    say(AnswerFrame::Kind::kTaken, chunk.size);
  else if (peer.arriving.any())
    say(AnswerFrame::Kind::kTaken, peer.arriving.have());
  else
    say(AnswerFrame::Kind::kRefused, 0);
  return whole;
}

// What arrives counts with its whole size from its first chunk on. One message always has room.
bool RouterLink::State::room_for(const PublicKeyBytes& key, std::uint64_t size) {
  const auto taken = [&] {
    std::uint64_t sum = 0;
    for (const auto& [other, peer] : peers)
      if (other != key) sum += peer.arriving.size();
    return sum;
  };
  const auto now = Clock::now();
  for (auto& [other, peer] : peers) {
    if (taken() == 0 || taken() + size <= options.arriving_bytes) return true;
    if (other != key && peer.arriving.any() && now - peer.arriving.moved() > kStalled) peer.arriving.forget();
  }
  return taken() == 0 || taken() + size <= options.arriving_bytes;
}

// The news that a connection broke overtakes what it had sent before: such a message does not bring its sender back.
void RouterLink::State::note_message(const SiteName& site, const PublicKeyBytes& key, const Connection& connection) {
  if (closed.contains(connection.route)) return;
  auto& known = routes[key];
  if (known.route != connection.route) peers[key].queue.clear(store);  // what was for an earlier connection is lost with it
  known = connection;
  std::erase(gone, site);
}

template <class Matches>
void RouterLink::State::forget(Matches matches) {
  for (auto it = routes.begin(); it != routes.end();) {
    if (!matches(it->second)) {
      ++it;
      continue;
    }
    gone.push_back(admission.sites.at(it->first));
    peers[it->first].queue.clear(store);
    closed.insert(it->second.route);
    it = routes.erase(it);
  }
}

// Before any message is taken: a descriptor that is closed may be another connection's a moment later.
void RouterLink::State::note_disconnections() {
  while (const auto change = zmq::next_change(monitor)) {
    forget([&](const Connection& connection) { return connection.descriptor == change->value; });
    if (last_unknown && last_unknown->second.descriptor == change->value) last_unknown.reset();
  }
}

std::vector<SiteName> RouterLink::take_gone() {
  state_->note_disconnections();
  return std::exchange(state_->gone, {});
}

std::optional<Received> RouterLink::receive(std::chrono::milliseconds timeout, const JudgeTransfer& judge) {
  constexpr long kPumpMs = 20;
  const zmq::Countdown countdown(timeout);
  for (;;) {
    const bool pending = state_->pump_all();
    std::array<zmq_pollitem_t, 2> items{{{state_->zap.get(), 0, ZMQ_POLLIN, 0}, {state_->router.get(), 0, ZMQ_POLLIN, 0}}};
    const long left = countdown.left_ms();
    if (zmq_poll(items.data(), static_cast<int>(items.size()), pending ? std::min(left, kPumpMs) : left) < 0) {
      if (zmq_errno() == EINTR) return std::nullopt;  // a signal: the owner looks whether to stop
      zmq::fail("cannot wait for messages");
    }
    if (items[0].revents & ZMQ_POLLIN) state_->serve_zap();
    if (!(items[1].revents & ZMQ_POLLIN)) state_->closed.clear();
    state_->note_disconnections();
    if (items[1].revents & ZMQ_POLLIN)
      if (auto received = state_->take_message(judge)) return received;
    if (left == 0) return std::nullopt;
  }
}

// False when the peer's queue is full. Throws nothing for a peer that is gone: that is noted.
bool RouterLink::State::send_frame(const Bytes& route, ByteSpan frame) {
  zmq::Frame head(route);
  if (head.send(router, ZMQ_DONTWAIT | ZMQ_SNDMORE) != 0) {
    if (zmq_errno() == EHOSTUNREACH)
      forget([gone_route = Bytes(route)](const Connection& connection) { return connection.route == gone_route; });
    if (zmq_errno() == EHOSTUNREACH || zmq_errno() == EAGAIN || zmq_errno() == EINTR) return false;
    zmq::fail("cannot send");
  }
  zmq::Frame body(frame);
  while (body.send(router, 0) != 0)
    if (zmq_errno() != EINTR) zmq::fail("cannot send");
  return true;
}

void RouterLink::State::pump(const PublicKeyBytes& key) {
  const auto now = Clock::now();
  for (;;) {
    const auto route = routes.find(key);
    const auto peer = peers.find(key);
    if (route == routes.end() || peer == peers.end()) return;
    const auto frame = peer->second.queue.next(store, now);
    if (!frame || !send_frame(Bytes(route->second.route), *frame)) return;
    peer->second.queue.sent();
  }
}

// Whether anything waits to be sent.
bool RouterLink::State::pump_all() {
  std::vector<PublicKeyBytes> waiting;
  for (const auto& [key, peer] : peers)
    if (!peer.queue.empty()) waiting.push_back(key);
  for (const auto& key : waiting) pump(key);
  return !waiting.empty();
}

Result<void> RouterLink::State::send_to(const Bytes& route, const std::string& whom, ByteSpan frame) {
  if (send_frame(route, frame)) return {};
  return unavailable(whom + " is not connected, or takes nothing now");
}

Result<void> RouterLink::send(const SiteName& peer, const OutgoingMessage& message) {
  auto& s = *state_;
  const std::string whom = "site '" + peer.value() + "'";
  if (message.bytes().size() > kMaxMessageBytes)
    return invalid("message of " + std::to_string(message.bytes().size()) + " bytes to " + whom + "; at most " +
                   std::to_string(kMaxMessageBytes) + " can be sent");
  for (const auto& [key, connection] : s.routes) {
    if (s.admission.sites.at(key) != peer) continue;
    auto& queue = s.peers[key].queue;
    if (!message.whole() && queue.has_transfer(message.digest())) return {};  // it is on its way
    if (queue.size() >= static_cast<std::size_t>(s.options.queued_messages))
      return unavailable("the queue to " + whom + " is full");
    if (!message.whole() && s.store.bytes() > 0 && s.store.bytes() + message.bytes().size() > s.options.leaving_bytes)
      return unavailable("too much waits to be sent to add a message to " + whom);
    queue.push(message, s.store);
    s.pump(PublicKeyBytes(key));
    if (s.routes.contains(PublicKeyBytes(key))) return {};
    break;
  }
  return unavailable(whom + " is not connected");
}

bool RouterLink::connected(const SiteName& peer) const {
  return std::ranges::any_of(state_->routes, [&](const auto& r) { return state_->admission.sites.at(r.first) == peer; });
}

Result<void> RouterLink::reply(const PublicKeyBytes& transport, ByteSpan bytes) {
  Received to{std::nullopt, transport, {}, kProtocolVersion};
  return reply_in_version(to, bytes);
}

Result<void> RouterLink::reply_in_version(const Received& to, ByteSpan bytes) {
  const Bytes frame = to.other_version < kProtocolVersion ? Bytes(bytes.begin(), bytes.end()) : whole_frame(bytes);
  SOTTO_CHECK(frame.size() <= kMaxWholeBytes);
  state_->note_disconnections();
  if (const auto route = state_->routes.find(to.transport); route != state_->routes.end())
    return state_->send_to(Bytes(route->second.route), "the site", frame);
  if (state_->last_unknown && state_->last_unknown->first == to.transport)
    return state_->send_to(state_->last_unknown->second.route, "the joining site", frame);
  return unavailable("the joining site is not connected");
}

void RouterLink::drop_connections() { state_->acceptor->drop_all(); }

std::size_t RouterLink::arriving_bytes() const {
  std::size_t sum = 0;
  for (const auto& [key, peer] : state_->peers) sum += peer.arriving.size();
  return sum;
}

std::uint64_t RouterLink::chunk_bytes_taken() const { return state_->chunk_bytes; }

Acceptor::Counts RouterLink::connections() const { return state_->acceptor->counts(); }

}  // namespace sotto::wire
