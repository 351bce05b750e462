#include "audit/verify/verify.h"

#include <algorithm>
#include <functional>
#include <sstream>

#include "audit/checks/checks.h"
#include "audit/log/proof.h"
#include "audit/report/report.h"
#include "crypto/signature.h"

namespace sotto::audit {
namespace {

// Collects checks; after a stage with a failure the later ones are not run, because their subject is not to be trusted.
class Run {
 public:
  explicit Run(const RunFolder& folder) : folder_(folder) {}

  void check(const std::string& name, const Finding& finding) { verdict_.add(name, finding); }
  void each_party(const std::string& name, const std::function<Finding(const PartyLog&)>& check_party) {
    check(name + " " + folder_.coordinator.party, check_party(folder_.coordinator));
    each_site(name, check_party);
  }
  void each_site(const std::string& name, const std::function<Finding(const PartyLog&)>& check_site) {
    for (const auto& site : folder_.sites) check(name + " " + site.party, check_site(site));
  }
  // A site that did not deliver its log fails once, by that; the others can still be judged.
  void each_delivered(const std::string& name, const std::function<Finding(const PartyLog&)>& check_site) {
    for (const auto& site : folder_.sites) {
      if (!site.missing) check(name + " " + site.party, check_site(site));
    }
  }
  bool log_damaged() const {
    return folder_.coordinator.damage ||
           std::any_of(folder_.sites.begin(), folder_.sites.end(), [](const PartyLog& s) { return s.damage && !s.missing; });
  }
  std::size_t failures() const {
    return static_cast<std::size_t>(
        std::count_if(verdict_.checks.begin(), verdict_.checks.end(), [](const Check& c) { return !c.ok; }));
  }
  void skip_rest() { check("all that follows", invalid("not checked, because of the failures above")); }

  Verdict finish() {
    verdict_.ok = failures() == 0;
    return std::move(verdict_);
  }
  Verdict& verdict() { return verdict_; }

 private:
  const RunFolder& folder_;
  Verdict verdict_;
};

void check_report(Run& run, const RunFolder& folder) {
  run.each_delivered("epsilon", [&](const PartyLog& site) { return check_epsilon(folder, site); });
  run.each_delivered("accountants", [&](const PartyLog& site) { return check_accountants(folder, site); });
  run.each_delivered("canaries", [&](const PartyLog& site) { return check_canaries(folder, site); });
  const auto report = make_report(folder);
  if (!report.ok()) {
    run.check(kReportJsonFile, report.error());
    return;
  }
  run.check(kReportJsonFile, check_report_file(folder, kReportJsonFile, report_json_text(*report)));
  run.check(kReportHtmlFile, check_report_file(folder, kReportHtmlFile, report_html_text(*report)));
}

// What a failed "heads seen" has as evidence.
void collect_splits(const RunFolder& folder, Verdict& verdict) {
  std::vector<const PartyLog*> parties = {&folder.coordinator};
  for (const auto& site : folder.sites) parties.push_back(&site);
  for (const PartyLog* log : parties) {
    std::vector<SeenHead> heads = heads_seen_of(folder, log->party);
    if (log->head) heads.push_back({*log->head, head_file(log->party)});
    if (heads.empty()) continue;
    if (auto split = find_split(heads, log->missing ? nullptr : &log->image)) {
      verdict.proofs.push_back(to_json(Proof(std::move(*split))));
    }
  }
}

Finding check_expected_key(const std::string& party, const SignedHead& head, const Expectation& expected) {
  const auto at = expected.fingerprints.find(party);
  if (at == expected.fingerprints.end()) return "self-asserted: no fingerprint of '" + party + "' was expected";
  const crypto::VerifyKey key(head.key);
  if (crypto::fingerprint_matches(at->second, key)) return "pinned: " + crypto::fingerprint(key);
  return invalid("'" + party + "' signs with the key " + crypto::fingerprint(key) + ", expected was " + at->second);
}

Finding check_expected_rest(const RunFolder& folder, const Expectation& expected) {
  if (expected.roster && (!folder.facts || folder.facts->roster_hash != *expected.roster)) {
    return invalid("the roster is not the expected one, " + to_hex(*expected.roster));
  }
  for (const auto& [party, head] : expected.heads) {
    const PartyLog* log = folder.find(party);
    if (!log) return invalid("a head of '" + party + "' was expected, which is no party of this run");
    if (head.size > log->image.tree.size() || log->image.tree.root_at(head.size) != head.root) {
      return invalid(log->file() + " does not have the expected head over " + std::to_string(head.size) + " entries");
    }
  }
  for (const auto& [party, text] : expected.fingerprints) {
    if (!folder.find(party)) return invalid("a fingerprint of '" + party + "' was expected, which is no party of this run");
  }
  return std::string("all that was expected is there");
}

void check_expected(Run& run, const RunFolder& folder, const std::optional<Expectation>& expected) {
  std::vector<const PartyLog*> parties = {&folder.coordinator};
  for (const auto& site : folder.sites) parties.push_back(&site);
  for (const PartyLog* log : parties) {
    if (!log->head) continue;
    PartyIdentity identity{log->party, crypto::fingerprint(crypto::VerifyKey(log->head->key)), false};
    if (expected) {
      const Finding finding = check_expected_key(log->party, *log->head, *expected);
      identity.pinned = finding.ok() && expected->fingerprints.contains(log->party);
      run.check("identity " + log->party, finding);
    }
    run.verdict().identities.push_back(std::move(identity));
  }
  if (expected) run.check("expected", check_expected_rest(folder, *expected));
}

Result<Digest> read_digest(const std::string& text, const std::string& where) {
  auto digest = digest_from_hex(text);
  if (!digest.ok()) return invalid(where + "'" + text + "' is not a SHA-256 value in hexadecimal");
  return digest;
}

Result<void> read_expected_line(Expectation& out, const std::vector<std::string>& words, const std::string& where) {
  if (words[0] == "roster" && words.size() == 2) {
    SOTTO_TRY(out.roster, read_digest(words[1], where));
    return {};
  }
  if (words[0] == "head" && words.size() == 4) {
    Expectation::Head head{words[1], {}};
    if (words[2].empty() || words[2].size() > 18 || words[2].find_first_not_of("0123456789") != std::string::npos) {
      return invalid(where + "'" + words[2] + "' is not a number of entries");
    }
    head.head.size = std::stoull(words[2]);
    SOTTO_TRY(head.head.root, read_digest(words[3], where));
    out.heads.push_back(std::move(head));
    return {};
  }
  if (words.size() < 2 || !is_valid_name(words[0])) {
    return invalid(where + "expected NAME FINGERPRINT, roster HEX or head NAME SIZE ROOT");
  }
  std::string fingerprint;
  for (std::size_t i = 1; i < words.size(); ++i) fingerprint += words[i];
  out.fingerprints[words[0]] = fingerprint;
  return {};
}

}  // namespace

void Verdict::add(const std::string& name, const Result<std::string>& finding) {
  checks.push_back({name, finding.ok(), finding.ok() ? *finding : finding.error().message});
}

bool Verdict::all_pinned() const {
  return !identities.empty() && std::all_of(identities.begin(), identities.end(), [](const auto& i) { return i.pinned; });
}

const Check* Verdict::first_failed() const {
  const auto at = std::find_if(checks.begin(), checks.end(), [](const Check& c) { return !c.ok; });
  return at == checks.end() ? nullptr : &*at;
}

Result<Expectation> read_expectation(const std::string& path) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  Expectation out;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream in(line.substr(0, line.find('#')));
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (!words.empty()) SOTTO_TRY_VOID(read_expected_line(out, words, path + ":" + std::to_string(number) + ": "));
  }
  if (out.fingerprints.empty() && !out.roster && out.heads.empty()) {
    return invalid(path + ": it names no fingerprint, roster or head");
  }
  return out;
}

