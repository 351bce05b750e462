// The coordinator's end. Connections are let in by a ZAP handler (rfc.zeromq.org/spec/27), a REP socket that lives in the
// same thread as the ROUTER and is served inside receive(): no lock, and nobody gets in while the owner is busy elsewhere.
// The handler gives every connection a user id, its transport key in hexadecimal, which libzmq attaches to each message; the
// names are looked up per message, so enrolment and revocation act on connections that are open already.
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
  zmq::Context context;
  zmq::Socket zap;
  zmq::Socket router;
  zmq::Socket monitor;
  std::string endpoint;
  Admission admission;
  struct Connection {
    Bytes route;  // routing id
    int descriptor = -1;
  };
  std::map<PublicKeyBytes, Connection> routes;                        // newest connection of each enrolled key
  std::optional<std::pair<PublicKeyBytes, Connection>> last_unknown;  // whom reply() may answer
  std::vector<SiteName> gone;
  std::set<Bytes> closed;  // routes of broken connections, while messages of theirs may still wait to be taken

  bool admitted(const PublicKeyBytes& key) const { return admission.sites.contains(key) || admission.unknown_may_join; }
  void serve_zap();
  void note_disconnections();
  void note_message(const SiteName& site, const PublicKeyBytes& key, const Connection& connection);
  template <class Matches>
  void forget(Matches matches);
  std::optional<Received> take_message();
  Result<void> send_to(const Bytes& route, const std::string& whom, ByteSpan bytes);
};

RouterLink::RouterLink(std::unique_ptr<State> state) : state_(std::move(state)) {}
RouterLink::RouterLink(RouterLink&&) noexcept = default;
RouterLink& RouterLink::operator=(RouterLink&&) noexcept = default;
RouterLink::~RouterLink() = default;

Result<RouterLink> RouterLink::bind(const std::string& endpoint, const TransportKey& key, LinkOptions options) {
  SOTTO_TRY_VOID(zmq::check_endpoint(endpoint, true));
  auto state = std::make_unique<State>();
  state->context = zmq::make_context();
  state->zap = zmq::make_socket(state->context, ZMQ_REP);
  zmq::set_option(state->zap, ZMQ_LINGER, 0);
  if (zmq_bind(state->zap.get(), kZapEndpoint) != 0) zmq::fail("cannot bind the authenticator");
  state->router = zmq::make_socket(state->context, ZMQ_ROUTER);
  zmq::set_link_options(state->router, key, options);
  zmq::set_option(state->router, ZMQ_CURVE_SERVER, 1);
  zmq::set_option(state->router, ZMQ_ROUTER_MANDATORY, 1);
  zmq::set_option(state->router, ZMQ_ZAP_DOMAIN, as_bytes(kZapDomain));
  if (zmq_bind(state->router.get(), endpoint.c_str()) != 0)
    return unavailable("cannot listen on " + endpoint + ": " + zmq_strerror(zmq_errno()) +
                       "; choose a local address and a free port");
  state->monitor = zmq::watch(state->context, state->router, ZMQ_EVENT_DISCONNECTED);
  state->endpoint = zmq::last_endpoint(state->router);
  return RouterLink(std::move(state));
}

const std::string& RouterLink::endpoint() const { return state_->endpoint; }

void RouterLink::admit(Admission admission) {
  auto& s = *state_;
  s.admission = std::move(admission);
  std::erase_if(s.routes, [&](const auto& route) { return !s.admission.sites.contains(route.first); });
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
std::optional<Received> RouterLink::State::take_message() {
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
  if (!key || !admitted(*key)) return std::nullopt;
  Received received{std::nullopt, *key, {}};
  const State::Connection connection{Bytes(route.bytes().begin(), route.bytes().end()), body.connection()};
  if (const auto site = admission.sites.find(*key); site != admission.sites.end()) {
    received.peer = site->second;
    note_message(site->second, *key, connection);
  } else {
    if (body.bytes().size() > kMaxUnknownPeerBytes) return std::nullopt;
    last_unknown = {*key, connection};
  }
  received.bytes.assign(body.bytes().begin(), body.bytes().end());
  return received;
}

// The news that a connection broke overtakes what it had sent before: such a message does not bring its sender back.
void RouterLink::State::note_message(const SiteName& site, const PublicKeyBytes& key, const Connection& connection) {
  if (closed.contains(connection.route)) return;
  routes[key] = connection;
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

std::optional<Received> RouterLink::receive(std::chrono::milliseconds timeout) {
  const zmq::Countdown countdown(timeout);
  for (;;) {
    std::array<zmq_pollitem_t, 2> items{{{state_->zap.get(), 0, ZMQ_POLLIN, 0}, {state_->router.get(), 0, ZMQ_POLLIN, 0}}};
    const long left = countdown.left_ms();
    if (zmq_poll(items.data(), static_cast<int>(items.size()), left) < 0) {
      if (zmq_errno() == EINTR) return std::nullopt;  // a signal: the owner looks whether to stop
      zmq::fail("cannot wait for messages");
    }
    if (items[0].revents & ZMQ_POLLIN) state_->serve_zap();
    if (!(items[1].revents & ZMQ_POLLIN)) state_->closed.clear();
    state_->note_disconnections();
    if (items[1].revents & ZMQ_POLLIN)
      if (auto received = state_->take_message()) return received;
    if (left == 0) return std::nullopt;
  }
}

Result<void> RouterLink::State::send_to(const Bytes& route, const std::string& whom, ByteSpan bytes) {
  if (bytes.size() > kMaxMessageBytes)
    return invalid("message of " + std::to_string(bytes.size()) + " bytes to " + whom + "; at most " +
                   std::to_string(kMaxMessageBytes) + " can be sent");
  zmq::Frame head(route);
  if (head.send(router, ZMQ_DONTWAIT | ZMQ_SNDMORE) != 0) {
    if (zmq_errno() == EHOSTUNREACH) {
      forget([gone_route = Bytes(route)](const Connection& connection) { return connection.route == gone_route; });
      return unavailable(whom + " is not connected");
    }
    if (zmq_errno() == EAGAIN) return unavailable("the queue to " + whom + " is full");
    zmq::fail("cannot send to " + whom);
  }
  zmq::Frame body(bytes);
  while (body.send(router, 0) != 0)
    if (zmq_errno() != EINTR) zmq::fail("cannot send to " + whom);
  return {};
}

Result<void> RouterLink::send(const SiteName& peer, ByteSpan bytes) {
  for (const auto& [key, connection] : state_->routes)
    if (state_->admission.sites.at(key) == peer)
      return state_->send_to(connection.route, "site '" + peer.value() + "'", bytes);
  return unavailable("site '" + peer.value() + "' is not connected");
}

bool RouterLink::connected(const SiteName& peer) const {
  return std::ranges::any_of(state_->routes, [&](const auto& r) { return state_->admission.sites.at(r.first) == peer; });
}

Result<void> RouterLink::reply(const PublicKeyBytes& transport, ByteSpan bytes) {
  if (const auto route = state_->routes.find(transport); route != state_->routes.end())
    return state_->send_to(route->second.route, "the joining site", bytes);
  if (state_->last_unknown && state_->last_unknown->first == transport)
    return state_->send_to(state_->last_unknown->second.route, "the joining site", bytes);
  return unavailable("the joining site is not connected");
}

}  // namespace sotto::wire
