#include "wire/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "wire/zmq_socket.h"

namespace sotto::wire {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSweepMs = 200;                           // how often time limits are looked at
constexpr auto kFlushWithin = std::chrono::seconds(5);  // what is left for a peer when libzmq has closed its end

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

Descriptor spare() { return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// One end of a connection, and what epoll was told about it.
struct End {
  Descriptor fd;
  std::uint32_t watched = 0;
  Bytes waiting;  // to be written to this end
  bool eof = false;
};

struct Connection {
  End outer;
  End inner;
  std::uint32_t source = 0;
  Clock::time_point opened;
  std::string name;  // of the inner end: how libzmq's side knows it
  bool proven = false;
  bool dropped = false;
  std::size_t in_libzmq = 0;  // bytes given to libzmq that its owner has not taken
};

struct Note {  // from the owner of the libzmq socket
  std::string name;
  std::size_t bytes = 0;
  bool enrolled = false;
};

std::string name_of(const sockaddr_un& address, socklen_t size) {
  constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
  return size > kHead ? std::string(address.sun_path, size - kHead) : std::string();
}

Error system_error(const std::string& what) {
  return unavailable(what + ": " + std::strerror(errno) + "; choose a local address and a free port");
}

Result<sockaddr_in> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host == "*" ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (rc != 0)
    return unavailable("cannot listen on tcp://" + host + ":" + port + ": " + ::gai_strerror(rc) +
                       "; choose a local address and a free port");
  sockaddr_in address{};
  std::memcpy(&address, found->ai_addr, sizeof address);
  ::freeaddrinfo(found);
  return address;
}

}  // namespace

struct Acceptor::State {
  ConnectionLimits limits;
  std::string endpoint;
  sockaddr_un inner{};
  socklen_t inner_size = 0;
  Descriptor listener;
  Descriptor poll;
  Descriptor wake;
  Descriptor reserve = spare();
  bool accepting = false;
  std::map<int, std::unique_ptr<Connection>> by_outer;
  std::map<int, Connection*> by_inner;
  std::map<std::string, Connection*> by_name;
  std::array<std::uint8_t, 64 << 10> scratch{};
  std::thread thread;

  mutable std::mutex mutex;  // of what follows
  std::vector<Note> notes;
  bool drop_all = false;
  bool stop = false;
  Counts counts;

  void loop();
  void accept_all();
  void admit(Descriptor fd, std::uint32_t source);
  void evict_for_room();
  bool open_inner(Connection& c);
  void move_in(Connection& c);
  void move_out(Connection& c);
  bool flush(End& end);
  std::size_t room(const Connection& c) const;
  void service(Connection& c);
  void watch(End& end, std::uint32_t events);
  void update(Connection& c);
  void sweep();
  void take_notes();
  void turned_away();
};

void Acceptor::State::turned_away() {
  const std::lock_guard lock(mutex);
  ++counts.turned_away;
}

// An end that nothing is wanted of is not watched at all: epoll always reports a hang-up, and would do so without pause.
void Acceptor::State::watch(End& end, std::uint32_t events) {
  if (!end.fd.open() || events == end.watched) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = end.fd.get();
  const int what = events == 0 ? EPOLL_CTL_DEL : end.watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(poll.get(), what, end.fd.get(), &event) == 0) end.watched = events;
}

void Acceptor::State::accept_all() {
  for (int i = 0; i < 64 && by_outer.size() < limits.connections; ++i) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    Descriptor fd(::accept4(listener.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.open()) {
      admit(std::move(fd), from.sin_addr.s_addr);
      continue;
    }
    if (errno != EMFILE && errno != ENFILE) return;
    // No descriptor is left: the reserve turns one caller away, so that it does not wait for nothing.
    reserve.close();
    Descriptor(::accept(listener.get(), nullptr, nullptr)).close();
    reserve = spare();
    turned_away();
    return;
  }
}

void Acceptor::State::admit(Descriptor fd, std::uint32_t source) {
  const auto unproven_of = std::ranges::count_if(
      by_outer, [&](const auto& entry) { return !entry.second->proven && entry.second->source == source; });
  if (static_cast<std::size_t>(unproven_of) >= limits.unproven_per_source) return turned_away();
  evict_for_room();
  auto connection = std::make_unique<Connection>();
  const int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  connection->outer.fd = std::move(fd);
  connection->source = source;
  connection->opened = Clock::now();
  Connection& c = *connection;
  by_outer[c.outer.fd.get()] = std::move(connection);
  update(c);
}

