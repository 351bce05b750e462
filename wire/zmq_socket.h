// libzmq's C API with owners and Failures: contexts and sockets that close themselves, message frames, options. Internal to
// wire. What the machine or we do wrong is a Failure; EAGAIN, EINTR and EHOSTUNREACH are the caller's to read from errno.
#pragma once

#include <zmq.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "wire/link.h"

namespace sotto::wire::zmq {

[[noreturn]] void fail(const std::string& what);  // Failure with libzmq's reason

struct ContextCloser {
  void operator()(void* context) const;
};
using Context = std::unique_ptr<void, ContextCloser>;
Context make_context();

struct SocketCloser {
  void operator()(void* socket) const;
};
using Socket = std::unique_ptr<void, SocketCloser>;
Socket make_socket(const Context& context, int type);

void set_option(const Socket& socket, int option, int value);
void set_option(const Socket& socket, int option, ByteSpan value);
std::string last_endpoint(const Socket& socket);

// What the sockets of both ends have in common: keys, limits, heartbeats.
void set_link_options(const Socket& socket, const TransportKey& key, const LinkOptions& options);

class Frame {
 public:
  Frame();
  explicit Frame(ByteSpan bytes);
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame();
  // 0, or -1 with errno.
  int receive(const Socket& socket, int flags);
  int send(const Socket& socket, int flags);
  bool more() const { return zmq_msg_more(&message_) != 0; }
  ByteSpan bytes() const;
  int connection() const {
    return zmq_msg_get(&message_, ZMQ_SRCFD);
  }  // file descriptor it came in on; -1 when there is none
  const char* property(const char* name) const { return zmq_msg_gets(&message_, name); }  // nullptr when there is none

 private:
  mutable zmq_msg_t message_;
};

// A PAIR socket to which libzmq writes the given events (ZMQ_EVENT_...) of `socket`; and the next of them, if there is one.
Socket watch(const Context& context, const Socket& socket, int events);
struct Change {
  int event = 0;
  int value = 0;  // for ZMQ_EVENT_DISCONNECTED the connection's file descriptor
};
std::optional<Change> next_change(const Socket& monitor);

// Every frame of the next message, or empty when none is there.
std::vector<Bytes> receive_all(const Socket& socket);

// tcp://HOST:PORT; port 0 is allowed only where `any_port` is.
Result<void> check_endpoint(const std::string& endpoint, bool any_port);

// A point in time from which waits are counted down.
class Countdown {
 public:
  explicit Countdown(std::chrono::milliseconds timeout) : end_(std::chrono::steady_clock::now() + timeout) {}
  long left_ms() const;  // never negative

 private:
  std::chrono::steady_clock::time_point end_;
};

}  // namespace sotto::wire::zmq
