#include "coordinator/runs/run_files.h"

#include <filesystem>

#include "audit/run/run_folder.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "wire/codec.h"

namespace sotto::coordinator {
namespace {

std::string numbered(RoundId round) {
  std::string text = std::to_string(round.value());
  return std::string(6 - std::min<std::size_t>(text.size(), 6), '0') + text;
}

template <class Message>
Result<std::optional<Message>> read_message(const std::string& path) {
  if (!file_exists(path)) return std::optional<Message>();
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  auto message = wire::decode_to_coordinator(bytes);
  if (!message.ok() || !std::holds_alternative<Message>(*message))
    return invalid("'" + path + "' is damaged; delete it, the site sends it again");
  return std::optional<Message>(std::get<Message>(std::move(message).value()));
}

Result<void> write_private(const std::string& path, ByteSpan bytes) {
  return write_file_atomically(path, bytes, FileMode::kPrivate);
}

}  // namespace

Result<void> RunFiles::make_folders() const {
  for (const char* inside : {"/approvals", "/refusals", "/outcomes", "/proofs"})
    SOTTO_TRY_VOID(make_own_folder(state_ + inside));
  return make_own_folder(path_ + "/adapter");
}

Result<void> RunFiles::save(const std::string& site, const wire::RunApproval& approval) const {
  return write_private(state_ + "/approvals/" + site, wire::encode(wire::ToCoordinator(approval)));
}

Result<void> RunFiles::save(const std::string& site, const wire::RunRefusal& refusal) const {
  return write_private(state_ + "/refusals/" + site, wire::encode(wire::ToCoordinator(refusal)));
}

Result<void> RunFiles::forget_refusal(const std::string& site) const {
  std::error_code error;
  std::filesystem::remove(state_ + "/refusals/" + site, error);
  if (error) return unavailable("cannot remove '" + state_ + "/refusals/" + site + "': " + error.message());
  return {};
}

Result<std::optional<wire::RunApproval>> RunFiles::approval(const std::string& site) const {
  return read_message<wire::RunApproval>(state_ + "/approvals/" + site);
}

Result<std::optional<wire::RunRefusal>> RunFiles::refusal(const std::string& site) const {
  return read_message<wire::RunRefusal>(state_ + "/refusals/" + site);
}

Result<void> RunFiles::save_initial_adapter(ByteSpan adapter) const {
  return write_private(state_ + "/initial_adapter", adapter);
}

Result<std::optional<Bytes>> RunFiles::initial_adapter() const {
  const std::string path = state_ + "/initial_adapter";
  if (!file_exists(path)) return std::optional<Bytes>();
  SOTTO_TRY(Bytes bytes, read_binary_file(path));
  return std::optional<Bytes>(std::move(bytes));
}

Result<void> RunFiles::save_outcome(RoundId round, const wire::ToSite& message) const {
  return write_private(state_ + "/outcomes/" + numbered(round), wire::encode(message));
}

Result<wire::ToSite> RunFiles::outcome(RoundId round) const {
  const std::string path = state_ + "/outcomes/" + numbered(round);
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  auto message = wire::decode_to_site(bytes);
  if (!message.ok()) return invalid("'" + path + "' is damaged (" + message.error().message + "); restore it from a backup");
  return message;
}

Result<void> RunFiles::save_proof(const KeepProof& proof, const std::string& site, RoundId round) const {
  const Json json = Json::object({{"site", site},
                                  {"round", round.value()},
                                  {"code", proof.code},
                                  {"reason", proof.reason},
                                  {"first", to_hex(proof.first)},
                                  {"second", to_hex(proof.second)}});
  const std::string text = json.dump(2) + "\n";
  const std::string name =
      site + "-" + numbered(round) + "-" + to_hex(crypto::sha256(as_bytes(text))).substr(0, 8) + ".json";
  return write_private(state_ + "/proofs/" + name, as_bytes(text));
}

Result<void> RunFiles::save(const RunProgress& progress) const {
  Json next = Json::object();
  for (const auto& [site, round] : progress.next_round) next.set(site, round);
  const Json json =
      Json::object({{"bytes_up", progress.bytes_up}, {"bytes_down", progress.bytes_down}, {"next_round", next}});
  return write_private(state_ + "/progress.json", as_bytes(json.dump(2) + "\n"));
}

Result<RunProgress> RunFiles::progress() const {
  RunProgress out;
  const std::string path = state_ + "/progress.json";
  if (!file_exists(path)) return out;
  SOTTO_TRY(const Json json, Json::read_file(path));
  SOTTO_TRY(const auto up, json.get_int("bytes_up"));
  SOTTO_TRY(const auto down, json.get_int("bytes_down"));
  SOTTO_TRY(const auto* next, json.get_object("next_round"));
  out.bytes_up = static_cast<std::uint64_t>(up);
  out.bytes_down = static_cast<std::uint64_t>(down);
  for (const auto& [site, round] : *next) {
    if (!round.is_int()) return invalid("'" + path + "' is damaged; delete it");
    out.next_round[site] = static_cast<std::uint32_t>(round.as_int());
  }
  return out;
}

Result<void> RunFiles::save_final_adapter(ByteSpan adapter) const {
  return write_private(path_ + "/adapter/adapter.bin", adapter);
}

Result<void> RunFiles::save(const std::string& site, const wire::SiteRecord& record) const {
  SOTTO_TRY(const auto head, audit::decode_head(record.head));
  const std::string log = path_ + "/" + audit::log_file(site);
  SOTTO_TRY_VOID(make_own_folder(std::filesystem::path(log).parent_path().string()));
  SOTTO_TRY_VOID(write_private(log, record.log));
  return audit::write_head(path_, head);
}

bool RunFiles::has_record(const std::string& site) const { return file_exists(path_ + "/" + audit::head_file(site)); }

Result<void> RunFiles::publish(const RunPlan& plan, const Roster& roster, const audit::EventLog& log,
                               const crypto::SigningKey& key) const {
  SOTTO_TRY_VOID(audit::write_run_files(path_, plan, roster));
  const std::string copy = path_ + "/" + audit::log_file(audit::kCoordinatorParty);
  SOTTO_TRY_VOID(make_own_folder(std::filesystem::path(copy).parent_path().string()));
  SOTTO_TRY(const Bytes bytes, audit::read_log_bytes(log.path()));
  SOTTO_TRY_VOID(write_private(copy, bytes));
  return audit::write_head(path_, audit::sign_head(log.image(), audit::kCoordinatorParty, key));
}

Result<void> check_record(const wire::SiteRecord& record, const RosterSite& site) {
  const auto refuse = [&](const std::string& why) {
    return protocol_error("the record of site '" + site.name + "' " + why);
  };
  SOTTO_TRY(const auto head, audit::decode_head(record.head));
  if (head.party != site.name || head.key != site.identity || !audit::signature_holds(head))
    return refuse("has a head that this site did not sign");
  const auto parsed = audit::parse_log(record.log);
  if (parsed.damage)
    return refuse("is damaged at entry " + std::to_string(parsed.damage->entry) + ": " + parsed.damage->why);
  if (parsed.image.records.empty() || parsed.image.records.size() != head.size)
    return refuse("and its head differ in length");
  SOTTO_TRY_VOID(audit::check_prefix(head, parsed.image));
  return {};
}

}  // namespace sotto::coordinator
