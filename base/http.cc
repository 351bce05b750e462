#include "base/http.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace sotto {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// One thread of libmicrohttpd serves all connections by events, so that one that is slow holds up nobody; it costs memory alone, and
// not for long. Beyond kCrowded connections they have less time.
constexpr unsigned kMostConnections = 256;
constexpr std::size_t kCrowded = 128;
constexpr auto kRequestTime = 15s;  // for a whole request, however its bytes are spread
constexpr auto kRequestTimeCrowded = 2s;
constexpr unsigned kIdleSeconds = 10;  // of a connection that is kept alive
constexpr auto kReadTime = 30s;        // until whoever is sent a piece of a stream has taken what waits
constexpr std::size_t kMostWaiting = 64 << 10;
constexpr std::size_t kPiece = 16 << 10;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

using Values = std::map<std::string, std::string>;

MHD_Result take_value(void* to, MHD_ValueKind, const char* name, const char* value) {
  static_cast<Values*>(to)->emplace(name, value == nullptr ? "" : value);
  return MHD_YES;
}

MHD_Result take_header(void* to, MHD_ValueKind, const char* name, const char* value) {
  static_cast<Values*>(to)->emplace(lower(name), value == nullptr ? "" : value);
  return MHD_YES;
}

// Listens where nobody else does: no SO_REUSEPORT, under which two servers would share a port and each get some of the requests.
Result<int> listen_on(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); failed != 0)
    return invalid("'" + host + "' is no address of this machine: " + ::gai_strerror(failed));
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;  // a port that was just left can be had again; one with a listener cannot
  const bool listens = fd >= 0 && ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                       ::bind(fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd, 128) == 0;
  const int error = errno;
  ::freeaddrinfo(found);
  if (listens) return fd;
  if (fd >= 0) ::close(fd);
  return unavailable(
      "cannot listen on " + host + ":" + std::to_string(port) + ": " + std::strerror(error) +
      (error == EADDRINUSE ? ". Another program listens there; stop it, or choose another port with --port" : ""));
}

std::uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

std::string HttpRequest::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

std::string HttpRequest::cookie(const std::string& name) const {
  const std::string all = header("cookie");
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find(';', begin), all.size());
    const std::size_t first = std::min(all.find_first_not_of(' ', begin), end);
    const std::string one = all.substr(first, end - first);
    if (one.starts_with(name + "=")) return one.substr(name.size() + 1);
    begin = end + 1;
  }
  return "";
}

// libmicrohttpd's thread reads requests and writes responses; the thread in serve() runs the handler. They share what is below, under
// `mutex`. A connection whose request waits for the handler, or whose response waits for more of a stream, is suspended.
struct HttpServer::State {
  // A request and what becomes of it.
  struct Exchange {
    MHD_Connection* connection = nullptr;
    HttpRequest request;
    bool queued = false;                   // for the handler
    bool in_work = false;                  // the handler's thread uses it
    bool gone = false;                     // its connection is
    std::optional<HttpResponse> response;  // from the handler
    std::string waiting;                   // of a stream: not yet sent
    bool ended = false;                    // of a stream: nothing follows
    bool suspended = false;
    State* state = nullptr;
  };
  struct Connection {
    int fd = -1;
    Clock::time_point since;  // its request began, or its last one ended
    bool ours = false;        // the request is whole: it waits for us
  };

  std::mutex mutex;
  std::condition_variable changed;
  std::list<Exchange> exchanges;
  std::deque<Exchange*> queue;
  std::map<MHD_Connection*, Connection> connections;
  std::function<HttpResponse(const HttpRequest&)> handler;
  std::string host;
  std::uint16_t port = 0;
  std::size_t max_body_bytes = 0;
  MHD_Daemon* daemon = nullptr;
  bool stopping = false;

  ~State() { stop(); }

  void stop() {
    if (daemon == nullptr) return;
    {
      const std::lock_guard lock(mutex);
      stopping = true;  // from here on nothing is suspended, which libmicrohttpd demands before its end
      for (auto& e : exchanges) {
        e.ended = true;
        resume(e);
      }
    }
    MHD_stop_daemon(std::exchange(daemon, nullptr));
  }

