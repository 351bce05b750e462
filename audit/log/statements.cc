#include "audit/log/statements.h"

#include "crypto/hash.h"

namespace sotto::audit {
namespace {

crypto::Statement statement_of(const RoundDescriptor& d, const std::string& label, const std::string& sender,
                               const Digest& first, const Digest& second) {
  const Bytes body = ByteWriter().raw(context_of(d)).raw(first).raw(second).take();
  return {label, sender, d.run, d.round, d.attempt, d.roster, crypto::sha256(body)};
}

}  // namespace

Digest context_of(const RoundDescriptor& descriptor) { return crypto::sha256(context_preimage(descriptor)); }
Digest plan_hash(const RunPlan& plan) { return crypto::sha256(encode(plan)); }
Digest roster_hash(const Roster& roster) { return crypto::sha256(encode(roster)); }
Digest u1_hash(const std::vector<CohortMember>& u1) { return crypto::sha256(u1_preimage(u1)); }
Digest u3_hash(const std::vector<SiteIndex>& survivors) { return crypto::sha256(u3_preimage(survivors)); }

crypto::Statement report_statement(const RoundDescriptor& d, const std::string& sender, const Digest& u1, const Digest& y) {
  return statement_of(d, "report", sender, u1, y);
}

crypto::Statement confirm_statement(const RoundDescriptor& d, const std::string& sender, const Digest& u1,
                                    const Digest& u3) {
  return statement_of(d, "confirm", sender, u1, u3);
}

}  // namespace sotto::audit
