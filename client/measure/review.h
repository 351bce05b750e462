// `sotto-client review serve` and `review report`: the web page on which experts compare two models' answers blindly
// (evaluation/review.h), and what came out. The page is for this machine: it listens on loopback, without TLS, unless told
// otherwise.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/random.h"
#include "evaluation/review.h"

namespace sotto::client {

// The server behind the page: requests in, responses out, no socket. A rater logs in with the code of the own sheet and gets
// a session as a cookie that scripts cannot read and other sites cannot send; what changes anything also needs the session's
// X-Csrf value. Each rating is on disk before it is answered.
//   POST /api/login {"token"}   GET /api/session   GET /api/next[?after=PLACE]   GET /api/item?place=PLACE   POST /api/rate
class ReviewServer {
 public:
  // Opens every rater's sheet, and makes those that are missing. `random` must outlive the server.
  static Result<ReviewServer> open(const std::string& folder, RandomSource& random);

  HttpResponse on(const HttpRequest& request);
  const std::vector<evaluation::Sheet>& sheets() const { return sheets_; }

 private:
  struct Session {
    std::size_t rater = 0;
    std::string csrf;
  };
  ReviewServer(std::string folder, evaluation::ReviewSet set, std::vector<evaluation::Sheet> sheets, RandomSource& random)
      : folder_(std::move(folder)), set_(std::move(set)), sheets_(std::move(sheets)), random_(&random) {}
  HttpResponse api(const HttpRequest& request);
  HttpResponse login(const HttpRequest& request);
  HttpResponse show(const evaluation::Sheet& sheet, std::size_t place) const;
  HttpResponse item(const HttpRequest& request, const evaluation::Sheet& sheet) const;
  HttpResponse rate(const HttpRequest& request, evaluation::Sheet& sheet);
  Json welcome(const Session& session) const;
  const Session* session_of(const HttpRequest& request) const;
  std::string random_hex();

  std::string folder_;
  evaluation::ReviewSet set_;
  std::vector<evaluation::Sheet> sheets_;
  RandomSource* random_;
  std::map<std::string, Session> sessions_;  // by the cookie's value
};

struct ReviewCommand {
  std::string folder;
  std::string host = "127.0.0.1";
  std::int64_t port = 8765;
  bool json = false;
};

Result<void> serve_review(const ReviewCommand& command, const std::function<bool()>& stop);
Result<void> report_review(const ReviewCommand& command);

}  // namespace sotto::client