  static void resume(Exchange& e) {
    if (std::exchange(e.suspended, false)) MHD_resume_connection(e.connection);
  }
  static void suspend(Exchange& e) {
    e.suspended = true;
    MHD_suspend_connection(e.connection);
  }

  bool is_ours(const std::string& name) const {
    const std::string with_port = ":" + std::to_string(port);
    return name == host + with_port || name == "localhost" + with_port || name == "127.0.0.1" + with_port ||
           name == "[::1]" + with_port;
  }

  // Before a body is read. 0: it may come. Compressed and chunked bodies could grow without bound.
  unsigned refusal(const HttpRequest& in) const {
    if (!is_ours(lower(in.header("host")))) return 421;
    if (!in.header("content-encoding").empty() || !in.header("transfer-encoding").empty()) return 415;
    const std::string length = in.header("content-length");
    if (length.size() > 12 || std::strtoull(length.c_str(), nullptr, 10) > max_body_bytes) return 413;
    return in.method == "GET" || in.method == "POST" ? 0 : 405;
  }

  static MHD_Result refuse(MHD_Connection* connection, unsigned status) {
    const char* why = status == 413   ? "refused: the body is too large\n"
                      : status == 405 ? "refused: this server knows GET and POST\n"
                                      : "refused: a name that is not this server's, or a compressed or chunked body\n";
    MHD_Response* response =
        MHD_create_response_from_buffer(std::strlen(why), const_cast<char*>(why), MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
    MHD_add_response_header(response, "Connection", "close");  // the body was not read
    const MHD_Result sent = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return sent;
  }

  MHD_Result begin(MHD_Connection* connection, const char* url, const char* method, void** exchange) {
    Exchange e;
    e.connection = connection;
    e.state = this;
    e.request.method = method;
    e.request.path = url;
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &take_value, &e.request.query);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, &take_header, &e.request.headers);
    if (const unsigned status = refusal(e.request); status != 0) return refuse(connection, status);
    const std::lock_guard lock(mutex);
    exchanges.push_back(std::move(e));
    *exchange = &exchanges.back();
    return MHD_YES;
  }

  // The next piece of a stream, for libmicrohttpd.
  static ssize_t read_stream(void* exchange, std::uint64_t, char* to, std::size_t most) {
    Exchange& e = *static_cast<Exchange*>(exchange);
    const std::lock_guard lock(e.state->mutex);
    if (e.waiting.empty() && e.ended) return MHD_CONTENT_READER_END_OF_STREAM;
    const std::size_t n = std::min(most, e.waiting.size());
    std::copy_n(e.waiting.begin(), n, to);
    e.waiting.erase(0, n);
    if (n == 0 && !e.state->stopping)
      suspend(e);
    else
      e.state->changed.notify_all();
    return static_cast<ssize_t>(n);
  }

  // The mutex is held.
  MHD_Result respond(Exchange& e) {
    const HttpResponse& r = *e.response;
    MHD_Response* response =
        r.stream ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kPiece, &read_stream, &e, nullptr)
                 : MHD_create_response_from_buffer(r.body.size(), const_cast<char*>(r.body.data()), MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", r.type.c_str());
    for (const auto& [name, value] : r.headers) MHD_add_response_header(response, name.c_str(), value.c_str());
    const MHD_Result sent = MHD_queue_response(e.connection, static_cast<unsigned>(r.status), response);
    MHD_destroy_response(response);
    connections[e.connection].since = Clock::now();
    connections[e.connection].ours = static_cast<bool>(r.stream);
    return sent;
  }

  static MHD_Result on_access(void* self, MHD_Connection* connection, const char* url, const char* method, const char*,
                              const char* data, std::size_t* size, void** exchange) {
    State& state = *static_cast<State*>(self);
    if (*exchange == nullptr) return state.begin(connection, url, method, exchange);
    Exchange& e = *static_cast<Exchange*>(*exchange);
    if (*size > 0) {
      if (e.request.body.size() + *size > state.max_body_bytes) return MHD_NO;  // more than it said
      e.request.body.append(data, std::exchange(*size, 0));
      return MHD_YES;
    }
    const std::lock_guard lock(state.mutex);
    if (e.response) return state.respond(e);
    if (state.stopping) return MHD_NO;
    if (!e.queued) {
      e.queued = true;
      state.connections[connection].ours = true;
      state.queue.push_back(&e);
      state.changed.notify_all();
    }
    suspend(e);
    return MHD_YES;
  }

  static void on_end(void* self, MHD_Connection* connection, void** exchange, MHD_RequestTerminationCode) {
    State& state = *static_cast<State*>(self);
    const std::lock_guard lock(state.mutex);
    if (const auto at = state.connections.find(connection); at != state.connections.end())
      at->second = {at->second.fd, Clock::now(), false};
    auto* e = static_cast<Exchange*>(std::exchange(*exchange, nullptr));
    if (e == nullptr) return;
    std::erase(state.queue, e);
    e->gone = true;
    if (!e->in_work) state.remove(e);
    state.changed.notify_all();
  }

  void remove(const Exchange* e) {
    exchanges.remove_if([&](const Exchange& other) { return &other == e; });
  }

  static void on_connection(void* self, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode code) {
    State& state = *static_cast<State*>(self);
    const std::lock_guard lock(state.mutex);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
      state.connections.erase(connection);
      return;
    }
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    state.end_slow_ones();
    state.connections[connection] = {info == nullptr ? -1 : info->connect_fd, Clock::now(), false};
  }

  // Ends connections whose request is not whole in time. The mutex is held, so their descriptors are still theirs.
  void end_slow_ones() {
    const auto limit = connections.size() > kCrowded ? kRequestTimeCrowded : kRequestTime;
    const auto now = Clock::now();
    for (auto& [connection, c] : connections)
      if (!c.ours && c.fd >= 0 && now - c.since > limit) ::shutdown(c.fd, SHUT_RDWR);
  }

  // Runs the handler for one request, and its stream. `lock` is held on entry and on return.
  void work(std::unique_lock<std::mutex>& lock) {
    Exchange& e = *queue.front();
    queue.pop_front();
    e.in_work = true;
    lock.unlock();
    HttpResponse response = handler(e.request);
    lock.lock();
    e.response = std::move(response);
    resume(e);
    if (e.response->stream) {
      lock.unlock();
      e.response->stream([&](std::string_view piece) { return write(e, piece); });
      lock.lock();
      e.ended = true;
      resume(e);
    }
    e.in_work = false;
    if (e.gone) remove(&e);
  }

  bool write(Exchange& e, std::string_view piece) {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, kReadTime, [&] { return e.gone || e.ended || e.waiting.size() < kMostWaiting; })) {
      if (const auto at = connections.find(e.connection); at != connections.end()) ::shutdown(at->second.fd, SHUT_RDWR);
      return false;
    }
    if (e.gone || e.ended) return false;
    e.waiting.append(piece);
    resume(e);
    return true;
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer& HttpServer::operator=(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;

Result<HttpServer> HttpServer::bind(const HttpOptions& options, std::function<HttpResponse(const HttpRequest&)> handler) {
  auto state = std::make_unique<State>();
  State& s = *state;
  s.handler = std::move(handler);
  s.host = lower(options.host);
  s.max_body_bytes = options.max_body_bytes;
  SOTTO_TRY(const int listener, listen_on(options.host, options.port));
  s.port = port_of(listener);
  s.daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr,
                              &State::on_access, &s, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
                              kMostConnections, MHD_OPTION_CONNECTION_TIMEOUT, kIdleSeconds, MHD_OPTION_NOTIFY_COMPLETED,
                              &State::on_end, &s, MHD_OPTION_NOTIFY_CONNECTION, &State::on_connection, &s, MHD_OPTION_END);
  if (s.daemon == nullptr) {
    ::close(listener);
    return unavailable("cannot serve on " + options.host + ":" + std::to_string(s.port) + ": " + std::strerror(errno));
  }
  return HttpServer(std::move(state));
}

std::uint16_t HttpServer::port() const { return state_->port; }

void HttpServer::serve(const std::function<bool()>& stop) {
  State& s = *state_;
  while (!stop()) {
    std::unique_lock lock(s.mutex);
    s.changed.wait_for(lock, 100ms, [&] { return !s.queue.empty(); });
    s.end_slow_ones();
    if (!s.queue.empty()) s.work(lock);
  }
  s.stop();
}

}  // namespace sotto
