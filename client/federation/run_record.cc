#include "client/federation/run_record.h"

#include <optional>

#include "audit/log/signed_head.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/hash.h"

namespace sotto::client {
namespace {

Digest hash_of(audit::EventType type, ByteSpan payload) {
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(type)).raw(payload);
  return crypto::sha256(out.view());
}

}  // namespace

RunRecord::RunRecord(const SiteFolder& folder, audit::EventLog& log, audit::Ledger& ledger)
    : folder_(&folder), log_(&log), ledger_(&ledger) {
  for (const auto& record : log.image().records) logged_.insert(hash_of(record.type, record.payload));
}

Result<void> RunRecord::append(const audit::Event& event) {
  const auto [place, fresh] = logged_.insert(hash_of(audit::type_of(event), audit::encode(event)));
  if (!fresh) return {};
  if (const auto* report = std::get_if<audit::ReportSent>(&event)) return ledger_->note_report(*report, wall_clock());
  SOTTO_TRY([[maybe_unused]] const auto index, log_->append(event, wall_clock()));
  return {};
}

wire::HeadBytes RunRecord::own_head() const {
  return audit::encode(audit::sign_head(log_->image(), folder_->site().name, folder_->identity_key()));
}

Result<wire::HeadBytes> newest_coordinator_head(const audit::EventLog& log) {
  std::optional<Digest> wanted;
  for (std::uint64_t i = log.size(); i-- > 0;) {
    const auto event = log.event(i);
    const auto* joined = std::get_if<audit::RoundJoined>(&event);
    if (joined && !wanted) {
      SOTTO_TRY(const RoundDescriptor d, decode_descriptor(joined->descriptor));
      wanted = d.coordinator_head;
    }
    const auto* seen = std::get_if<audit::HeadSeen>(&event);
    if (seen && wanted && crypto::sha256(seen->head) == *wanted) return seen->head;
  }
  return wire::HeadBytes();
}

Result<void> keep_proof(const std::string& folder, const Proof& proof) {
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  const Json json = Json::object(
      {{"code", proof.code}, {"reason", proof.reason}, {"first", to_hex(proof.first)}, {"second", to_hex(proof.second)}});
  const std::string text = json.dump(2) + "\n";
  log(Level::kWarning, "proof_kept", {{"code", proof.code}, {"reason", proof.reason}});
  return write_file_atomically(
      folder + "/" + proof.code + "-" + to_hex(crypto::sha256(as_bytes(text))).substr(0, 8) + ".json", text,
      FileMode::kPrivate);
}

}  // namespace sotto::client
