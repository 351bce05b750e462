// A site's end. A monitor (an inproc PAIR socket that libzmq writes to) tells when the connection opens, closes or is turned
// away. Nothing is queued while there is no connection (ZMQ_IMMEDIATE), so that a new one starts empty and its first message
// is the one that the owner sends upon kConnected.
#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>

#include "wire/zmq_socket.h"

namespace sotto::wire {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWatched = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED;

}  // namespace

struct DealerLink::State {
  zmq::Context context;
  zmq::Socket dealer;
  zmq::Socket monitor;
  std::string endpoint;
  LinkOptions options;
  bool connected = false;
  bool refused = false;  // told since the last connection

  SendQueue queue;
  MessageStore store;
  Arriving arriving;
  std::deque<DealerEvent> inbox;  // what came in while a message was being sent

  std::optional<DealerEvent> take_change();
  std::optional<DealerEvent> take_message();
  std::optional<Bytes> take_chunk(const ChunkFrame& chunk);
  void pump();
  std::optional<DealerEvent> next(long wait_ms);
};

DealerLink::DealerLink(std::unique_ptr<State> state) : state_(std::move(state)) {}
DealerLink::DealerLink(DealerLink&&) noexcept = default;
DealerLink& DealerLink::operator=(DealerLink&&) noexcept = default;

DealerLink::~DealerLink() {
  if (!state_) return;
  const zmq::Countdown countdown(state_->options.linger);
  while (state_->connected && !state_->queue.empty() && countdown.left_ms() > 0) state_->next(20);
}

Result<DealerLink> DealerLink::connect(const std::string& endpoint, const PublicKeyBytes& coordinator,
                                       const TransportKey& key, LinkOptions options) {
  SOTTO_TRY_VOID(zmq::check_endpoint(endpoint, false));
  auto state = std::make_unique<State>();
  state->endpoint = endpoint;
  state->options = options;
  state->context = zmq::make_context();
  state->dealer = zmq::make_socket(state->context, ZMQ_DEALER);
  zmq::set_link_options(state->dealer, key, options);
  zmq::set_option(state->dealer, ZMQ_CURVE_PUBLICKEY, transport_public_key(key));
  zmq::set_option(state->dealer, ZMQ_CURVE_SERVERKEY, coordinator);
  zmq::set_option(state->dealer, ZMQ_RCVHWM, options.queued_messages);
  // No heartbeats of this end: a timer of libzmq 4.3.4 that fires after reading was stopped and the peer went aborts the
  // process. The coordinator's heartbeats, with their time to live, serve both ends, and the kernel's probes this one.
  zmq::set_option(state->dealer, ZMQ_TCP_KEEPALIVE, 1);
  zmq::set_option(state->dealer, ZMQ_TCP_KEEPALIVE_IDLE, 10);
  zmq::set_option(state->dealer, ZMQ_TCP_KEEPALIVE_INTVL, 5);
  zmq::set_option(state->dealer, ZMQ_TCP_KEEPALIVE_CNT, 3);
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
    queue.clear(store);
    return DealerEvent{DealerEvent::Kind::kConnected, {}, {}};
  }
  if (event == ZMQ_EVENT_DISCONNECTED) {
    if (!connected) return std::nullopt;
    connected = false;
    queue.clear(store);
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
  const auto frame = parse_frame(frames[0]);
  if (const auto* other = std::get_if<OtherVersionFrame>(&frame))
    return DealerEvent{
        DealerEvent::Kind::kOtherVersion,
        {},
        version_mismatch("the coordinator at " + endpoint, other->version, "sotto-coordinator there", "sotto-client")};
  if (const auto* whole = std::get_if<WholeFrame>(&frame))
    return DealerEvent{DealerEvent::Kind::kMessage, Bytes(whole->message.begin(), whole->message.end()), {}};
  std::optional<Bytes> message;
  if (const auto* chunk = std::get_if<ChunkFrame>(&frame)) message = take_chunk(*chunk);
  if (const auto* answer = std::get_if<AnswerFrame>(&frame)) queue.on(*answer, store, Clock::now());
  if (!message) return std::nullopt;
  return DealerEvent{DealerEvent::Kind::kMessage, std::move(*message), {}};
}

