#include "client/serving/serve.h"

#include <filesystem>
#include <iostream>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "client/measure/evaluate.h"
#include "client/serving/completions.h"
#include "client/text/adapter_file.h"
#include "crypto/system_random.h"
#include "model/adapter/peft_folder.h"

namespace sotto::client {
namespace {

bool is_loopback(const std::string& host) { return host == "localhost" || host.starts_with("127."); }

Result<std::string> read_key(const std::string& file) {
  if (file.empty()) return std::string();
  SOTTO_TRY(std::string key, read_text_file(file));
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  if (key.size() < 16)
    return invalid("'" + file + "' holds a key of " + std::to_string(key.size()) +
                   " characters; give at least 16: openssl rand -hex 32");
  return key;
}

Result<void> check(const ServeCommand& command) {
  if (command.port < 0 || command.port > 65535)
    return invalid("--port is " + std::to_string(command.port) + "; it must be from 0 (any) to 65535");
  if (command.max_tokens < 1 || command.max_tokens > 1000000)
    return invalid("--max-tokens is " + std::to_string(command.max_tokens) + "; it must be from 1 to 1000000");
  if (!is_loopback(command.host) && command.key.empty())
    return refused("--host " + command.host +
                   " lets other machines in; give --key FILE with the key that requests must bring");
  return {};
}

}  // namespace

Result<void> serve_model(const ServeCommand& command, const std::function<bool()>& stop) {
  SOTTO_TRY_VOID(check(command));
  SOTTO_TRY(const std::string key, read_key(command.key));
  SOTTO_TRY(const Precision precision, precision_of(command.precision));
  SOTTO_TRY(const auto text, TextModel::load(command.model));
  SOTTO_TRY(const auto chat, text.chat(command.chat_template));
  SOTTO_TRY(auto model,
            model::LanguageModel::load(
                command.model, {command.device, precision, static_cast<int>(command.threads), command.quantized_base}));
  ServedModel served{&model,
                     &text,
                     &chat,
                     {},
                     std::filesystem::path(command.model).stem().string(),
                     "",
                     static_cast<std::uint32_t>(command.max_tokens)};
  SOTTO_TRY(served.stop_ids, stop_ids(command.model, &text.tokenizer()));
  if (!command.adapter.empty()) {
    SOTTO_TRY(const auto adapter, model::load_peft_folder(command.adapter, model.config()));
    SOTTO_TRY_VOID(model.set_adapter(adapter));
    SOTTO_TRY(const Digest weights, weights_of_folder(command.adapter));
    served.weights = to_hex(weights);
    served.name += "+" + served.weights.substr(0, 12);
  }
  std::optional<UsageLog> usage;  // a log of real questions is the site's choice
  if (!command.log.empty()) {
    SOTTO_TRY(auto opened, UsageLog::open(command.log));
    usage.emplace(std::move(opened));
  }
  crypto::SystemRandom random;
  CompletionServer completions(served, usage ? &*usage : nullptr, key, random);
  SOTTO_TRY(auto server, HttpServer::bind({command.host, static_cast<std::uint16_t>(command.port), 1 << 20},
                                          [&](const HttpRequest& request) { return completions.on(request); }));
  if (!is_loopback(command.host))
    log(Level::kWarning, "served_without_tls",
        {{"host", command.host},
         {"next_step", "use it only in a network that you trust, or keep it on loopback behind a proxy with TLS"}});
  const std::string address = "http://" + command.host + ":" + std::to_string(server.port()) + "/v1";
  if (command.json)
    std::cout
        << Json::object({{"address", address}, {"model", served.name}, {"log", usage ? Json(command.log) : Json()}}).dump()
        << '\n';
  else
    std::cout << served.name << " at " << address << (usage ? ", log in " + command.log : std::string(", nothing is logged"))
              << ". Ctrl-C ends.\n";
  std::cout.flush();
  server.serve(stop);
  return {};
}

}  // namespace sotto::client
