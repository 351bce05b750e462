#include "wire/zmq_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace sotto::wire {

PublicKeyBytes transport_public_key(const TransportKey& key) {
  // libzmq computes public keys between Z85 texts only; the text of the private key is wiped.
  std::array<char, 41> secret_text{};
  std::array<char, 41> public_text{};
  if (zmq_z85_encode(secret_text.data(), key.reveal().data(), key.reveal().size()) == nullptr)
    zmq::fail("cannot encode a key");
  const int rc = zmq_curve_public(public_text.data(), secret_text.data());
  crypto::wipe({reinterpret_cast<std::uint8_t*>(secret_text.data()), secret_text.size()});
  if (rc != 0) zmq::fail("libzmq cannot compute a CURVE key (was it built without CURVE?)");
  PublicKeyBytes out{};
  if (zmq_z85_decode(out.data(), public_text.data()) == nullptr) zmq::fail("cannot decode a key");
  return out;
}

Result<void> check_endpoint(const std::string& endpoint) { return zmq::check_endpoint(endpoint, true); }

namespace zmq {

void fail(const std::string& what) { throw Failure("zeromq: " + what + ": " + zmq_strerror(zmq_errno())); }

void ContextCloser::operator()(void* context) const {
  // Waits for the linger of the sockets; a signal interrupts the wait, which then goes on.
  while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
  }
}

Context make_context() {
  Context context(zmq_ctx_new());
  if (!context) fail("cannot make a context");
  return context;
}

void SocketCloser::operator()(void* socket) const { zmq_close(socket); }

Socket make_socket(const Context& context, int type) {
  Socket socket(zmq_socket(context.get(), type));
  if (!socket) fail("cannot make a socket");
  return socket;
}

void set_option(const Socket& socket, int option, int value) {
  if (zmq_setsockopt(socket.get(), option, &value, sizeof value) != 0) fail("cannot set option " + std::to_string(option));
}

void set_option(const Socket& socket, int option, ByteSpan value) {
  if (zmq_setsockopt(socket.get(), option, value.data(), value.size()) != 0)
    fail("cannot set option " + std::to_string(option));
}

std::string last_endpoint(const Socket& socket) {
  std::array<char, 256> text{};
  std::size_t size = text.size();
  if (zmq_getsockopt(socket.get(), ZMQ_LAST_ENDPOINT, text.data(), &size) != 0) fail("cannot read the endpoint");
  return text.data();
}

void set_link_options(const Socket& socket, const TransportKey& key, const LinkOptions& options) {
  const std::int64_t largest = kMaxFrameBytes;  // of every frame, the handshake's too
  if (zmq_setsockopt(socket.get(), ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0) fail("cannot limit message sizes");
  set_option(socket, ZMQ_CURVE_SECRETKEY, key.reveal());
  set_option(socket, ZMQ_LINGER, static_cast<int>(options.linger.count()));
  set_option(socket, ZMQ_SNDHWM, options.queued_messages);
}

Frame::Frame() { zmq_msg_init(&message_); }

Frame::Frame(ByteSpan bytes) {
  if (zmq_msg_init_size(&message_, bytes.size()) != 0)
    fail("no memory for a message of " + std::to_string(bytes.size()) + " bytes");
  std::copy(bytes.begin(), bytes.end(), static_cast<std::uint8_t*>(zmq_msg_data(&message_)));
}

Frame::~Frame() { zmq_msg_close(&message_); }

int Frame::receive(const Socket& socket, int flags) { return zmq_msg_recv(&message_, socket.get(), flags) < 0 ? -1 : 0; }

int Frame::send(const Socket& socket, int flags) { return zmq_msg_send(&message_, socket.get(), flags) < 0 ? -1 : 0; }

ByteSpan Frame::bytes() const {
  return {static_cast<const std::uint8_t*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
}

Socket watch(const Context& context, const Socket& socket, int events) {
  constexpr const char* kEndpoint = "inproc://monitor";
  if (zmq_socket_monitor(socket.get(), kEndpoint, events) != 0) fail("cannot watch connections");
  Socket monitor = make_socket(context, ZMQ_PAIR);
  set_option(monitor, ZMQ_LINGER, 0);
  if (zmq_connect(monitor.get(), kEndpoint) != 0) fail("cannot watch connections");
  return monitor;
}

// Two frames: event number (u16) with value (u32), both in host order, and the endpoint.
std::optional<Change> next_change(const Socket& monitor) {
  const auto frames = receive_all(monitor);
  if (frames.empty() || frames[0].size() < 6) return std::nullopt;
  std::uint16_t event = 0;
  std::int32_t value = 0;
  std::memcpy(&event, frames[0].data(), sizeof event);
  std::memcpy(&value, frames[0].data() + sizeof event, sizeof value);
  return Change{event, value};
}

std::vector<Bytes> receive_all(const Socket& socket) {
  std::vector<Bytes> frames;
  for (;;) {
    Frame frame;
    if (frame.receive(socket, ZMQ_DONTWAIT) != 0) {
      if (zmq_errno() == EINTR) continue;
      if (zmq_errno() == EAGAIN) return frames;
      fail("cannot receive");
    }
    frames.emplace_back(frame.bytes().begin(), frame.bytes().end());
    if (!frame.more()) return frames;
  }
}

Result<void> check_endpoint(const std::string& endpoint, bool any_port) {
  const std::string scheme = "tcp://";
  const auto colon = endpoint.rfind(':');
  unsigned port = 0;
  const bool shaped = endpoint.starts_with(scheme) && colon != std::string::npos && colon > scheme.size();
  const char* first = endpoint.data() + (shaped ? colon + 1 : 0);
  const char* last = endpoint.data() + endpoint.size();
  const auto parsed =
      shaped ? std::from_chars(first, last, port) : std::from_chars_result{first, std::errc::invalid_argument};
  const bool good = shaped && parsed.ec == std::errc{} && parsed.ptr == last && port <= 65535 && (any_port || port > 0);
  if (!good)
    return invalid("endpoint '" + endpoint + "' is not tcp://HOST:PORT with a port from " + (any_port ? "0" : "1") +
                   " to 65535");
  return {};
}

long Countdown::left_ms() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
  return static_cast<long>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
}

}  // namespace zmq
}  // namespace sotto::wire
