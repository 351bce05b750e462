#include "base/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

namespace sotto {
namespace {

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    const timeval patience{30, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }

  void send(const std::string& text) const { REQUIRE(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) > 0); }
  std::string rest() const {  // until the server closes
    std::string out;
    char piece[4096];
    for (ssize_t n = 0; (n = ::recv(fd_, piece, sizeof piece, 0)) > 0;) out.append(piece, static_cast<std::size_t>(n));
    return out;
  }

 private:
  int fd_;
};

struct Served {
  HttpServer server;
  std::atomic<bool> stop = false;
  std::thread thread;

  explicit Served(std::function<HttpResponse(const HttpRequest&)> handler)
      : server(HttpServer::bind({"127.0.0.1", 0, 1000}, std::move(handler)).value()),
        thread([this] { server.serve([this] { return stop.load(); }); }) {}
  ~Served() {
    stop = true;
    thread.join();
  }
  std::string ask(const std::string& line, const std::string& more = "", const std::string& host = "127.0.0.1") const {
    const Client client(server.port());
    client.send(line + " HTTP/1.1\r\nHost: " + host + ":" + std::to_string(server.port()) + "\r\nConnection: close\r\n" +
                more);
    return client.rest();
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

HttpResponse echo(const HttpRequest& in) {
  HttpResponse out;
  out.body = in.method + " " + in.path + " q=" + (in.query.contains("q") ? in.query.at("q") : "-") + " " + in.body + " " +
             in.cookie("b");
  out.headers["X-Mine"] = "yes";
  return out;
}

TEST_CASE("a request reaches the handler whole, and its answer comes back", "[base][http]") {
  const Served served(echo);
  const auto got = served.ask("GET /a%20b?q=1%262", "Cookie: a=1; b=two\r\n\r\n");
  CHECK(has(got, "200 OK"));
  CHECK(has(got, "X-Mine: yes"));
  CHECK(has(got, "GET /a b q=1&2  two"));
  CHECK(has(served.ask("POST /x", "Content-Length: 5\r\n\r\nhello"), "POST /x q=- hello"));
}

TEST_CASE("other hosts, open-ended bodies, large ones and other methods are refused", "[base][http]") {
  const Served served(echo);
  CHECK(has(served.ask("GET /", "\r\n", "evil.example"), " 421 "));
  CHECK(has(served.ask("POST /", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), " 415 "));
  CHECK(has(served.ask("POST /", "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"), " 415 "));
  CHECK(has(served.ask("POST /", "Content-Length: 1001\r\n\r\n" + std::string(1001, 'x')), " 413 "));
  CHECK(has(served.ask("DELETE /", "\r\n"), " 405 "));
}

TEST_CASE("a second server on the same port is refused", "[base][http]") {
  const Served served(echo);
  const auto second = HttpServer::bind({"127.0.0.1", served.server.port(), 1000}, echo);
  REQUIRE_FALSE(second.ok());
  CHECK(has(second.error().message, "Another program listens there"));
}

TEST_CASE("two hundred half-open requests do not keep others from being answered", "[base][http]") {
  const Served served(echo);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(std::make_unique<Client>(served.server.port()));
    slow.back()->send(i % 2 == 0 ? "GET / HT" : "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nab");
  }
  for (int i = 0; i < 5; ++i) CHECK(has(served.ask("GET /alive", "\r\n"), "GET /alive"));
  CHECK(slow[0]->rest().empty());  // ended by the server: the test would wait for ever otherwise
}

TEST_CASE("a stream arrives piece by piece, and whoever makes it learns that its reader is gone", "[base][http]") {
  std::atomic<bool> told = false;
  const Served served([&](const HttpRequest& in) {
    HttpResponse out;
    out.stream = [&, endless = in.path == "/endless"](const HttpWrite& write) {
      for (int i = 0; endless || i < 3; ++i)
        if (!write("piece " + std::to_string(i) + ";" + std::string(endless ? 10000 : 0, '.'))) {
          told = true;
          return;
        }
    };
    return out;
  });
  const auto got = served.ask("GET /three", "\r\n");
  for (const char* piece : {"piece 0;", "piece 1;", "piece 2;"}) CHECK(has(got, piece));
  {
    const Client client(served.server.port());
    client.send("GET /endless HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(served.server.port()) + "\r\n\r\n");
  }
  CHECK(has(served.ask("GET /three", "\r\n"), "piece 2;"));  // answered once the endless one has ended
  CHECK(told);
}

}  // namespace
}  // namespace sotto
