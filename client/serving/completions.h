// A model behind the part of OpenAI's HTTP interface that chat programs use, and a log of what it was asked:
//   POST /v1/chat/completions   messages, model, max_tokens, temperature, top_p, seed, stop, stream,
//                               stream_options.include_usage; metadata.patient_id goes into the log
//   POST /v1/feedback           {"for": id of an answer, "rating", "correct", "correction", "by"}: ours, for monitor and
//                               feedback
//   GET  /v1/models, GET /health
// Other settings that would change an answer are refused by name, and so is another model than the one that is served.
// Requests in, responses out, no socket; one thread at a time. Where there is a log, each answer is in it, on disk, before it
// is given (a streamed one: before its end is).
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/json.h"
#include "base/random.h"
#include "client/text/text_model.h"
#include "model/inference/language_model.h"

namespace sotto::client {

// Appends JSON lines to a file of mode 0600 (curation/usage_log.h), each on disk when append returns.
class UsageLog {
 public:
  static Result<UsageLog> open(const std::string& path);  // made when it is not there
  UsageLog(UsageLog&& other) noexcept;
  UsageLog& operator=(UsageLog&&) = delete;
  ~UsageLog();
  Result<void> append(const Json& line);

 private:
  UsageLog(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

struct ServedModel {
  model::LanguageModel* model;
  const TextModel* text;
  const data::ChatTemplate* chat;
  std::vector<std::int32_t> stop_ids;
  std::string name;                // as clients see it
  std::string weights;             // of its adapter; empty: the base
  std::uint32_t max_tokens = 512;  // of an answer, at most
};

class CompletionServer {
 public:
  // All outlive the server. `key`: what requests must bring as "Authorization: Bearer KEY"; empty: nothing.
  // `log`: nullptr where nothing is to be logged; then there is nothing to give feedback on, either.
  CompletionServer(ServedModel served, UsageLog* log, std::string key, RandomSource& random);
  HttpResponse on(const HttpRequest& request);

 private:
  struct Question;
  Result<void> check_model(const Json& body) const;
  Result<Question> question_of(const Json& body) const;
  HttpResponse complete(const HttpRequest& request);
  HttpResponse feedback(const HttpRequest& request);
  HttpResponse stream(Question question);
  Result<Json> answer(const Question& question, const std::function<bool(const std::string&)>& show);
  Result<void> keep(const Question& question, const std::string& text);
  std::string random_id();

  ServedModel served_;
  UsageLog* log_;  // nullptr: none
  std::string key_;
  RandomSource* random_;
  std::set<std::string> known_;  // ids of answers that feedback may be about
};

}  // namespace sotto::client
