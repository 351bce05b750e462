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

PartyLog read_party(const std::string& folder, const std::string& party) {
  PartyLog out;
  out.party = party;
  const auto file = read_limited(folder + "/" + log_file(party), kLargestLog);
  if (!file.ok()) {
    out.missing = file.error().code == ErrorCode::kNotFound;
    out.damage = LogDamage{0, file.error().message, false};
  } else {
    ParsedLog parsed = parse_log(*file);
    out.image = std::move(parsed.image);
    out.damage = std::move(parsed.damage);
    if (!out.damage && out.image.records.empty()) out.damage = LogDamage{0, "the log is empty", false};
  }
  for (const Record& record : out.image.records) {
    auto event = decode_event(record.type, record.payload);
    if (!event.ok()) {
      out.damage = LogDamage{record.index, event.error().message, false};
      break;
    }
    out.events.push_back(std::move(event).value());
  }
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
  for (std::uint64_t i = 0; i < coordinator.events.size(); ++i) {
    const auto* submitted = std::get_if<RunSubmitted>(&coordinator.events[static_cast<std::size_t>(i)]);
    if (!submitted || submitted->run != run) continue;
    auto plan = decode_plan(submitted->plan);
    auto roster = decode_roster(submitted->roster);
    if (!plan.ok() || !roster.ok()) return std::nullopt;
    return RunFacts{std::move(plan).value(), std::move(roster).value(), submitted->plan_hash, submitted->roster_hash, i};
  }
  return std::nullopt;
}

}  // namespace

std::string log_file(const std::string& party) {
  return party == kCoordinatorParty ? "coordinator/log" : "sites/" + party + "/log";
}

std::string head_file(const std::string& party) { return "heads/" + party + ".json"; }

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
  out.coordinator = read_party(path, kCoordinatorParty);
  for (const auto& name : site_names(path, out.roster_bytes)) out.sites.push_back(read_party(path, name));
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
