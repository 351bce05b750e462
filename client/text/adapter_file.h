// What stands in an adapter's own file beside its tensors: its passport (lineage/passport.h), in the safetensors metadata.
// PEFT loads such a folder as it loads any other. No model is needed to read it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "lineage/passport.h"

namespace sotto::client {

// The hash by which everything else names the adapter in a PEFT folder (lineage/weights.h).
Result<Digest> weights_of_folder(const std::string& folder);

// nullopt: the file has none. Refused when the passport is of other weights than the file holds.
Result<std::optional<lineage::Passport>> read_passport(const std::string& folder);

// The metadata with which an adapter is saved.
std::map<std::string, std::string, std::less<>> metadata_with(const Json& passport);

// A copy of the PEFT folder `from` at `to`, the same tensors and settings, with this passport.
Result<void> copy_adapter(const std::string& from, const std::string& to, const Json& passport);

}  // namespace sotto::client