Verdict verify(const RunFolder& folder, const std::optional<Expectation>& expected) {
  Run run(folder);
  run.each_party("log", check_chain);
  const std::size_t missing = run.failures();
  const auto sound = [&] { return !run.log_damaged() && run.failures() == missing; };
  if (sound()) {
    run.check("head coordinator", check_head(folder, folder.coordinator));
    run.each_delivered("head", [&](const PartyLog& log) { return check_head(folder, log); });
    // Sites first: a site's log that was swapped also bears false witness about the coordinator's.
    run.each_delivered("heads seen of", [&](const PartyLog& log) { return check_heads_seen(folder, log); });
    run.check("heads seen of coordinator", check_heads_seen(folder, folder.coordinator));
    collect_splits(folder, run.verdict());
    run.check("run files", check_run_files(folder));
  }
  if (sound()) {
    run.check("identities in the logs", check_identities(folder));
    run.check("approvals", check_approvals(folder));
  }
  if (sound()) run.check("round descriptors", check_descriptors(folder));
  if (sound()) {
    run.check("survivors", check_survivors(folder));
    run.check("one opened attempt", check_one_opened(folder));
    run.each_delivered("end", [&](const PartyLog& site) { return check_end(folder, site); });
    run.check("adapter file", check_adapter_file(folder));
    run.each_delivered("ledger", [&](const PartyLog& site) { return check_ledger(folder, site); });
    run.each_delivered("sampling and noise", [&](const PartyLog& site) { return check_mechanism(folder, site); });
    check_report(run, folder);
  } else {
    run.skip_rest();
  }
  check_expected(run, folder, expected);
  return run.finish();
}

Json to_json(const Verdict& verdict, const std::optional<RunId>& run) {
  Json out = Json::object({{"ok", verdict.ok}});
  if (run) {
    Json fingerprints = Json::array();
    for (const auto& i : verdict.identities) {
      fingerprints.push(Json::object({{"party", i.party}, {"fingerprint", i.fingerprint}, {"pinned", i.pinned}}));
    }
    out.set("run", run->value());
    out.set("identities", verdict.all_pinned() ? "pinned" : "self-asserted");
    out.set("fingerprints", std::move(fingerprints));
  }
  Json checks = Json::array();
  for (const auto& c : verdict.checks) checks.push(Json::object({{"name", c.name}, {"ok", c.ok}, {"detail", c.detail}}));
  out.set("checks", std::move(checks));
  if (!verdict.proofs.empty()) out.set("proofs", Json(verdict.proofs));
  return out;
}

std::string to_text(const Verdict& verdict, const std::optional<RunId>& run) {
  std::string out = run ? "run " + run->value() + "\n" : "";
  for (const auto& c : verdict.checks) {
    out += std::string(c.ok ? "  ok    " : "  FAIL  ") + c.name + ": " + c.detail + "\n";
  }
  for (const auto& proof : verdict.proofs) {
    out += "proof, for 'sotto-audit ledger check' and for whoever has neither log:\n" + proof.dump(2) + "\n";
  }
  if (run) {
    out += std::string("identities: ") + (verdict.all_pinned() ? "pinned" : "self-asserted; compare each with its owner") +
           "\n";
  }
  for (const auto& i : verdict.identities)
    out += "  " + i.fingerprint + "  " + i.party + (i.pinned ? "  (pinned)" : "") + "\n";
  return out + (verdict.ok ? "verified\n" : "NOT VERIFIED\n");
}

}  // namespace sotto::audit
