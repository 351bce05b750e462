#include "audit/program/ledger_commands.h"

#include <cstdio>
#include <filesystem>
#include <optional>

#include "audit/log/proof.h"
#include "audit/log/sealed_event.h"
#include "audit/run/run_folder.h"

namespace sotto::audit {
namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// A folder's own log, or the path itself.
std::string log_at(const std::string& path) {
  const bool folder = std::filesystem::is_directory(path);
  return folder ? path + "/log" : path;
}

Error damage_error(const std::string& file, const LogDamage& damage) {
  return invalid(file + ", entry " + std::to_string(damage.entry) + ": " + damage.why);
}

// What a sealed entry holds takes its place when the key opens it.
Result<Json> view_of(const Record& record, const Digest& log, const std::optional<LogKey>& key) {
  SOTTO_TRY(Json view, to_json(record));
  if (!key || record.type != EventType::kSealed) return view;
  SOTTO_TRY(const Event event, decode_event(record.type, record.payload));
  SOTTO_TRY(const Event inside, open_event(std::get<Sealed>(event), *key, {log, record.index}));
  view.set("sealed", true);
  view.set("type", name_of(type_of(inside)));
  view.set("event", to_json(inside));
  return view;
}

Result<void> show_log(const std::string& path, const LedgerQuery& query, const std::optional<LogKey>& key) {
  SOTTO_TRY(const Bytes file, read_log_bytes(path));
  const ParsedLog log = parse_log(file);
  for (const Record& record : log.image.records) {
    SOTTO_TRY(const Json view, view_of(record, log.image.id(), key));
    if (query.json) {
      print(view.dump() + "\n");
      continue;
    }
    std::string event = view.at("event").dump();
    constexpr std::size_t kShown = 160;
    if (event.size() > kShown) event = event.substr(0, kShown) + "...";
    print(std::to_string(record.index) + "  " + view.at("time").as_string() + "  " + view.at("type").as_string() + "  " +
          event + "\n");
  }
  if (log.damage) return damage_error(path, *log.damage);
  return {};
}

// The hashes of a whole log, and the body of one of its entries.
struct Tree {
  Digest id{};
  MerkleTree tree;
  Bytes entry;
};
Result<Tree> read_tree(const std::string& path, std::int64_t entry) {
  Tree out;
  SOTTO_TRY(const LogSummary summary, scan_log(path, [&](const RecordView& r) -> std::optional<LogDamage> {
              out.tree.append(r.hash);
              if (entry >= 0 && r.index == static_cast<std::uint64_t>(entry)) {
                out.entry =
                    body_of({r.index, r.type, r.time, Bytes(r.payload.begin(), r.payload.end()), r.previous, r.hash});
              }
              return std::nullopt;
            }));
  if (summary.damage) return damage_error(summary.damaged_file, *summary.damage);
  if (out.tree.size() == 0) return invalid("'" + path + "' has no entries");
  out.id = summary.id;
  return out;
}

// A size or index from the command line, within what the log has.
Result<std::uint64_t> number_in(const std::string& flag, std::int64_t value, std::uint64_t least, std::uint64_t most) {
  if (value < 0 || static_cast<std::uint64_t>(value) < least || static_cast<std::uint64_t>(value) > most) {
    return invalid(flag + " is " + std::to_string(value) + "; this log allows " + std::to_string(least) + " to " +
                   std::to_string(most));
  }
  return static_cast<std::uint64_t>(value);
}

Result<void> print_proof(const Proof& proof) {
  SOTTO_TRY([[maybe_unused]] const std::string holds, check_proof(proof));
  print(to_json(proof).dump(2) + "\n");
  return {};
}

}  // namespace

Result<void> ledger_show(const LedgerQuery& query) {
  namespace fs = std::filesystem;
  std::optional<LogKey> key;
  if (!query.key.empty()) {
    SOTTO_TRY(key, read_log_key(query.key));
  }
  if (!fs::is_directory(query.path) || fs::exists(query.path + "/log")) return show_log(log_at(query.path), query, key);
  SOTTO_TRY(const RunFolder folder, read_run_folder(query.path));
  std::vector<const PartyLog*> parties = {&folder.coordinator};
  for (const auto& site : folder.sites) parties.push_back(&site);
  for (const PartyLog* party : parties) {
    if (!query.json) print("== " + party->file() + "\n");
    SOTTO_TRY_VOID(show_log(query.path + "/" + party->file(), query, key));
  }
  return {};
}

