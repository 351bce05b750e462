// How commands reach a running `serve`: as files in a folder that only this user can write. A request is ID.request, the
// answer ID.answer; both are written whole. Requests are taken in the order of their ids, which start with the time.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"

namespace sotto::coordinator {

struct QueuedCommand {
  std::string id;
  Json json;
};

// For `serve`. A file that is no JSON object is answered with an error and taken away.
Result<std::vector<QueuedCommand>> take_requests(const std::string& spool);
// Writes the answer, then removes the request. After a crash in between, the request is handled again.
Result<void> answer_request(const std::string& spool, const std::string& id, const Result<Json>& answer);

// For the command: asks and waits. Fails (kUnavailable) when there is no answer within `timeout`; an error in the answer is
// returned as it was there.
Result<Json> ask_server(const std::string& spool, const Json& request, RandomSource& random,
                        std::chrono::milliseconds timeout);

}  // namespace sotto::coordinator
