#include "audit/run/run_folder.h"

#include <algorithm>
#include <filesystem>

#include "plan/plan_json.h"

namespace sotto::audit {
namespace {

constexpr std::uintmax_t kLargestLog = std::uintmax_t{4} << 30;
constexpr std::uintmax_t kLargestText = 16U << 20;
constexpr std::uintmax_t kLargestHead = 1U << 20;

// A folder from a hostile party may hold a device, a pipe, or a file without end.
Result<void> check_file(const std::string& path, std::uintmax_t most) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return not_found("cannot open '" + path + "': no such file");
  if (!std::filesystem::is_regular_file(status)) return invalid("'" + path + "' is not a plain file");
  const auto size = std::filesystem::file_size(path, error);
  if (error || size > most)
    return invalid("'" + path + "' is larger than the " + std::to_string(most >> 20) + " MiB that such a file may have");
  return {};
}

Result<Bytes> read_limited(const std::string& path, std::uintmax_t most) {
  SOTTO_TRY_VOID(check_file(path, most));
  return read_binary_file(path);
}

// Whether the event is about the run, of those that have one.
bool is_about(const Event& event, const RunId& run) {
  return std::visit(
      [&](const auto& e) {
        if constexpr (requires { e.run; })
          return e.run == run;
        else
          return false;
      },
      event);
}

std::optional<std::string> misplaced(const std::string& party, std::uint64_t index, EventType type) {
  const bool belongs = party == kCoordinatorParty ? may_stand_in_coordinator_log(type) : may_stand_in_site_log(type);
  if (!belongs) return std::string(name_of(type)) + " does not belong in this party's log";
  const bool creates = type == EventType::kSiteCreated || type == EventType::kCoordinatorCreated;
  if (creates != (index == 0)) return "a log begins with its creation, and nothing else does";
  return std::nullopt;
}

void take(PartyLog& out, const RecordView& record, Event&& event, const RunId& run) {
  if (!out.misplaced)
    if (const auto why = misplaced(out.party, record.index, record.type))
      out.misplaced = LogDamage{record.index, *why, false};
  out.sealed += std::holds_alternative<Sealed>(event) ? 1 : 0;
  if (out.party != kCoordinatorParty && !out.contradiction)
    if (const auto applied = out.spending.apply(event); !applied.ok())
      out.contradiction = LogDamage{record.index, applied.error().message, false};
  if (record.index == 0 || std::holds_alternative<HeadSeen>(event) || is_about(event, run))
    out.entries.push_back({record.index, record.time, std::move(event)});
}

void read_log_of(PartyLog& out, const std::string& path, const RunId& run) {
  if (const auto fit = check_file(path, kLargestLog); !fit.ok()) {
    out.missing = fit.error().code == ErrorCode::kNotFound;
    out.damage = LogDamage{0, fit.error().message, false};
    return;
  }
  const auto scanned = scan_log_file(path, [&](const RecordView& record) -> std::optional<LogDamage> {
    auto event = decode_event(record.type, record.payload);
    if (!event.ok()) return LogDamage{record.index, event.error().message, false};
    out.image.tree.append(record.hash);
    take(out, record, std::move(event).value(), run);
    return std::nullopt;
  });
  if (!scanned.ok())
    out.damage = LogDamage{0, scanned.error().message, false};
  else
    out.damage = scanned->damage;
  if (!out.damage && out.image.tree.size() == 0) out.damage = LogDamage{0, "the log is empty", false};
}

PartyLog read_party(const std::string& folder, const std::string& party, const RunId& run) {
  PartyLog out;
  out.party = party;
  read_log_of(out, folder + "/" + log_file(party), run);
  const auto read_head = [&]() -> Result<SignedHead> {
    SOTTO_TRY_VOID(check_file(folder + "/" + head_file(party), kLargestHead));
    SOTTO_TRY(const Json json, Json::read_file(folder + "/" + head_file(party)));
    return head_from_json(json);
  };
  auto head = read_head();
  if (head.ok()) {
    out.head = std::move(head).value();
  } else {
    out.head_problem = head.error().message;
  }
  return out;
}

std::vector<std::string> site_names(const std::string& folder, ByteSpan roster_bytes) {
  std::vector<std::string> names;
  const auto roster = decode_roster(roster_bytes);
  if (roster.ok()) {
    for (const auto& site : roster->sites) {
      // Names become paths, and this file comes from outside.
      if (is_valid_name(site.name)) names.push_back(site.name);
    }
    return names;
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/sites", error)) {
    const std::string name = entry.path().filename().string();
    if (is_valid_name(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<RunFacts> facts_of(const PartyLog& coordinator, const RunId& run) {
  for (const LogEntry& entry : coordinator.entries) {
    const auto* submitted = std::get_if<RunSubmitted>(&entry.event);
    if (!submitted || submitted->run != run) continue;
    auto plan = decode_plan(submitted->plan);
    auto roster = decode_roster(submitted->roster);
    if (!plan.ok() || !roster.ok()) return std::nullopt;
    return RunFacts{std::move(plan).value(), std::move(roster).value(), submitted->plan_hash, submitted->roster_hash,
                    entry.index};
  }
  return std::nullopt;
}

}  // namespace

std::string log_file(const std::string& party) {
  return party == kCoordinatorParty ? "coordinator/log" : "sites/" + party + "/log";
}

std::string head_file(const std::string& party) { return "heads/" + party + ".json"; }

const LogEntry* PartyLog::at(std::uint64_t index) const {
  const auto found = std::ranges::find(entries, index, &LogEntry::index);
  return found == entries.end() ? nullptr : &*found;
}

const PartyLog* RunFolder::find(const std::string& party) const {
  if (party == kCoordinatorParty) return &coordinator;
  const auto at = std::find_if(sites.begin(), sites.end(), [&](const PartyLog& s) { return s.party == party; });
  return at == sites.end() ? nullptr : &*at;
}

Result<RunFolder> read_run_folder(const std::string& path) {
  RunFolder out;
  out.path = path;
  if (!file_exists(path))
    return not_found("no folder '" + path + "': give the folder of a run, the one with run.json in it");
  SOTTO_TRY_VOID(check_file(path + "/run.json", kLargestText));
  SOTTO_TRY(out.run_json, read_text_file(path + "/run.json"));
  SOTTO_TRY(const Json json, Json::parse(out.run_json, path + "/run.json"));
  const auto run = json.get_string("run");
  if (!run.ok() || !is_valid_name(*run)) return invalid("'" + path + "/run.json' does not name a run in its field 'run'");
  out.run = RunId(*run);
  const auto roster = read_limited(path + "/roster", kLargestText);
  if (roster.ok()) out.roster_bytes = *roster;
  out.coordinator = read_party(path, kCoordinatorParty, out.run);
  for (const auto& name : site_names(path, out.roster_bytes)) out.sites.push_back(read_party(path, name, out.run));
  out.facts = facts_of(out.coordinator, out.run);
  return out;
}

std::string run_json_text(const RunPlan& plan, const Roster& roster) {
  return Json::object(
             {{"format", "sotto/run/1"}, {"run", plan.run.value()}, {"plan", to_json(plan)}, {"roster", to_json(roster)}})
             .dump(2) +
         "\n";
}

Result<void> write_run_files(const std::string& path, const RunPlan& plan, const Roster& roster) {
  SOTTO_TRY_VOID(make_folder(path));
  SOTTO_TRY_VOID(write_file_atomically(path + "/run.json", run_json_text(plan, roster)));
  return write_file_atomically(path + "/roster", encode(roster));
}

Result<std::string> read_report_file(const RunFolder& folder, const std::string& file) {
  SOTTO_TRY_VOID(check_file(folder.path + "/" + file, std::uintmax_t{64} << 20));
  return read_text_file(folder.path + "/" + file);
}

Result<void> write_head(const std::string& path, const SignedHead& head) {
  SOTTO_TRY_VOID(make_folder(path + "/heads"));
  return write_file_atomically(path + "/" + head_file(head.party), to_json(head).dump(2) + "\n");
}

}  // namespace sotto::audit