std::optional<Bytes> DealerLink::State::take_chunk(const ChunkFrame& chunk) {
  const auto now = Clock::now();
  const auto say = [&](AnswerFrame::Kind kind, std::uint64_t offset) { queue.answer({kind, chunk.digest, offset}); };
  if (!arriving.is(chunk.digest)) {
    if (chunk.offset != 0) {
      say(AnswerFrame::Kind::kTaken, 0);
      return std::nullopt;
    }
    if (chunk.size > kMaxMessageBytes) {
      say(AnswerFrame::Kind::kRefused, 0);
      return std::nullopt;
    }
    arriving.begin(chunk, now);
  }
  auto whole = arriving.take(chunk, now);
  if (whole || arriving.any())
    say(AnswerFrame::Kind::kTaken, whole ? chunk.size : arriving.have());
  else
    say(AnswerFrame::Kind::kRefused, 0);
  return whole;
}

void DealerLink::State::pump() {
  while (connected) {
    const auto frame = queue.next(store, Clock::now());
    if (!frame) return;
    zmq::Frame out(*frame);
    if (out.send(dealer, ZMQ_DONTWAIT) == 0) {
      queue.sent();
      continue;
    }
    if (zmq_errno() == EAGAIN || zmq_errno() == EINTR) return;
    zmq::fail("cannot send");
  }
}

// The next event, if one comes within `wait_ms`; moves chunks besides.
std::optional<DealerEvent> DealerLink::State::next(long wait_ms) {
  constexpr long kPumpMs = 20;
  pump();
  std::array<zmq_pollitem_t, 2> items{{{monitor.get(), 0, ZMQ_POLLIN, 0}, {dealer.get(), 0, ZMQ_POLLIN, 0}}};
  if (zmq_poll(items.data(), static_cast<int>(items.size()), queue.empty() ? wait_ms : std::min(wait_ms, kPumpMs)) < 0) {
    if (zmq_errno() == EINTR) return std::nullopt;  // a signal: the owner looks whether to stop
    zmq::fail("cannot wait for messages");
  }
  if (items[0].revents & ZMQ_POLLIN) return take_change();
  if (!(items[1].revents & ZMQ_POLLIN)) return std::nullopt;
  auto message = take_message();
  pump();
  return message;
}

std::optional<DealerEvent> DealerLink::receive(std::chrono::milliseconds timeout) {
  auto& s = *state_;
  if (!s.inbox.empty()) {
    auto event = std::move(s.inbox.front());
    s.inbox.pop_front();
    return event;
  }
  const zmq::Countdown countdown(timeout);
  for (;;) {
    const long left = countdown.left_ms();
    if (auto event = s.next(left)) return event;
    if (left == 0) return std::nullopt;
  }
}

Result<void> DealerLink::send(ByteSpan bytes, std::chrono::milliseconds timeout) {
  auto& s = *state_;
  if (bytes.size() > kMaxMessageBytes)
    return invalid("message of " + std::to_string(bytes.size()) + " bytes to the coordinator; at most " +
                   std::to_string(kMaxMessageBytes) + " can be sent");
  const OutgoingMessage message(Bytes(bytes.begin(), bytes.end()));
  const Error unreachable = unavailable("the coordinator at " + s.endpoint + " cannot be reached now");
  if (!message.whole() && s.queue.has_transfer(message.digest())) return {};  // it is on its way
  zmq::Countdown countdown(timeout);
  // A connection that broke is news in the inbox: what is sent after it is for the next one, which says Hello first.
  while (!s.connected || s.queue.size() >= static_cast<std::size_t>(s.options.queued_messages)) {
    if (countdown.left_ms() == 0) return unreachable;
    if (auto event = s.next(countdown.left_ms())) s.inbox.push_back(std::move(*event));
  }
  s.queue.push(message, s.store);
  s.pump();
  auto left = s.queue.bytes_left();
  while (s.connected && !s.queue.empty() && countdown.left_ms() > 0) {
    if (auto event = s.next(countdown.left_ms())) s.inbox.push_back(std::move(*event));
    if (const auto now = s.queue.bytes_left(); now < left) {
      left = now;
      countdown = zmq::Countdown(timeout);
    }
  }
  if (!s.connected) return unreachable;
  return {};
}

}  // namespace sotto::wire