Result<void> ledger_verify(const LedgerQuery& query) {
  std::uint64_t sealed = 0;
  const auto on_record = [&](const RecordView& r) -> std::optional<LogDamage> {
    const auto event = decode_event(r.type, r.payload);
    if (!event.ok()) return LogDamage{r.index, event.error().message, false};
    sealed += r.type == EventType::kSealed ? 1 : 0;
    return std::nullopt;
  };
  const std::string path = log_at(query.path);
  SOTTO_TRY(const LogSummary log, scan_log(path, on_record));
  if (log.damage) return damage_error(log.damaged_file, *log.damage);
  if (!query.head.empty()) {
    SOTTO_TRY(const Json json, Json::read_file(query.head));
    SOTTO_TRY(const SignedHead head, head_from_json(json));
    if (!signature_holds(head)) return invalid("'" + query.head + "': the signature does not hold");
    if (head.log != log.id || head.size != log.head.size || head.root != log.head.root) {
      return invalid("'" + path + "' is not what '" + query.head + "' signs: it has " + std::to_string(log.head.size) +
                     " entries and root " + to_hex(log.head.root));
    }
  }
  if (query.json) {
    print(Json::object({{"ok", true},
                        {"log", to_hex(log.id)},
                        {"entries", log.head.size},
                        {"root", to_hex(log.head.root)},
                        {"bytes", log.bytes},
                        {"files", log.files},
                        {"sealed", sealed}})
              .dump() +
          "\n");
    return {};
  }
  print("log " + to_hex(log.id) + "\n" + std::to_string(log.head.size) + " entries in " + std::to_string(log.files) +
        " files, " + std::to_string(log.bytes) + " bytes, " + std::to_string(sealed) + " sealed\nroot " +
        to_hex(log.head.root) + "\n" + iso_time(log.first_time) + " to " + iso_time(log.last_time) +
        "\nevery hash fits and every event decodes" + (query.head.empty() ? "" : "; the head signs exactly this") + "\n");
  return {};
}

Result<void> ledger_prove(const LedgerQuery& query) {
  SOTTO_TRY(const Tree log, read_tree(log_at(query.path), query.entry));
  const std::uint64_t all = log.tree.size();
  SOTTO_TRY(const std::uint64_t index, number_in("--entry", query.entry, 0, all - 1));
  SOTTO_TRY(const std::uint64_t size, number_in("--to", query.to.value_or(static_cast<std::int64_t>(all)), index + 1, all));
  return print_proof(
      InclusionProof{log.id, index, log.entry, {size, log.tree.root_at(size)}, log.tree.inclusion_proof(index, size)});
}

Result<void> ledger_consistency(const LedgerQuery& query) {
  SOTTO_TRY(const Tree log, read_tree(log_at(query.path), -1));
  const std::uint64_t all = log.tree.size();
  SOTTO_TRY(const std::uint64_t to, number_in("--to", query.to.value_or(static_cast<std::int64_t>(all)), 1, all));
  SOTTO_TRY(const std::uint64_t from, number_in("--from", query.from, 1, to));
  return print_proof(ConsistencyProof{
      log.id, {from, log.tree.root_at(from)}, {to, log.tree.root_at(to)}, log.tree.consistency_proof(from, to)});
}

Result<void> ledger_check(const LedgerQuery& query) {
  SOTTO_TRY(const Json json, Json::read_file(query.path));
  const auto proof = proof_from_json(json);
  if (!proof.ok()) return Error{proof.error().code, "'" + query.path + "': " + proof.error().message};
  std::string found;
  if (query.head.empty()) {
    SOTTO_TRY(found, check_proof(*proof));
  } else {
    SOTTO_TRY(const Json head_json, Json::read_file(query.head));
    SOTTO_TRY(const SignedHead head, head_from_json(head_json));
    SOTTO_TRY(found, check_proof_against(*proof, head));
  }
  print(query.json ? Json::object({{"ok", true}, {"proven", found}}).dump() + "\n" : found + "\n");
  return {};
}

}  // namespace sotto::audit
