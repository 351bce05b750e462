#include "client/site/own_log.h"

#include "audit/log/signed_head.h"
#include "base/clock.h"
#include "crypto/kdf.h"
#include "crypto/key_file.h"

namespace sotto::client {
namespace {

crypto::SigningKey signing_key(const RunKey& key) {
  return crypto::SigningKey(crypto::hkdf_sha256<32>({}, key.reveal(), as_bytes("sotto/train-identity/v1")));
}

}  // namespace

Result<RunKey> own_key(const std::string& folder, RandomSource& random) {
  const std::string file = folder + "/run.key";
  if (!file_exists(file)) SOTTO_TRY_VOID(crypto::write_new_key<RunKey>(file, random));
  return crypto::read_key<RunKey>(file);
}

Result<void> begin_own_log(audit::EventLog& log, const RunKey& key, RandomSource& random) {
  if (log.size() > 0) return {};
  audit::SiteCreated created{"alone", crypto::verify_key(signing_key(key)).value(), {}};
  random.fill(created.salt);
  SOTTO_TRY([[maybe_unused]] const auto index, log.append(created, wall_clock()));
  return {};
}

Result<void> check_own_key(const std::string& folder, const audit::EventLog& log, const RunKey& key) {
  const audit::Event first = log.event(0);
  const auto* created = std::get_if<audit::SiteCreated>(&first);
  if (created && created->identity == crypto::verify_key(signing_key(key)).value()) return {};
  return refused(
      "'" + folder + "/log' was begun under another key than '" + folder +
      "/run.key', from which follows in which steps units take part; put that key back, or name another folder with "
      "--out to begin anew (what was spent stays spent)");
}

Result<void> write_own_head(const std::string& folder, const audit::EventLog& log, const RunKey& key) {
  return write_file_atomically(folder + "/head.json",
                               audit::to_json(audit::sign_head(log.image(), "alone", signing_key(key))).dump(2) + "\n");
}

}  // namespace sotto::client
