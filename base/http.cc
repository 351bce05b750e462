#include "base/http.h"

#include <httplib.h>

#include <chrono>
#include <mutex>
#include <thread>

namespace sotto {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

HttpRequest request_of(const httplib::Request& in) {
  HttpRequest out{in.method, in.path, {}, {}, in.body};
  for (const auto& [name, value] : in.params) out.query.emplace(name, value);
  for (const auto& [name, value] : in.headers) out.headers.emplace(lower(name), value);
  return out;
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

struct HttpServer::State {
  httplib::Server server;
  std::mutex one_at_a_time;
  std::function<HttpResponse(const HttpRequest&)> handler;
  std::string host;
  std::uint16_t port = 0;

  bool is_ours(const std::string& name) const {
    const std::string with_port = ":" + std::to_string(port);
    return name == host + with_port || name == "localhost" + with_port || name == "127.0.0.1" + with_port;
  }

  // Before a body is read. Compressed and chunked bodies are refused: they could grow without bound.
  bool refused(const httplib::Request& in, httplib::Response& out) const {
    const bool open_ended = in.has_header("Content-Encoding") || in.has_header("Transfer-Encoding");
    if (is_ours(lower(in.get_header_value("Host"))) && !open_ended) return false;
    out.status = open_ended ? 415 : 421;
    out.set_header("Connection", "close");  // the body was not read
    out.set_content("refused: a name that is not this server's, or a compressed or chunked body\n",
                    "text/plain; charset=utf-8");
    return true;
  }

  void answer(const httplib::Request& in, httplib::Response& out) {
    const std::lock_guard lock(one_at_a_time);
    const HttpResponse response = handler(request_of(in));
    out.status = response.status;
    for (const auto& [name, value] : response.headers) out.set_header(name, value);
    if (!response.stream) {
      out.set_content(response.body, response.type);
      return;
    }
    out.set_chunked_content_provider(response.type, [this, make = response.stream](std::size_t, httplib::DataSink& sink) {
      const std::lock_guard one(one_at_a_time);
      make([&](std::string_view piece) { return sink.write(piece.data(), piece.size()); });
      sink.done();
      return true;
    });
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
  s.server.set_payload_max_length(options.max_body_bytes);
  s.server.set_read_timeout(10);
  s.server.set_write_timeout(10);
  s.server.set_keep_alive_max_count(100);
  s.server.set_keep_alive_timeout(1);  // an idle connection must not hold up the end
  s.server.set_pre_routing_handler([&s](const httplib::Request& in, httplib::Response& out) {
    return s.refused(in, out) ? httplib::Server::HandlerResponse::Handled : httplib::Server::HandlerResponse::Unhandled;
  });
  s.server.new_task_queue = [] { return new httplib::ThreadPool(8); };
  const auto answer = [&s](const httplib::Request& in, httplib::Response& out) { s.answer(in, out); };
  s.server.Get(".*", answer);
  s.server.Post(".*", answer);
  const int port = options.port == 0 ? s.server.bind_to_any_port(options.host.c_str())
                   : s.server.bind_to_port(options.host.c_str(), options.port) ? options.port
                                                                               : -1;
  if (port <= 0)
    return unavailable("cannot listen on " + options.host + ":" + std::to_string(options.port) +
                       "; is the port taken? Choose another with --port");
  s.port = static_cast<std::uint16_t>(port);
  return HttpServer(std::move(state));
}

std::uint16_t HttpServer::port() const { return state_->port; }

void HttpServer::serve(const std::function<bool()>& stop) {
  std::thread listener([this] { state_->server.listen_after_bind(); });
  while (!stop()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  state_->server.stop();
  listener.join();
}

}  // namespace sotto
