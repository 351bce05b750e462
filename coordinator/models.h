// The operator's registry of models (lineage/commands.h), in the coordinator's folder under models/. Its log is signed by
// the coordinator's own key. It says which runs' adapters are registered and which one each domain uses. The adapters
// themselves are at the sites.
#pragma once

#include <string>

#include "lineage/commands.h"

namespace sotto::coordinator {

struct ModelCommand {
  std::string folder = "coordinator";
  std::string run;  // register
  lineage::RegistryQuery query;
};

// The passport of a finished run follows from the log and from the records that the sites delivered; refused while one of
// them is missing, since its epsilon would be unknown.
Result<void> register_run(const ModelCommand& command);

// register, models, lineage, promote, rollback, card; `command` outlives the program's run.
void add_model_commands(Command& root, ModelCommand& command);

}  // namespace sotto::coordinator
