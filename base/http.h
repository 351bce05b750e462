// A small HTTP/1.1 server for pages on this machine: one handler, called by the thread in serve(). No TLS: it listens on
// loopback unless told otherwise, and a port that another program listens on is refused. libmicrohttpd does the protocol (http.cc).
// Requests are limited in size and in the time that they may take as a whole, so that slow clients hold up nobody. A request whose
// Host is not one of ours is refused, so that no other page's name can be pointed at it (DNS rebinding).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sotto {

struct HttpRequest {
  std::string method;  // "GET" or "POST"
  std::string path;    // decoded, without the query
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case; of several with one name the first
  std::string body;

  std::string header(const std::string& name) const;  // empty when it is not there
  std::string cookie(const std::string& name) const;
};

// Sends a piece of a body; false when whoever asked is gone.
using HttpWrite = std::function<bool(std::string_view piece)>;

struct HttpResponse {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::map<std::string, std::string> headers;
  std::function<void(const HttpWrite&)>
      stream;  // makes the body piece by piece, in place of `body`; called as the handler is
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any that is free
  std::size_t max_body_bytes = 64 * 1024;
};

class HttpServer {
 public:
  // Binds at once; refused when the address cannot be had.
  static Result<HttpServer> bind(const HttpOptions& options, std::function<HttpResponse(const HttpRequest&)> handler);
  HttpServer(HttpServer&&) noexcept;
  HttpServer& operator=(HttpServer&&) noexcept;
  ~HttpServer();

  std::uint16_t port() const;
  // Serves until `stop` says so; it is asked several times a second.
  void serve(const std::function<bool()>& stop);

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto
