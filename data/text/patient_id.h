// One spelling of a patient's id. The patient is the unit of privacy: budgets, hold-out and splits go by the id, so two
// spellings of one id would be two people. Whoever reads an id from a file or a request makes it normal here. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sotto::data {

// `raw` in Unicode's normal form C without white space and invisible characters at its ends. Fails when nothing is left;
// letters' case stays, because some hospitals' ids differ in it alone. `raw` is UTF-8.
Result<std::string> patient_id(std::string_view raw);

// The same for ids that a person would read as one: compatibility forms (full-width digits), case and runs of white space are
// made equal (Unicode's NFKC_Casefold). For warnings; never an id itself.
std::string loose_patient_id(std::string_view id);

}  // namespace sotto::data
