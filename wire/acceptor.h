// The coordinator's front door: accepts TCP connections before libzmq sees them, because libzmq 4.3 has no hook before its
// handshake. It forwards bytes, both ways and unread, between each connection and a socket inside this process (an abstract
// Unix address that only this process may connect to). What it adds is measure:
//   - a connection that has not shown an enrolled key is "unproven"; there are few of them in all and from one source (an
//     IPv4 address), each has a time limit, and at most kUnprovenWindow bytes of it are let through;
//   - of every connection at most kWindow bytes lie in libzmq that its owner has not taken yet: the rest waits in the kernel,
//     so libzmq needs no queue limit of its own and never stops reading (a connection that ends while its reading is stopped
//     aborts libzmq 4.3.4: "!_io_error");
//   - near the limit of connections it stops accepting; one descriptor is kept in reserve to turn a caller away.
// One thread of its own; the methods may be called from any other.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace sotto::wire {

struct ConnectionLimits {
  std::size_t connections = 1024;        // in all
  std::size_t unproven = 128;            // in all, that have not shown an enrolled key
  std::size_t unproven_per_source = 32;  // of one address: raise it where many sites share one
  std::chrono::milliseconds prove_within{30000};
};

class Acceptor {
 public:
  static constexpr std::size_t kUnprovenWindow = 36 << 10;  // a handshake and one frame
  static constexpr std::size_t kWindow = 128 << 10;

  // Listens on `endpoint`, tcp://ADDRESS:PORT with a local IPv4 address, a name of one, or '*'; port 0 takes a free one. Bytes
  // go to the abstract Unix address `inner`.
  static Result<std::unique_ptr<Acceptor>> listen(const std::string& endpoint, const std::string& inner,
                                                  const ConnectionLimits& limits);
  ~Acceptor();

  const std::string& endpoint() const;  // with the port that was taken

  // `descriptor` is libzmq's end of a connection: `bytes` of it were taken, and its key is enrolled or not.
  void took(int descriptor, std::size_t bytes, bool enrolled);
  // Ends every connection; honest peers open new ones.
  void drop_all();

  struct Counts {
    std::size_t open = 0;
    std::size_t unproven = 0;
    std::uint64_t turned_away = 0;  // over a limit, or not proven in time
  };
  Counts counts() const;

 private:
  struct State;
  explicit Acceptor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::wire
