#include "client/measure/review.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/system_random.h"
#include "evaluation/review_page.h"
#include "evaluation/review_report.h"

namespace sotto::client {
namespace {

using evaluation::Sheet;

constexpr const char* kCookie = "sotto_review";
constexpr std::size_t kMaxSessions = 1000;

HttpResponse with_headers(HttpResponse response) {
  response.headers["Content-Security-Policy"] =
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'";
  response.headers["X-Content-Type-Options"] = "nosniff";
  response.headers["Referrer-Policy"] = "no-referrer";
  response.headers["Cache-Control"] = "no-store";
  return response;
}

HttpResponse json_response(int status, const Json& json) { return {status, "application/json", json.dump(), {}, {}}; }
HttpResponse refusal(int status, const std::string& why) { return json_response(status, Json::object({{"error", why}})); }

HttpResponse page(std::string_view type, std::string_view body) {
  return {200, std::string(type), std::string(body), {}, {}};
}

std::optional<std::size_t> place_of(const std::string& text, const Sheet& sheet) {
  if (text == "last") return sheet.order.size() - 1;
  std::size_t place = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), place);
  if (error != std::errc() || end != text.data() + text.size() || place >= sheet.order.size()) return std::nullopt;
  return place;
}

// The first open place behind `after`, else the first of all.
std::size_t next_open(const Sheet& sheet, std::optional<std::size_t> after) {
  for (std::size_t i = after ? *after + 1 : sheet.order.size(); i < sheet.order.size(); ++i)
    if (!sheet.ratings.contains(sheet.order[i])) return i;
  return evaluation::first_open(sheet);
}

bool is_loopback(const std::string& host) { return host == "localhost" || host.starts_with("127."); }

}  // namespace

Result<ReviewServer> ReviewServer::open(const std::string& folder, RandomSource& random) {
  SOTTO_TRY(auto set, evaluation::read_review(folder));
  std::vector<Sheet> sheets;
  for (const auto& rater : set.raters) {
    SOTTO_TRY(sheets.emplace_back(), evaluation::open_sheet(folder, set, rater, random));
  }
  return ReviewServer(folder, std::move(set), std::move(sheets), random);
}

HttpResponse ReviewServer::on(const HttpRequest& request) {
  if (request.method == "GET" && request.path == "/")
    return with_headers(page("text/html; charset=utf-8", evaluation::kReviewHtml));
  if (request.method == "GET" && request.path == "/review.css")
    return with_headers(page("text/css; charset=utf-8", evaluation::kReviewCss));
  if (request.method == "GET" && request.path == "/review.js")
    return with_headers(page("text/javascript; charset=utf-8", evaluation::kReviewScript));
  return with_headers(api(request));
}

HttpResponse ReviewServer::api(const HttpRequest& request) {
  const bool post = request.method == "POST";
  // A form of another site can send neither this type nor a header of its own.
  if (post && request.header("content-type") != "application/json") return refusal(415, "the body must be application/json");
  if (post && request.path == "/api/login") return login(request);
  if (!request.path.starts_with("/api/")) return refusal(404, "there is nothing here");
  const Session* session = session_of(request);
  if (!session) return refusal(401, "Please log in with your personal code.");
  Sheet& sheet = sheets_[session->rater];
  if (post && request.header("x-csrf") != session->csrf) return refusal(403, "This page is out of date; load it again.");
  if (post && request.path == "/api/rate") return rate(request, sheet);
  if (!post && request.path == "/api/session") return json_response(200, welcome(*session));
  if (!post && request.path == "/api/next") {
    const auto after = request.query.find("after");
    return show(sheet, next_open(sheet, after == request.query.end() ? std::nullopt : place_of(after->second, sheet)));
  }
  if (!post && request.path == "/api/item") return item(request, sheet);
  return refusal(404, "there is nothing here");
}

HttpResponse ReviewServer::login(const HttpRequest& request) {
  const auto body = Json::parse(request.body, "the request");
  const auto token = body.ok() ? body->get_string("token") : Result<std::string>(body.error());
  if (!token.ok()) return refusal(400, "a code is missing");
  // Digests are compared, so that the time it takes tells nothing about a code.
  const auto digest = crypto::sha256(as_bytes(*token));
  for (std::size_t i = 0; i < sheets_.size(); ++i) {
    if (crypto::sha256(as_bytes(sheets_[i].token)) != digest) continue;
    if (sessions_.size() >= kMaxSessions) sessions_.clear();
    const std::string cookie = random_hex();
    const Session session{i, random_hex()};
    sessions_[cookie] = session;
    HttpResponse response = json_response(200, welcome(session));
    response.headers["Set-Cookie"] = std::string(kCookie) + "=" + cookie + "; Path=/; HttpOnly; SameSite=Strict";
    return response;
  }
  return refusal(403, "This code is not known. Please take the link as it was sent to you.");
}

