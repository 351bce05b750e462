// A site's end. A monitor (an inproc PAIR socket that libzmq writes to) tells when the connection opens, closes or is turned
// away. Nothing is queued while there is no connection (ZMQ_IMMEDIATE), so that a new one starts empty and its first message
// is the one that the owner sends upon kConnected.
#include <cerrno>

#include "wire/zmq_socket.h"

namespace sotto::wire {
namespace {

constexpr int kWatched = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED;

}  // namespace

struct DealerLink::State {
  zmq::Context context;
  zmq::Socket dealer;
  zmq::Socket monitor;
  std::string endpoint;
  bool connected = false;
  bool refused = false;  // told since the last connection

  std::optional<DealerEvent> take_change();
  std::optional<DealerEvent> take_message();
};

DealerLink::DealerLink(std::unique_ptr<State> state) : state_(std::move(state)) {}
DealerLink::DealerLink(DealerLink&&) noexcept = default;
DealerLink& DealerLink::operator=(DealerLink&&) noexcept = default;
DealerLink::~DealerLink() = default;

Result<DealerLink> DealerLink::connect(const std::string& endpoint, const PublicKeyBytes& coordinator,
                                       const TransportKey& key, LinkOptions options) {
  SOTTO_TRY_VOID(zmq::check_endpoint(endpoint, false));
  auto state = std::make_unique<State>();
  state->endpoint = endpoint;
  state->context = zmq::make_context();
  state->dealer = zmq::make_socket(state->context, ZMQ_DEALER);
  zmq::set_link_options(state->dealer, key, options);
  zmq::set_option(state->dealer, ZMQ_CURVE_PUBLICKEY, transport_public_key(key));
  zmq::set_option(state->dealer, ZMQ_CURVE_SERVERKEY, coordinator);
  zmq::set_option(state->dealer, ZMQ_IMMEDIATE, 1);
  zmq::set_option(state->dealer, ZMQ_RECONNECT_IVL, 100);
  zmq::set_option(state->dealer, ZMQ_RECONNECT_IVL_MAX, 2000);
  state->monitor = zmq::watch(state->context, state->dealer, kWatched);
  if (zmq_connect(state->dealer.get(), endpoint.c_str()) != 0)
    return invalid("cannot connect to " + endpoint + ": " + zmq_strerror(zmq_errno()));
  return DealerLink(std::move(state));
}

std::optional<DealerEvent> DealerLink::State::take_change() {
  const auto change = zmq::next_change(monitor);
  if (!change) return std::nullopt;
  const int event = change->event;
  if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
    connected = true;
    refused = false;
    return DealerEvent{DealerEvent::Kind::kConnected, {}, {}};
  }
  if (event == ZMQ_EVENT_DISCONNECTED) {
    if (!connected) return std::nullopt;
    connected = false;
    return DealerEvent{DealerEvent::Kind::kDisconnected, {}, {}};
  }
  if (refused) return std::nullopt;  // retried in the background: once is enough
  refused = true;
  return DealerEvent{DealerEvent::Kind::kRefused,
                     {},
                     event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
                         ? "the coordinator at " + endpoint +
                               " does not let this site's key in: it is not enrolled there, was "
                               "revoked, or its invite was used or withdrawn; ask the coordinator's operator"
                         : "the coordinator at " + endpoint +
                               " broke off the handshake: most likely its key is not the one in "
                               "the invite code; ask its operator for the code and fingerprint again"};
}

std::optional<DealerEvent> DealerLink::State::take_message() {
  auto frames = zmq::receive_all(dealer);
  if (frames.size() != 1) return std::nullopt;
  return DealerEvent{DealerEvent::Kind::kMessage, std::move(frames[0]), {}};
}

std::optional<DealerEvent> DealerLink::receive(std::chrono::milliseconds timeout) {
  const zmq::Countdown countdown(timeout);
  for (;;) {
    std::array<zmq_pollitem_t, 2> items{
        {{state_->monitor.get(), 0, ZMQ_POLLIN, 0}, {state_->dealer.get(), 0, ZMQ_POLLIN, 0}}};
    const long left = countdown.left_ms();
    if (zmq_poll(items.data(), static_cast<int>(items.size()), left) < 0) {
      if (zmq_errno() == EINTR) return std::nullopt;  // a signal: the owner looks whether to stop
      zmq::fail("cannot wait for messages");
    }
    if (items[0].revents & ZMQ_POLLIN) {
      if (auto change = state_->take_change()) return change;
    } else if (items[1].revents & ZMQ_POLLIN) {
      if (auto message = state_->take_message()) return message;
    }
    if (left == 0) return std::nullopt;
  }
}

Result<void> DealerLink::send(ByteSpan bytes, std::chrono::milliseconds timeout) {
  if (bytes.size() > kMaxMessageBytes)
    return invalid("message of " + std::to_string(bytes.size()) + " bytes to the coordinator; at most " +
                   std::to_string(kMaxMessageBytes) + " can be sent");
  const zmq::Countdown countdown(timeout);
  zmq::Frame frame(bytes);
  for (;;) {
    if (frame.send(state_->dealer, ZMQ_DONTWAIT) == 0) return {};
    if (zmq_errno() != EAGAIN && zmq_errno() != EINTR) zmq::fail("cannot send");
    const long left = countdown.left_ms();
    if (left == 0) return unavailable("the coordinator at " + state_->endpoint + " cannot be reached now");
    zmq_pollitem_t item{state_->dealer.get(), 0, ZMQ_POLLOUT, 0};
    zmq_poll(&item, 1, left);
  }
}

}  // namespace sotto::wire
