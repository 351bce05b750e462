// Encrypted, authenticated message links over ZeroMQ with CURVE (curvezmq.org: X25519 keys, fresh session keys for each
// connection). The coordinator has one RouterLink, every site one DealerLink to it: sites open one outbound connection and
// no port. Both ends know the other's long-term transport key beforehand: the site from its invite code, the coordinator
// from the site's enrolment. Messages arrive whole, in order and at most once within a connection; a message that was on its
// way when a connection broke is lost, which both ends learn by the next connection (DealerEvent::kConnected, then the
// site's Hello). Frames are small in every phase; a long message travels in chunks (frames.h), and one that is sent again
// after a connection broke goes on where its receiver stands.
//
// A link belongs to the thread that made it, and moves chunks only inside its calls. The destructor waits up to `linger` for
// messages that were sent but have not left.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "crypto/secret.h"
#include "plan/run_plan.h"
#include "wire/acceptor.h"
#include "wire/frames.h"

namespace sotto::wire {

using TransportKey = crypto::Secret<32, struct TransportKeyTag>;  // X25519 private key; any 32 bytes are one
PublicKeyBytes transport_public_key(const TransportKey& key);

// One message, either way.
constexpr std::size_t kMaxMessageBytes = std::size_t{256} << 20;
// What a peer that is not enrolled may send: a Join is far smaller.
constexpr std::size_t kMaxUnknownPeerBytes = 4096;

// tcp://HOST:PORT with a port from 0 to 65535; the error says so.
Result<void> check_endpoint(const std::string& endpoint);

struct LinkOptions {
  std::chrono::milliseconds linger{5000};
  std::chrono::milliseconds heartbeat{2000};         // how often a silent connection is probed
  std::chrono::milliseconds heartbeat_limit{20000};  // a connection that is silent for longer is dead
  int queued_messages = 64;                          // of one peer and direction; a full queue refuses, it does not grow
  // Of a RouterLink:
  ConnectionLimits connections;
  std::size_t arriving_bytes = std::size_t{1} << 30;  // of all messages that are arriving in chunks; one a peer
  std::size_t leaving_bytes = std::size_t{1} << 30;   // of all messages that wait to leave in chunks
};

// Who is let in. Checked when a connection opens and again for every message, so that a revoked key is silenced at once.
struct Admission {
  std::map<PublicKeyBytes, SiteName> sites;  // transport key -> site
  bool unknown_may_join = false;             // an invite is outstanding
};

struct Received {
  std::optional<SiteName> peer;  // nullopt: a key that is not enrolled; nothing but a Join is to be taken from it
  PublicKeyBytes transport{};    // proven by the handshake
  Bytes bytes;
  unsigned other_version = 0;  // not 0: a frame of this protocol version came, and `bytes` is empty
};

// Whether a long message may come, told by its first bytes and its size, before memory is taken for it.
using JudgeTransfer = std::function<bool(const SiteName& peer, ByteSpan first_bytes, std::uint64_t size)>;

class RouterLink {
 public:
  // `endpoint` is tcp://ADDRESS:PORT with a local address; port 0 takes a free one. Fails when it cannot be bound.
  static Result<RouterLink> bind(const std::string& endpoint, const TransportKey& key, LinkOptions options = {});
  RouterLink(RouterLink&&) noexcept;
  RouterLink& operator=(RouterLink&&) noexcept;
  ~RouterLink();

  const std::string& endpoint() const;  // with the port that was taken
  void admit(Admission admission);      // nobody, until this is called

  // The next message, or nullopt after `timeout`. Handshakes go on only inside this call.
  std::optional<Received> receive(std::chrono::milliseconds timeout, const JudgeTransfer& judge = {});

  // Sites whose newest connection broke since the last call and which have not been heard on another one. A message that was
  // under way when its connection broke may still be received; it does not bring its sender back.
  std::vector<SiteName> take_gone();
  // `peer` has said something on a connection that is not known to be broken.
  bool connected(const SiteName& peer) const;

  // Sends on the newest connection on which `peer` has said anything. Fails (kUnavailable) when there is none or its queue
  // is full, and (kInvalid) when the message is too large. Success means queued, not delivered.
  Result<void> send(const SiteName& peer, const OutgoingMessage& message);
  Result<void> send(const SiteName& peer, Bytes message) { return send(peer, OutgoingMessage(std::move(message))); }
  // The answer to a Join: to the key that sent it, in one frame.
  Result<void> reply(const PublicKeyBytes& transport, ByteSpan bytes);
  // The same in the frames of another protocol version (version 3 had none: a frame was a message).
  Result<void> reply_in_version(const Received& to, ByteSpan bytes);

  // Ends every connection: sites open new ones and say Hello.
  void drop_connections();
  Acceptor::Counts connections() const;
  std::size_t arriving_bytes() const;       // of messages that are arriving in chunks
  std::uint64_t chunk_bytes_taken() const;  // payload of chunks that were taken so far

 private:
  struct State;
  explicit RouterLink(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct DealerEvent {
  enum class Kind {
    kMessage,
    kConnected,     // a new connection, the first or a later one: say Hello
    kDisconnected,  // it is being opened again
    kRefused,       // the coordinator does not let this key in, or its own key is not the expected one; it is tried again
    kOtherVersion,  // the coordinator speaks another version of the protocol
  };
  Kind kind = Kind::kMessage;
  Bytes bytes;         // of kMessage
  std::string detail;  // of kRefused and kOtherVersion: a sentence
};

class DealerLink {
 public:
  // Returns at once; the connection is opened, and opened again when it breaks, in the background. Fails only when
  // `endpoint` is no tcp://HOST:PORT.
  static Result<DealerLink> connect(const std::string& endpoint, const PublicKeyBytes& coordinator, const TransportKey& key,
                                    LinkOptions options = {});
  DealerLink(DealerLink&&) noexcept;
  DealerLink& operator=(DealerLink&&) noexcept;
  ~DealerLink();

  // Waits up to `timeout` for a connection with room; fails with kUnavailable after that, kInvalid when too large. A long
  // message is under way when it returns: the wait ends when it has arrived, or `timeout` after its last progress, and
  // receive() moves the rest.
  Result<void> send(ByteSpan bytes, std::chrono::milliseconds timeout);
  // The next message or change of the connection, or nullopt after `timeout`.
  std::optional<DealerEvent> receive(std::chrono::milliseconds timeout);

 private:
  struct State;
  explicit DealerLink(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::wire
