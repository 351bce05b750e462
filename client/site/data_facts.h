// What a site should know of its own records before it declares a size or trains: how many patients train, and which of them
// would train nothing. For the site's own eyes: these are counts of its patients, which no message, file or report that
// leaves the site may hold.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "data/chat/chat_template.h"
#include "data/records/data_set.h"

namespace sotto::client {

// Two digits and zeros: what a site may declare of a number of units (enrol.h, is_rounded).
std::uint64_t rounded_size(std::uint64_t units);

// Refused where a declared size is off from the number of training units by more than a quarter, unless `accepted`. Noise and
// rates follow the declared size: with too small a one each unit is drawn less often than the plan says, with too large a one
// the noise is too large for what is learnt.
Result<void> check_declared_size(std::uint64_t declared, std::uint64_t units, bool accepted);

// Patients who train, as the hold-out leaves them on average: the true number would need the site's key.
std::uint64_t training_patients(std::uint64_t patients, double holdout_fraction);

// How many different patients these are.
std::uint64_t patients_of(const std::vector<data::Record>& records);

// How many tokens a record needs at least, so that its answer begins within them; nothing where the chat template refuses the
// record. Of each record, in order.
std::vector<std::optional<std::size_t>> tokens_needed(const std::vector<data::Record>& records,
                                                      const data::ChatTemplate& chat);

// Tells on the site's own terminal what trains nothing, if anything does.
void tell_idle(const data::DataSet& data, std::uint32_t max_tokens);

}  // namespace sotto::client