// Of the source with the most unproven connections the oldest one goes: a flood displaces its own.
void Acceptor::State::evict_for_room() {
  std::map<std::uint32_t, std::size_t> of_source;
  std::size_t unproven = 0;
  for (const auto& [fd, c] : by_outer)
    if (!c->proven && !c->dropped) ++of_source[c->source], ++unproven;
  if (unproven < limits.unproven) return;
  Connection* victim = nullptr;
  for (const auto& [fd, c] : by_outer) {
    if (c->proven || c->dropped) continue;
    const auto rank = [&](const Connection& x) { return std::pair(of_source[x.source], Clock::now() - x.opened); };
    if (!victim || rank(*c) > rank(*victim)) victim = c.get();
  }
  victim->dropped = true;
  turned_away();
}

// False when libzmq's listener is busy: tried again at the next sweep.
bool Acceptor::State::open_inner(Connection& c) {
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return false;
  sockaddr_un own{};
  own.sun_family = AF_UNIX;
  // Binding to no address takes a free abstract one.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(sa_family_t)) != 0) return false;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&inner), inner_size) != 0) return false;
  socklen_t size = sizeof own;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size);
  c.name = name_of(own, size);
  c.inner.fd = std::move(fd);
  by_inner[c.inner.fd.get()] = &c;
  by_name[c.name] = &c;
  return true;
}

std::size_t Acceptor::State::room(const Connection& c) const {
  const std::size_t window = c.proven ? kWindow : kUnprovenWindow;
  return window - std::min(window, c.in_libzmq);
}

// Writes what waits; false when the end is broken.
bool Acceptor::State::flush(End& end) {
  while (!end.waiting.empty()) {
    const ssize_t n = ::send(end.fd.get(), end.waiting.data(), end.waiting.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    end.waiting.erase(end.waiting.begin(), end.waiting.begin() + n);
  }
  Bytes().swap(end.waiting);
  return true;
}

void Acceptor::State::move_in(Connection& c) {
  while (!c.outer.eof && c.inner.waiting.empty() && room(c) > 0) {
    if (!c.inner.fd.open() && !open_inner(c)) return;
    const std::size_t most = std::min(scratch.size(), room(c));
    const ssize_t n = ::recv(c.outer.fd.get(), scratch.data(), most, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      c.outer.eof = true;
      return;
    }
    c.in_libzmq += static_cast<std::size_t>(n);
    c.inner.waiting.assign(scratch.begin(), scratch.begin() + n);
    if (!flush(c.inner)) c.dropped = true;
  }
}

void Acceptor::State::move_out(Connection& c) {
  while (c.inner.fd.open() && !c.inner.eof && c.outer.waiting.empty()) {
    const ssize_t n = ::recv(c.inner.fd.get(), scratch.data(), scratch.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      c.inner.eof = true;
      c.opened = Clock::now();  // from here on it is the time to flush that counts
      return;
    }
    c.outer.waiting.assign(scratch.begin(), scratch.begin() + n);
    if (!flush(c.outer)) c.dropped = true;
  }
}

void Acceptor::State::service(Connection& c) {
  if (c.dropped) return;
  if (!flush(c.outer) || (c.inner.fd.open() && !flush(c.inner))) c.dropped = true;
  if (!c.dropped) move_in(c);
  if (!c.dropped) move_out(c);
  update(c);
}

void Acceptor::State::update(Connection& c) {
  if (c.outer.eof && c.inner.waiting.empty()) c.dropped = true;
  if (c.inner.eof && c.outer.waiting.empty()) c.dropped = true;
  if (c.dropped) return;
  const bool read_outer = !c.outer.eof && c.inner.waiting.empty() && room(c) > 0;
  watch(c.outer, (read_outer ? EPOLLIN : 0u) | (c.outer.waiting.empty() ? 0u : EPOLLOUT));
  watch(c.inner, (!c.inner.eof && c.outer.waiting.empty() ? EPOLLIN : 0u) | (c.inner.waiting.empty() ? 0u : EPOLLOUT));
}

void Acceptor::State::take_notes() {
  std::vector<Note> taken;
  bool all = false;
  {
    const std::lock_guard lock(mutex);
    taken.swap(notes);
    all = std::exchange(drop_all, false);
  }
  for (const auto& note : taken) {
    const auto found = by_name.find(note.name);
    if (found == by_name.end()) continue;
    Connection& c = *found->second;
    c.proven = c.proven || note.enrolled;
    c.in_libzmq -= std::min(c.in_libzmq, note.bytes);
    service(c);
  }
  if (all)
    for (const auto& [fd, c] : by_outer) c->dropped = true;
}

// Time limits, connections that are over, and whether there is room for more.
void Acceptor::State::sweep() {
  const auto now = Clock::now();
  std::size_t unproven = 0;
  for (auto it = by_outer.begin(); it != by_outer.end();) {
    Connection& c = *it->second;
    if (!c.dropped && !c.proven && now - c.opened > limits.prove_within) {
      c.dropped = true;
      turned_away();
    }
    if (c.inner.eof && now - c.opened > kFlushWithin) c.dropped = true;
    if (!c.dropped) {
      if (!c.inner.fd.open()) service(c);
      unproven += c.proven ? 0 : 1;
      ++it;
      continue;
    }
    if (c.inner.fd.open()) {
      by_inner.erase(c.inner.fd.get());
      by_name.erase(c.name);
    }
    it = by_outer.erase(it);
  }
  const bool room_for_more = by_outer.size() < limits.connections;
  if (room_for_more != accepting) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener.get();
    ::epoll_ctl(poll.get(), room_for_more ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener.get(), &event);
    accepting = room_for_more;
  }
  const std::lock_guard lock(mutex);
  counts.open = by_outer.size();
  counts.unproven = unproven;
}

