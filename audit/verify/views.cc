#include "audit/verify/views.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>

#include "audit/checks/checks.h"
#include "audit/log/proof.h"

namespace sotto::audit {
namespace {

struct View {
  std::string file;
  std::string party;  // of its first entry
  LogImage image;
  std::vector<Event> events;
  std::optional<LogDamage> damage;

  std::string entry(std::size_t i) const { return file + ", entry " + std::to_string(i); }
};

Result<View> read_view(const std::string& path) {
  View out;
  out.file = std::filesystem::is_directory(path) ? path + "/log" : path;
  SOTTO_TRY(const Bytes bytes, read_log_bytes(out.file));
  ParsedLog parsed = parse_log(bytes);
  out.image = std::move(parsed.image);
  out.damage = std::move(parsed.damage);
  for (const Record& record : out.image.records) {
    auto event = decode_event(record.type, record.payload);
    if (!event.ok()) {
      out.damage = LogDamage{record.index, event.error().message, false};
      break;
    }
    out.events.push_back(std::move(event).value());
  }
  if (!out.damage && out.events.empty()) out.damage = LogDamage{0, "the log is empty", false};
  if (out.events.empty()) return out;
  if (const auto* site = std::get_if<SiteCreated>(&out.events[0])) {
    out.party = site->site;
  } else if (std::holds_alternative<CoordinatorCreated>(out.events[0])) {
    out.party = kCoordinatorParty;
  } else if (!out.damage) {
    out.damage = LogDamage{0, "a log begins with its creation", false};
  }
  return out;
}

Finding whole(const View& view) {
  if (view.damage) return invalid(view.entry(view.damage->entry) + ": " + view.damage->why);
  return "the log of '" + view.party + "', " + std::to_string(view.events.size()) + " entries, every hash fits";
}

// By party: every head that any of the logs holds.
std::map<std::string, std::vector<SeenHead>> heads_in(const std::vector<View>& views) {
  std::map<std::string, std::vector<SeenHead>> out;
  for (const View& view : views) {
    for (std::size_t i = 0; i < view.events.size(); ++i) {
      const auto* seen = std::get_if<HeadSeen>(&view.events[i]);
      if (!seen) continue;
      const auto head = decode_head(seen->head);
      if (head.ok()) out[head->party].push_back({*head, view.entry(i)});
    }
  }
  return out;
}

// Byte strings that must be the same wherever they stand: the first that is not.
class Agreement {
 public:
  void add(const std::string& what, const Bytes& bytes, const std::string& where) {
    const auto [at, fresh] = known_.try_emplace(what, Known{bytes, where});
    if (!fresh && at->second.bytes != bytes && clash_.empty()) {
      clash_ = what + " is not the same in " + at->second.where + " and in " + where;
    }
  }
  Finding finding(const std::string& what) const {
    if (!clash_.empty()) return invalid(clash_);
    return std::to_string(known_.size()) + " " + what + ", the same wherever they were shown";
  }

 private:
  struct Known {
    Bytes bytes;
    std::string where;
  };
  std::map<std::string, Known> known_;
  std::string clash_;
};

void compare_events(const std::vector<View>& views, Verdict& verdict) {
  Agreement plans;
  Agreement descriptors;
  for (const View& view : views) {
    for (std::size_t i = 0; i < view.events.size(); ++i) {
      if (const auto* approved = std::get_if<RunApproved>(&view.events[i])) {
        const Bytes both = ByteWriter().bytes(approved->plan).bytes(approved->roster).take();
        plans.add("the plan and roster of run '" + approved->run.value() + "'", both, view.entry(i));
      } else if (const auto* joined = std::get_if<RoundJoined>(&view.events[i])) {
        descriptors.add("the descriptor of round " + std::to_string(joined->round.value()) + ", attempt " +
                            std::to_string(joined->attempt.value()) + " of run '" + joined->run.value() + "'",
                        joined->descriptor, view.entry(i));
      }
    }
  }
  verdict.add("plans and rosters", plans.finding("runs"));
  verdict.add("round descriptors", descriptors.finding("attempts"));
}

}  // namespace

Result<Verdict> compare_views(const std::vector<std::string>& paths) {
  std::vector<View> views;
  for (const auto& path : paths) {
    SOTTO_TRY(View view, read_view(path));
    views.push_back(std::move(view));
  }
  Verdict verdict;
  for (const View& view : views) verdict.add("log " + view.file, whole(view));
  if (verdict.first_failed()) {
    verdict.add("all that follows", invalid("not checked, because of the failures above"));
    return verdict;
  }
  for (const auto& [party, heads] : heads_in(views)) {
    const auto own = std::find_if(views.begin(), views.end(), [&, name = party](const View& v) { return v.party == name; });
    const LogImage* log = own == views.end() ? nullptr : &own->image;
    auto split = find_split(heads, log);
    const std::string with =
        log ? ", each held against its log" : "; those of different sizes need its log, or a consistency proof";
    Finding finding = std::to_string(heads.size()) + " heads of its log in these logs, no two contradict each other" + with;
    if (split) {
      finding = invalid(*check_proof(*split));
      verdict.proofs.push_back(to_json(Proof(std::move(*split))));
    } else if (log) {
      for (const auto& seen : heads) {
        const auto prefix = check_prefix(seen.head, *log);
        if (!prefix.ok() && finding.ok())
          finding = invalid(own->file + " is not what " + seen.where + " saw: " + prefix.error().message);
      }
    }
    verdict.add("heads of " + party, finding);
  }
  compare_events(views, verdict);
  verdict.ok = verdict.first_failed() == nullptr;
  return verdict;
}

}  // namespace sotto::audit
