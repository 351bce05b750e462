#include "plan/field_codec.h"

namespace sotto::plan {

Error unknown_value(std::string_view what, const Row& row, int number, const std::string& known) {
  const std::string field = std::string(what) + ": " + std::string(row.key) + " = ";
  if (row.not_yet && row.not_yet->number == number)
    return unsupported(field + "\"" + std::string(row.not_yet->name) + "\" (" + std::string(row.not_yet->meaning) +
                       ") is not in this version; use " + known);
  return invalid(field + std::to_string(number) + " is not known to this version; it must be " + known);
}

Result<void> FieldReader::finish() const {
  SOTTO_TRY_VOID(in_.finish(what_));
  if (unknown_) return *unknown_;
  return {};
}

}  // namespace sotto::plan