void Acceptor::State::loop() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    sweep();
    const int n = ::epoll_wait(poll.get(), events.data(), static_cast<int>(events.size()), kSweepMs);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener.get()) {
        accept_all();
      } else if (fd == wake.get()) {
        std::uint64_t ignored = 0;
        if (::read(fd, &ignored, sizeof ignored) < 0) continue;
      } else if (const auto outer = by_outer.find(fd); outer != by_outer.end()) {
        service(*outer->second);
      } else if (const auto inner_end = by_inner.find(fd); inner_end != by_inner.end()) {
        service(*inner_end->second);
      }
    }
    take_notes();
    const std::lock_guard lock(mutex);
    if (stop) return;
  }
}

Acceptor::Acceptor(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Acceptor>> Acceptor::listen(const std::string& endpoint, const std::string& inner,
                                                   const ConnectionLimits& limits) {
  SOTTO_TRY_VOID(zmq::check_endpoint(endpoint, true));
  const auto colon = endpoint.rfind(':');
  const std::string host = endpoint.substr(6, colon - 6);
  SOTTO_TRY(sockaddr_in address, resolve(host, endpoint.substr(colon + 1)));
  auto state = std::make_unique<State>();
  auto& s = *state;
  s.limits = limits;
  s.inner.sun_family = AF_UNIX;
  SOTTO_CHECK(inner.size() + 1 < sizeof s.inner.sun_path);
  std::copy(inner.begin(), inner.end(), s.inner.sun_path + 1);
  s.inner_size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + inner.size());
  s.listener = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  s.poll = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  s.wake = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!s.listener.open() || !s.poll.open() || !s.wake.open()) return system_error("cannot listen on " + endpoint);
  const int one = 1;
  ::setsockopt(s.listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(s.listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(s.listener.get(), 512) != 0)
    return system_error("cannot listen on " + endpoint);
  socklen_t size = sizeof address;
  ::getsockname(s.listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  s.endpoint = "tcp://" + (host == "*" ? std::string("0.0.0.0") : host) + ":" + std::to_string(ntohs(address.sin_port));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = s.wake.get();
  ::epoll_ctl(s.poll.get(), EPOLL_CTL_ADD, s.wake.get(), &event);
  s.thread = std::thread([&s] { s.loop(); });
  return std::unique_ptr<Acceptor>(new Acceptor(std::move(state)));
}

Acceptor::~Acceptor() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  ::eventfd_write(state_->wake.get(), 1);
  state_->thread.join();
}

const std::string& Acceptor::endpoint() const { return state_->endpoint; }

void Acceptor::took(int descriptor, std::size_t bytes, bool enrolled) {
  sockaddr_un peer{};
  socklen_t size = sizeof peer;
  if (descriptor < 0 || ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;
  if (peer.sun_family != AF_UNIX) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->notes.push_back({name_of(peer, size), bytes, enrolled});
  }
  ::eventfd_write(state_->wake.get(), 1);
}

void Acceptor::drop_all() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->drop_all = true;
  }
  ::eventfd_write(state_->wake.get(), 1);
}

Acceptor::Counts Acceptor::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts;
}

}  // namespace sotto::wire
