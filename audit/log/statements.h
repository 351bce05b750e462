// What sites sign in a round, in one place: the client signs with these, the coordinator and the auditor check with them.
// KEYS and SHARES statements cover the hash of the whole message body, which only the protocol knows; REPORT and CONFIRM
// cover digests that the logs hold, so that an auditor rebuilds the statement from the logs alone.
#pragma once

#include "crypto/statement.h"
#include "plan/round_descriptor.h"

namespace sotto::audit {

// SHA-256("sotto/secagg/v1" | D)
Digest context_of(const RoundDescriptor& descriptor);
Digest plan_hash(const RunPlan& plan);
Digest roster_hash(const Roster& roster);
Digest u1_hash(const std::vector<CohortMember>& u1);
Digest u3_hash(const std::vector<SiteIndex>& survivors);

// Body: SHA-256(ctx | H(U1) | H(y)), label "report".
crypto::Statement report_statement(const RoundDescriptor& d, const std::string& sender, const Digest& u1, const Digest& y);
// Body: SHA-256(ctx | H(U1) | H(U3)), label "confirm".
crypto::Statement confirm_statement(const RoundDescriptor& d, const std::string& sender, const Digest& u1, const Digest& u3);

}  // namespace sotto::audit
