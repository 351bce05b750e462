// `sotto-client serve`: a model for this machine's own programs (client/serving/completions.h). It listens on loopback,
// without TLS; on another address only with a key.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "client/text/model_options.h"

namespace sotto::client {

struct ServeCommand : ModelOptions {
  std::string adapter;  // PEFT folder; empty: none
  std::string log;      // JSON lines, appended to; empty: nothing is logged
  std::string key;      // a file with the key that requests must bring; empty: none
  std::string host = "127.0.0.1";
  std::int64_t port = 8080;
  std::string chat_template;
  std::int64_t max_tokens = 512;
  bool json = false;
};

Result<void> serve_model(const ServeCommand& command, const std::function<bool()>& stop);

}  // namespace sotto::client
