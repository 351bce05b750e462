// A detector of the site's own beside the built-in patterns: a command that runs as long as texts come, Presidio or a hospital's
// de-identifier, say. One JSON object a line each way:
//   to it    {"text": "Seen by Jo Miller."}
//   from it  {"spans": [{"start": 8, "end": 17, "kind": "name"}]}       (or "entity_type", as Presidio has it)
// start and end count Unicode characters. A kind that is none of pii.h's, nor one of Presidio's names for them, is `other`. It
// runs with the rights of whoever calls; what it writes on its standard error is left alone. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "curation/pii/pii.h"

namespace sotto::curation {

class OutsideDetector {
 public:
  // `command`: program and arguments; the program is looked for as a shell would. Fails when it cannot be started.
  static Result<OutsideDetector> start(const std::vector<std::string>& command);
  OutsideDetector(OutsideDetector&&) noexcept;
  OutsideDetector& operator=(OutsideDetector&&) noexcept;
  ~OutsideDetector();

  // In bytes of `text`, as they come. Fails when the command ends, gives no answer within a minute, or answers with something
  // else than spans of this text.
  Result<std::vector<PiiSpan>> find(std::string_view text);

 private:
  struct State;
  explicit OutsideDetector(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::curation