Json ReviewServer::welcome(const Session& session) const {
  Json dimensions = Json::array();
  for (const auto& d : set_.dimensions)
    dimensions.push(Json::object(
        {{"name", d.name}, {"question", d.question}, {"anchors", Json(Json::Array(d.anchors.begin(), d.anchors.end()))}}));
  return Json::object(
      {{"csrf", session.csrf},
       {"set",
        Json::object({{"title", set_.title}, {"instructions", set_.instructions}, {"dimensions", std::move(dimensions)}})}});
}

HttpResponse ReviewServer::show(const Sheet& sheet, std::size_t place) const {
  return json_response(
      200, Json::object({{"rater", sheet.rater},
                         {"rated", sheet.ratings.size()},
                         {"total", sheet.order.size()},
                         {"item", place < sheet.order.size() ? evaluation::blind_view(set_, sheet, place) : Json()}}));
}

HttpResponse ReviewServer::item(const HttpRequest& request, const Sheet& sheet) const {
  const auto text = request.query.find("place");
  const auto place = text == request.query.end() ? std::nullopt : place_of(text->second, sheet);
  if (!place) return refusal(404, "there is no item at that place");
  return show(sheet, *place);
}

HttpResponse ReviewServer::rate(const HttpRequest& request, Sheet& sheet) {
  const auto body = Json::parse(request.body, "the request");
  if (!body.ok()) return refusal(400, "the rating is not valid JSON");
  Sheet changed = sheet;
  if (const auto done = evaluation::rate(set_, changed, *body); !done.ok()) return refusal(400, done.error().message);
  if (const auto saved = evaluation::save_sheet(folder_, set_, changed); !saved.ok()) {
    log(Level::kError, "rating_not_saved", {{"reason", saved.error().message}});
    return refusal(500, "The rating could not be saved; please tell whoever sent you the link.");
  }
  sheet = std::move(changed);
  return json_response(200, Json::object({{"rated", sheet.ratings.size()}}));
}

const ReviewServer::Session* ReviewServer::session_of(const HttpRequest& request) const {
  const auto at = sessions_.find(request.cookie(kCookie));
  return at == sessions_.end() ? nullptr : &at->second;
}

std::string ReviewServer::random_hex() {
  std::array<std::uint8_t, 16> bytes{};
  random_->fill(bytes);
  return to_hex(bytes);
}

Result<void> serve_review(const ReviewCommand& command, const std::function<bool()>& stop) {
  if (command.port < 0 || command.port > 65535)
    return invalid("--port is " + std::to_string(command.port) + "; it must be from 0 (any) to 65535");
  // Requests are refused unless they name the server as it is called here, so it must be called by a name that raters can
  // use.
  if (command.host == "0.0.0.0" || command.host.find(':') != std::string::npos)
    return invalid("--host is '" + command.host + "'; give the one IPv4 address or name by which raters reach this machine");
  SOTTO_TRY_VOID(evaluation::read_review(command.folder));  // before anything is written into the folder
  SOTTO_TRY(const auto lock, FileLock::acquire(command.folder + "/lock"));
  crypto::SystemRandom random;
  SOTTO_TRY(auto review, ReviewServer::open(command.folder, random));
  SOTTO_TRY(auto server, HttpServer::bind({command.host, static_cast<std::uint16_t>(command.port)},
                                          [&](const HttpRequest& request) { return review.on(request); }));
  if (!is_loopback(command.host))
    log(Level::kWarning, "review_without_tls",
        {{"host", command.host},
         {"next_step", "use it only in a network that you trust, or keep it on loopback behind a proxy with TLS"}});
  const std::string address = "http://" + command.host + ":" + std::to_string(server.port()) + "/";
  Json raters = Json::array();
  for (const auto& sheet : review.sheets()) {
    raters.push(Json::object({{"rater", sheet.rater},
                              {"link", address + "#" + sheet.token},
                              {"rated", sheet.ratings.size()},
                              {"items", sheet.order.size()}}));
    if (!command.json)
      std::cout << sheet.rater << "  " << address << "#" << sheet.token << "  (" << sheet.ratings.size() << " of "
                << sheet.order.size() << " rated)\n";
  }
  if (command.json)
    std::cout << Json::object({{"address", address}, {"raters", raters}}).dump() << '\n';
  else
    std::cout << "Give each rater their own link, and to nobody else. Ctrl-C ends.\n";
  std::cout.flush();
  server.serve(stop);
  return {};
}

Result<void> report_review(const ReviewCommand& command) {
  SOTTO_TRY(const auto set, evaluation::read_review(command.folder));
  std::vector<Sheet> sheets;
  for (const auto& rater : set.raters) {
    if (!evaluation::sheet_exists(command.folder, rater)) continue;
    SOTTO_TRY(sheets.emplace_back(), evaluation::read_sheet(command.folder, set, rater));
  }
  const bool none = std::ranges::all_of(sheets, [](const Sheet& sheet) { return sheet.ratings.empty(); });
  if (none)
    return not_found("'" + command.folder + "' has no rating yet; let raters work with 'review serve " + command.folder +
                     "' first");
  const Json report = evaluation::review_json(set, sheets);
  std::cout << (command.json ? report.dump() + "\n" : evaluation::review_text(report));
  return {};
}

}  // namespace sotto::client
