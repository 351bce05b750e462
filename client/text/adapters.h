// The adapters of one command, all on one loaded model: one is on at a time, and putting on another neither reads nor copies
// the base. An adapter goes by the path that it was given as, or by its folder's name where that is one adapter's alone.
#pragma once

#include <string>
#include <vector>

#include "model/inference/language_model.h"

namespace sotto::client {

class Adapters {
 public:
  // Reads the PEFT folders `paths`, and puts the first of them, if there is one, on `model`.
  static Result<Adapters> load(const std::vector<std::string>& paths, model::LanguageModel& model);

  // Puts on the one of that name; "" is the base alone. Refused: a name that none of them has.
  Result<void> use(model::LanguageModel& model, const std::string& name);
  const std::vector<std::string>& names() const { return names_; }  // the shortest that each goes by

 private:
  struct Known {
    std::string path;
    model::Adapter adapter;
  };
  std::vector<Known> all_;
  std::vector<std::string> names_;
  std::string on_;
};

}  // namespace sotto::client
