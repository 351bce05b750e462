#include "audit/verify/views.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "audit/checks/checks.h"
#include "audit/log/proof.h"

namespace sotto::audit {
namespace {

struct View {
  std::string file;
  std::string party;                  // of its first entry
  std::optional<PublicKeyBytes> key;  // that signs its heads; a book of patients has none
  LogImage image;
  std::vector<Event> events;
  std::optional<LogDamage> damage;
  std::vector<SeenHead> heads;  // that lie beside it, whose signature holds

  std::string entry(std::size_t i) const { return file + ", entry " + std::to_string(i); }
};

// Of training alone and of a registry in FOLDER/head.json; of a run's folder in DIR/heads/NAME.json.
void add_heads_beside(View& view) {
  const auto folder = std::filesystem::path(view.file).parent_path();
  const auto above = view.party == kCoordinatorParty ? folder / ".." : folder / "../..";
  for (const auto& file : {folder / "head.json", above / "heads" / (view.party + ".json")}) {
    const auto json = Json::read_file(file.string());
    if (!json.ok()) continue;
    auto head = head_from_json(*json);
    if (head.ok() && head->key == *view.key && signature_holds(*head))
      view.heads.push_back({std::move(head).value(), file.lexically_normal().string()});
  }
}

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
    out.key = site->identity;
  } else if (const auto* coordinator = std::get_if<CoordinatorCreated>(&out.events[0])) {
    out.party = kCoordinatorParty;
    out.key = coordinator->identity;
  } else if (const auto* registry = std::get_if<RegistryCreated>(&out.events[0])) {
    out.party = "registry";
    out.key = registry->identity;
  } else if (std::holds_alternative<BookCreated>(out.events[0])) {
    out.party = "book of patients";
  } else if (!out.damage) {
    out.damage = LogDamage{0, "a log begins with its creation", false};
  }
  if (out.key) add_heads_beside(out);
  return out;
}

Finding whole(const View& view) {
  if (view.damage) return invalid(view.entry(view.damage->entry) + ": " + view.damage->why);
  return "the log of '" + view.party + "', " + std::to_string(view.events.size()) + " entries, every hash fits";
}

// By key: every head that any of the logs holds, or that lies beside one.
std::map<PublicKeyBytes, std::vector<SeenHead>> heads_in(const std::vector<View>& views) {
  std::map<PublicKeyBytes, std::vector<SeenHead>> out;
  for (const View& view : views) {
    for (const SeenHead& head : view.heads) out[head.head.key].push_back(head);
    for (std::size_t i = 0; i < view.events.size(); ++i) {
      const auto* seen = std::get_if<HeadSeen>(&view.events[i]);
      if (!seen) continue;
      const auto head = decode_head(seen->head);
      if (head.ok()) out[head->key].push_back({*head, view.entry(i)});
    }
  }
  return out;
}

// Two logs with one first entry: the entry from which on they differ; none where one is the other's beginning.
std::optional<std::size_t> fork_of(const View& a, const View& b) {
  const auto& left = a.image.records;
  const auto& right = b.image.records;
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (left[i].hash != right[i].hash) return i;
  }
  return std::nullopt;
}

Json entry_proof(const View& view, std::size_t entry) {
  const auto& tree = view.image.tree;
  return to_json(Proof(InclusionProof{view.image.id(), entry, body_of(view.image.records[entry]), view.image.head(),
                                      tree.inclusion_proof(entry, tree.size())}));
}

// Any two logs that begin alike, or whose heads one key signs, are one log. The signed heads are the proof where there are
// any (check_heads); else that one entry is two things.
void check_histories(const std::vector<View>& views, const std::set<PublicKeyBytes>& proven, Verdict& verdict) {
  std::size_t pairs = 0;
  std::string clash;
  for (std::size_t i = 0; i < views.size(); ++i) {
    for (std::size_t j = i + 1; j < views.size(); ++j) {
      const View& a = views[i];
      const View& b = views[j];
      const bool one_log = a.image.id() == b.image.id();
      if (!one_log && (!a.key || a.key != b.key)) continue;
      ++pairs;
      const std::string who = "the log of '" + a.party + "' has two histories: ";
      const auto fork = fork_of(a, b);
      if (!fork) continue;
      if (clash.empty())
        clash = who + "from entry " + std::to_string(*fork) + " on " + a.file + " and " + b.file + " differ" +
                (one_log ? "" : "; one key began both");
      if (a.key && proven.contains(*a.key)) continue;
      verdict.proofs.push_back(entry_proof(a, *fork));
      verdict.proofs.push_back(entry_proof(b, *fork));
    }
  }
  verdict.add("histories", clash.empty() ? Finding("no two of these logs are one log with two histories (" +
                                                   std::to_string(pairs) + " of one owner compared)")
                                         : Finding(invalid(clash)));
}

// Returns the keys that are proven to have signed two histories.
std::set<PublicKeyBytes> check_heads(const std::vector<View>& views, Verdict& verdict) {
  std::set<PublicKeyBytes> proven;
  for (const auto& [key, heads] : heads_in(views)) {
    std::vector<const View*> own;
    for (const View& view : views) {
      if (view.key == key) own.push_back(&view);
    }
    auto split = find_split(heads, nullptr);
    for (const View* view : own) {
      if (!split) split = find_split(heads, &view->image);
    }
    const std::string with =
        own.empty() ? "; those of different sizes need its log, or a consistency proof" : ", each held against its log";
    Finding finding = std::to_string(heads.size()) + " heads of its log in these logs, no two contradict each other" + with;
    if (split) {
      finding = invalid(*check_proof(*split));
      verdict.proofs.push_back(to_json(Proof(std::move(*split))));
      proven.insert(key);
    }
    for (const View* view : own) {
      for (const auto& seen : heads) {
        const auto prefix = check_prefix(seen.head, view->image);
        const bool later = seen.head.log == view->image.id() && seen.head.size > view->image.tree.size() && own.size() > 1;
        if (!prefix.ok() && !later && finding.ok())
          finding = invalid(view->file + " is not what " + seen.where + " saw: " + prefix.error().message);
      }
    }
    verdict.add("heads of " + heads.front().head.party, finding);
  }
  return proven;
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
  check_histories(views, check_heads(views, verdict), verdict);
  compare_events(views, verdict);
  verdict.ok = verdict.first_failed() == nullptr;
  return verdict;
}

}  // namespace sotto::audit
