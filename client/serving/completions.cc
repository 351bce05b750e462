#include "client/serving/completions.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "audit/log/log_reader.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/text/text_stream.h"
#include "crypto/hash.h"
#include "data/text/patient_id.h"

namespace sotto::client {
namespace {

HttpResponse json_response(int status, const Json& json) {
  return {status, "application/json", json.dump(), {{"Cache-Control", "no-store"}}, {}};
}

HttpResponse refusal(int status, const std::string& why) {
  return json_response(
      status,
      Json::object(
          {{"error",
            Json::object({{"message", why}, {"type", "invalid_request_error"}, {"param", nullptr}, {"code", nullptr}})}}));
}

// A text, or OpenAI's list of parts that are all texts.
Result<std::string> content_of(const Json& message) {
  const Json* content = message.find("content");
  if (!content || !content->is_array()) return message.get_string("content");
  std::string out;
  for (const auto& part : content->items()) {
    SOTTO_TRY(const std::string type, part.get_string("type"));
    if (std::string_view(type) != "text")
      return unsupported("a message has a part of type '" + type.substr(0, 40) + "'; only text is read");
    SOTTO_TRY(const std::string text, part.get_string("text"));
    out += text;
  }
  return out;
}

Result<double> number_or(const Json& body, const char* name, double fallback, double low, double high) {
  const Json* found = body.find(name);
  if (!found || found->is_null()) return fallback;
  SOTTO_TRY(const double value, body.get_double(name));
  if (!(value >= low && value <= high))
    return invalid(std::string("'") + name + "' is " + Json(value).dump() + "; it must be from " + Json(low).dump() +
                   " to " + Json(high).dump());
  return value;
}

bool is_absent(const Json& body, const char* name) {
  const Json* found = body.find(name);
  return !found || found->is_null() || (found->is_bool() && !found->as_bool()) ||
         (found->is_array() && found->items().empty());
}

Result<void> check_settings(const Json& body) {
  for (const char* name :
       {"tools", "functions", "logprobs", "top_logprobs", "logit_bias", "audio", "modalities", "prediction"})
    if (!is_absent(body, name)) return unsupported(std::string("'") + name + "' is not in this version");
  SOTTO_TRY(const double n, number_or(body, "n", 1, 1, 128));
  if (n != 1) return unsupported("'n' is above 1; ask again for another answer");
  for (const char* name : {"frequency_penalty", "presence_penalty"}) {
    SOTTO_TRY(const double value, number_or(body, name, 0, -2, 2));
    if (value != 0) return unsupported(std::string("'") + name + "' is not in this version");
  }
  if (const Json* format = body.find("response_format"); format && !format->is_null()) {
    SOTTO_TRY(const std::string type, format->get_string("type"));
    if (std::string_view(type) != "text")
      return unsupported("'response_format' asks for " + type.substr(0, 40) + "; only text is made");
  }
  return {};
}

// Whether a streamed answer is to end with what it cost: {"include_usage": true}. What else stands there is refused.
Result<bool> usage_asked(const Json& body, bool streamed) {
  const Json* options = body.find("stream_options");
  if (!options || options->is_null()) return false;
  if (!streamed) return invalid("'stream_options' goes with 'stream': true");
  if (!options->is_object()) return invalid("'stream_options' must be an object");
  for (const auto& [name, value] : options->members())
    if (name != "include_usage" && !is_absent(*options, name.c_str()))
      return unsupported("'stream_options." + name.substr(0, 40) + "' is not in this version");
  return options->find("include_usage") ? options->get_bool("include_usage") : Result<bool>(false);
}

Json chunk_json(const std::string& id, const std::string& model, Json choices) {
  return Json::object({{"id", id},
                       {"object", "chat.completion.chunk"},
                       {"created", wall_clock().time_since_epoch().count()},
                       {"model", model},
                       {"choices", std::move(choices)}});
}

Json chunk_json(const std::string& id, const std::string& model, Json delta, Json finish) {
  return chunk_json(
      id, model,
      Json::array({Json::object({{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(finish)}})}));
}

}  // namespace

// --- the log

Result<UsageLog> UsageLog::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return unavailable("cannot write '" + path + "': " + std::strerror(errno));
  return UsageLog(path, fd);
}
UsageLog::UsageLog(UsageLog&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
UsageLog::~UsageLog() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> UsageLog::append(const Json& line) {
  const std::string text = line.dump() + "\n";
  for (std::size_t at = 0; at < text.size();) {
    const auto n = ::write(fd_, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return unavailable("cannot write '" + path_ + "': " + std::strerror(errno));
    at += static_cast<std::size_t>(n);
  }
  if (::fsync(fd_) != 0) return unavailable("cannot write '" + path_ + "': " + std::strerror(errno));
  return {};
}

// --- the interface

struct CompletionServer::Question {
  std::string id;
  std::vector<data::ChatMessage> messages;
  std::vector<std::int32_t> ids;
  std::vector<std::string> stops;
  std::string patient_id;
  model::GenerateOptions options;
  bool stream = false;
  bool stream_usage = false;
};

CompletionServer::CompletionServer(ServedModel served, UsageLog* log, std::string key, RandomSource& random)
    : served_(std::move(served)), log_(log), key_(std::move(key)), random_(&random) {}

HttpResponse CompletionServer::on(const HttpRequest& request) {
  if (request.method == "GET" && request.path == "/health") return json_response(200, Json::object({{"status", "ok"}}));
  // Digests are compared, so that the time it takes tells nothing about the key.
  if (!key_.empty() &&
      crypto::sha256(as_bytes(request.header("authorization"))) != crypto::sha256(as_bytes("Bearer " + key_)))
    return refusal(401, "the key is missing or wrong: send the header 'Authorization: Bearer KEY'");
  if (request.method == "GET" && request.path == "/v1/models")
    return json_response(
        200,
        Json::object({{"object", "list"},
                      {"data", Json::array({Json::object(
                                   {{"id", served_.name}, {"object", "model"}, {"created", 0}, {"owned_by", "sotto"}})})}}));
  if (request.method != "POST") return refusal(404, "there is nothing here; POST /v1/chat/completions");
  // A page of another site can send neither this type nor a header of its own.
  if (!request.header("content-type").starts_with("application/json"))
    return refusal(415, "the body must be application/json");
  if (request.path == "/v1/chat/completions") return complete(request);
  if (request.path == "/v1/feedback") return feedback(request);
  return refusal(404, "there is nothing here; POST /v1/chat/completions");
}

// A program that asks for one model and gets another's answers would never know.
Result<void> CompletionServer::check_model(const Json& body) const {
  if (!body.find("model")) return {};
  SOTTO_TRY(const std::string asked, body.get_string("model"));
  if (asked == served_.name) return {};
  return not_found("there is no model '" + asked.substr(0, 60) + "' here; this server answers with '" + served_.name + "'");
}

Result<CompletionServer::Question> CompletionServer::question_of(const Json& body) const {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  SOTTO_TRY_VOID(check_model(body));
  SOTTO_TRY_VOID(check_settings(body));
  Question q;
  SOTTO_TRY(const auto* messages, body.get_array("messages"));
  for (const auto& message : *messages) {
    data::ChatMessage one;
    SOTTO_TRY(one.role, message.get_string("role"));
    if (one.role == "developer") one.role = "system";
    if (one.role != "system" && one.role != "user" && one.role != "assistant")
      return unsupported("a message has the role '" + one.role.substr(0, 40) + "'; known are system, user and assistant");
    SOTTO_TRY(one.content, content_of(message));
    q.messages.push_back(std::move(one));
  }
  if (q.messages.empty() || q.messages.back().role != "user") return invalid("'messages' must end with what the user asks");
  if (const Json* stop = body.find("stop"); stop && stop->is_string())
    q.stops = {stop->as_string()};
  else if (stop && stop->is_array())
    for (const auto& s : stop->items()) {
      if (!s.is_string()) return invalid("'stop' must be a text or a list of texts");
      q.stops.push_back(s.as_string());
    }
  const char* limit = body.find("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
  SOTTO_TRY(const double most, number_or(body, limit, served_.max_tokens, 1, 1e6));
  q.options.max_new_tokens = std::min(static_cast<std::uint32_t>(most), served_.max_tokens);
  q.options.stop_ids = served_.stop_ids;
  SOTTO_TRY(q.options.sampling.temperature, number_or(body, "temperature", 0, 0, 2));
  SOTTO_TRY(q.options.sampling.top_p, number_or(body, "top_p", 1, 1e-6, 1));
  SOTTO_TRY(const double seed, number_or(body, "seed", 0, 0, 9e15));
  q.options.sampling.seed = static_cast<std::uint64_t>(seed);
  if (const Json* streamed = body.find("stream"); streamed && !streamed->is_null()) {
    SOTTO_TRY(q.stream, body.get_bool("stream"));
  }
  SOTTO_TRY(q.stream_usage, usage_asked(body, q.stream));
  if (const Json* metadata = body.find("metadata"); metadata && metadata->find("patient_id")) {
    SOTTO_TRY(const std::string raw, metadata->get_string("patient_id"));
    const auto id = data::patient_id(raw);
    if (!id.ok()) return invalid("'metadata.patient_id' is blank; leave it out where the question is about no patient");
    q.patient_id = *id;
  }
  SOTTO_TRY(q.ids, served_.chat->ids(q.messages, data::GenerationPrompt::kYes));
  if (q.ids.size() + 1 > served_.model->config().max_positions)
    return invalid("the messages have " + std::to_string(q.ids.size()) + " tokens, and the model has " +
                   std::to_string(served_.model->config().max_positions) + " positions");
  return q;
}

HttpResponse CompletionServer::complete(const HttpRequest& request) {
  const auto body = Json::parse(request.body, "the request");
  if (!body.ok()) return refusal(400, "the body is not valid JSON");
  auto question = question_of(*body);
  if (!question.ok()) return refusal(question.error().code == ErrorCode::kNotFound ? 404 : 400, question.error().message);
  question->id = "chatcmpl-" + random_id();
  if (question->stream) return stream(std::move(*question));
  const auto made = answer(*question, {});
  if (!made.ok()) {
    log(Level::kError, "answer_failed", {{"reason", made.error().message}});
    return refusal(500, "the answer could not be made or kept; see the server's log");
  }
  return json_response(200, *made);
}

HttpResponse CompletionServer::stream(Question question) {
  HttpResponse response{200, "text/event-stream", "", {{"Cache-Control", "no-store"}}, {}};
  response.stream = [this, question = std::move(question)](const HttpWrite& write) {
    const auto send = [&](const Json& json) { return write("data: " + json.dump() + "\n\n"); };
    send(chunk_json(question.id, served_.name, Json::object({{"role", "assistant"}, {"content", ""}}), nullptr));
    const auto made = answer(question, [&](const std::string& piece) {
      return send(chunk_json(question.id, served_.name, Json::object({{"content", piece}}), nullptr));
    });
    if (!made.ok()) {
      log(Level::kError, "answer_failed", {{"reason", made.error().message}});
      send(Json::object({{"error", Json::object({{"message", "the answer could not be made or kept; see the server's log"},
                                                 {"type", "server_error"}})}}));
      return;
    }
    send(chunk_json(question.id, served_.name, Json::object(), made->at("choices").at(0).at("finish_reason")));
    if (question.stream_usage) send(chunk_json(question.id, served_.name, Json::array()).set("usage", made->at("usage")));
    write("data: [DONE]\n\n");
  };
  return response;
}

// `show` is told each piece as it becomes certain; false ends the answer. What was made is kept in any case.
Result<Json> CompletionServer::answer(const Question& question, const std::function<bool(const std::string&)>& show) {
  TextStream text(served_.text->tokenizer(), question.stops);
  std::optional<Error> failed;
  bool gone = false;
  const auto on_token = [&](std::size_t, std::int32_t id) {
    auto piece = text.add(id);
    if (!piece.ok()) failed = piece.error();
    if (failed) return false;
    if (show && !piece->empty()) gone = !show(*piece);
    return !text.stopped() && !gone;
  };
  const std::vector<std::vector<std::int32_t>> prompts{question.ids};
  SOTTO_TRY(const auto made, served_.model->generate(prompts, question.options, on_token));
  if (failed) return *failed;
  const std::string rest = text.finish();
  if (show && !rest.empty() && !gone) show(rest);
  SOTTO_TRY_VOID(keep(question, text.text()));
  const std::size_t tokens = made.front().size();
  const bool full =
      tokens == question.options.max_new_tokens || question.ids.size() + tokens >= served_.model->config().max_positions;
  const Json choice = Json::object({{"index", 0},
                                    {"message", Json::object({{"role", "assistant"}, {"content", text.text()}})},
                                    {"finish_reason", full && !text.stopped() ? "length" : "stop"}});
  return Json::object({{"id", question.id},
                       {"object", "chat.completion"},
                       {"created", wall_clock().time_since_epoch().count()},
                       {"model", served_.name},
                       {"choices", Json::array({choice})},
                       {"usage", Json::object({{"prompt_tokens", question.ids.size()},
                                               {"completion_tokens", tokens},
                                               {"total_tokens", question.ids.size() + tokens}})}});
}

Result<void> CompletionServer::keep(const Question& question, const std::string& text) {
  if (log_ == nullptr) return {};
  Json messages = Json::array();
  for (const auto& m : question.messages) messages.push(Json::object({{"role", m.role}, {"content", m.content}}));
  Json line = Json::object({{"time", audit::iso_time(wall_clock())},
                            {"id", question.id},
                            {"model", served_.weights.empty() ? "base" : served_.weights},
                            {"messages", std::move(messages)},
                            {"response", text}});
  if (!question.patient_id.empty()) line.set("patient_id", question.patient_id);
  SOTTO_TRY_VOID(log_->append(line));
  known_.insert(question.id);
  return {};
}

HttpResponse CompletionServer::feedback(const HttpRequest& request) {
  if (log_ == nullptr)
    return refusal(404, "this server logs nothing, so there is nothing to give feedback on; start it with --log FILE");
  const auto body = Json::parse(request.body, "the request");
  const auto id = body.ok() ? body->get_string("for") : Result<std::string>(body.error());
  if (!id.ok()) return refusal(400, "the body must be a JSON object with 'for', the id of an answer");
  if (!known_.contains(*id))
    return refusal(404, "no answer '" + id->substr(0, 60) + "' was given since this server started");
  Json line = Json::object({{"time", audit::iso_time(wall_clock())}, {"for", *id}});
  if (const Json* rating = body->find("rating");
      rating && !(rating->is_int() && rating->as_int() >= 1 && rating->as_int() <= 5))
    return refusal(400, "'rating' is from 1 to 5");
  if (const Json* correct = body->find("correct"); correct && !correct->is_bool())
    return refusal(400, "'correct' is true or false");
  for (const char* name : {"correction", "by"})
    if (const Json* text = body->find(name); text && !text->is_string())
      return refusal(400, std::string("'") + name + "' is a text");
  for (const char* name : {"rating", "correct", "correction", "by"})
    if (const Json* value = body->find(name)) line.set(name, *value);
  if (const auto kept = log_->append(line); !kept.ok()) {
    log(Level::kError, "feedback_not_kept", {{"reason", kept.error().message}});
    return refusal(500, "it could not be kept; see the server's log");
  }
  return json_response(200, Json::object({{"kept", true}}));
}

std::string CompletionServer::random_id() {
  std::array<std::uint8_t, 12> bytes;
  random_->fill(bytes);
  return to_hex(bytes);
}

}  // namespace sotto::client
