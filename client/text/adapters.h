// The adapters of one command, all on one loaded model. One is active at a time; a change neither reads nor copies the base.
// An adapter's name is the path that was given, or its folder's name where only one adapter has that name.
#pragma once

#include <string>
#include <vector>

#include "model/inference/language_model.h"

namespace sotto::client {

class Adapters {
 public:
  // Reads the PEFT folders `paths`, and puts the first of them, if there is one, on `model`.
  static Result<Adapters> load(const std::vector<std::string>& paths, model::LanguageModel& model);

  // Activates the adapter of that name; "" is the base alone. Refused: a name that none of them has.
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
