// The checks of a run as its parties tell it: files, identities, approvals, descriptors, survivors and their signatures, one
// opened attempt a round.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "audit/checks/checks.h"
#include "audit/log/statements.h"
#include "crypto/hash.h"

namespace sotto::audit {
namespace {

using AttemptKey = std::pair<RoundId, AttemptId>;

std::string attempt_name(RoundId round, AttemptId attempt) {
  return "round " + std::to_string(round.value()) + ", attempt " + std::to_string(attempt.value());
}

// D as plan and roster ask for it; what changes from round to round is taken from D itself.
Result<void> check_against_plan(const RoundDescriptor& d, const RunFacts& facts) {
  RoundDescriptor expected = describe(facts.plan, facts.roster);
  expected.round = d.round;
  expected.attempt = d.attempt;
  expected.adapter = d.adapter;
  expected.layout = d.layout;
  expected.plan = facts.plan_hash;
  expected.roster = facts.roster_hash;
  expected.transcript = d.transcript;
  expected.coordinator_head = d.coordinator_head;
  if (encode(expected) != encode(d)) return invalid("the descriptor differs from what plan and roster say");
  if (d.round.value() >= facts.plan.rounds)
    return invalid("the plan has only " + std::to_string(facts.plan.rounds) + " rounds");
  return {};
}

bool ascending_below(const std::vector<SiteIndex>& sites, std::size_t n) {
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (sites[i].value() >= n || (i > 0 && !(sites[i - 1] < sites[i]))) return false;
  }
  return true;
}

// Everything that the checks of one opened attempt share.
struct Attempt {
  const RunFolder& folder;
  const RunFacts& facts;
  RoundDescriptor d;
  const Survivors* sets = nullptr;
  std::uint64_t entry = 0;  // of the result
  Digest u1{};
  Digest u3{};

  const std::string& name(SiteIndex i) const { return facts.roster.sites[i.value()].name; }
  crypto::VerifyKey key(SiteIndex i) const { return crypto::VerifyKey(facts.roster.sites[i.value()].identity); }
  const PartyLog& site(SiteIndex i) const { return *folder.find(name(i)); }
  // Whether the site's own log can be compared and, then, does not hold the same.
  bool contradicted(SiteIndex i, bool same) const { return !site(i).missing && !same; }
  Error at_result(const std::string& why) const { return at_entry(folder.coordinator, entry, why); }
};

Result<void> check_sets(const Attempt& a, const RoundResult& result) {
  std::vector<SiteIndex> u1;
  for (const auto& p : a.sets->u1) u1.push_back(p.site);
  const std::size_t n = a.facts.roster.sites.size();
  if (!ascending_below(u1, n) || !ascending_below(a.sets->u3, n))
    return a.at_result("its sets of sites are not sets of the roster");
  if (!std::includes(u1.begin(), u1.end(), a.sets->u3.begin(), a.sets->u3.end())) {
    return a.at_result("a survivor did not start the attempt");
  }
  if (a.sets->u3.size() < a.facts.plan.min_sites) {
    return a.at_result("it sums over " + std::to_string(a.sets->u3.size()) + " sites, the plan asks for " +
                       std::to_string(a.facts.plan.min_sites));
  }
  if (result.survivors != a.sets->u3) return a.at_result("its survivors are not those that the sites were asked to confirm");
  const auto keys = all_of<SiteKeys>(a.folder.coordinator, a.facts.plan.run);
  for (const auto& p : a.sets->u1) {
    const auto found = std::find_if(keys.begin(), keys.end(), [&](const Placed<SiteKeys>& k) {
      return k.event->round == result.round && k.event->attempt == result.attempt && k.event->site == p.site &&
             k.event->body == p.keys;
    });
    if (found == keys.end())
      return a.at_result("the keys of site '" + a.name(p.site) + "' in U1 are not those that were received");
    const auto sent = all_of<KeysSent>(a.site(p.site), a.facts.plan.run);
    const KeysSent* own = find_of(sent, result);
    if (a.contradicted(p.site, own && own->body == p.keys))
      return a.at_result("site '" + a.name(p.site) + "' did not send the keys that stand in U1");
  }
  return {};
}

Result<void> check_reports(const Attempt& a) {
  const auto reports = all_of<ReportReceived>(a.folder.coordinator, a.facts.plan.run);
  std::set<SiteIndex> seen;
  for (const auto& p : reports) {
    const ReportReceived& r = *p.event;
    if (r.round != a.d.round || r.attempt != a.d.attempt) continue;
    if (r.site.value() >= a.facts.roster.sites.size())
      return at_entry(a.folder.coordinator, p.entry, "no such site in the roster");
    const std::string who = "the REPORT of site '" + a.name(r.site) + "'";
    if (r.u1 != a.u1) return at_entry(a.folder.coordinator, p.entry, who + " is of another set of sites");
    const auto signature =
        crypto::verify_statement(a.key(r.site), report_statement(a.d, a.name(r.site), r.u1, r.y), r.signature);
    if (!signature.ok()) return at_entry(a.folder.coordinator, p.entry, signature.error().message);
    const auto sent = all_of<ReportSent>(a.site(r.site), a.facts.plan.run);
    const ReportSent* own = find_of(sent, r);
    if (a.contradicted(r.site, own && own->y == r.y && own->u1 == r.u1 && own->ctx == context_of(a.d))) {
      return at_entry(a.folder.coordinator, p.entry, who + " is not the one in " + a.site(r.site).file());
    }
    seen.insert(r.site);
  }
  for (const SiteIndex i : a.sets->u3) {
    if (!seen.contains(i)) return a.at_result("site '" + a.name(i) + "' is in the sum without a REPORT");
  }
  return {};
}

Result<void> check_confirms(const Attempt& a) {
  std::set<SiteIndex> signers;
  for (const auto& p : all_of<ConfirmReceived>(a.folder.coordinator, a.facts.plan.run)) {
    const ConfirmReceived& c = *p.event;
    if (c.round != a.d.round || c.attempt != a.d.attempt) continue;
    const bool member =
        std::any_of(a.sets->u1.begin(), a.sets->u1.end(), [&](const CohortMember& m) { return m.site == c.site; });
    if (!member) return at_entry(a.folder.coordinator, p.entry, "this site did not start the attempt");
    if (c.u1 != a.u1 || c.u3 != a.u3)
      return at_entry(a.folder.coordinator, p.entry, "this CONFIRM is of other sets of sites");
    const auto signature =
        crypto::verify_statement(a.key(c.site), confirm_statement(a.d, a.name(c.site), c.u1, c.u3), c.signature);
    if (!signature.ok()) return at_entry(a.folder.coordinator, p.entry, signature.error().message);
    const auto own_log = all_of<ConfirmSigned>(a.site(c.site), a.facts.plan.run);
    const ConfirmSigned* own = find_of(own_log, c);
    const bool same =
        own && own->u1 == c.u1 && own->u3 == c.u3 && own->survivors == a.sets->u3 && own->ctx == context_of(a.d);
    if (a.contradicted(c.site, same)) {
      return at_entry(a.folder.coordinator, p.entry, "this CONFIRM is not the one in " + a.site(c.site).file());
    }
    signers.insert(c.site);
  }
  const std::uint32_t t =
      shamir_threshold(static_cast<std::uint32_t>(a.facts.roster.sites.size()), a.facts.roster.colluders);
  if (signers.size() < t) {
    return a.at_result(std::to_string(signers.size()) + " sites signed for its survivors, " + std::to_string(t) +
                       " are needed");
  }
  return {};
}

Result<void> check_acceptance(const Attempt& a, const RoundResult& result) {
  for (const auto& site : a.folder.sites) {
    for (const auto& p : all_of<ResultAccepted>(site, a.facts.plan.run)) {
      if (p.event->round != result.round) continue;
      if (p.event->attempt != result.attempt || p.event->sum != result.sum || p.event->adapter != result.adapter) {
        return at_entry(site, p.entry,
                        "the site accepted another result than " + a.folder.coordinator.entry(a.entry) + " published");
      }
    }
  }
  return {};
}

}  // namespace

Finding check_run_files(const RunFolder& folder) {
  if (!folder.facts) return invalid("coordinator/log has no readable run_submitted of run '" + folder.run.value() + "'");
  const RunFacts& facts = *folder.facts;
  const auto& submitted = std::get<RunSubmitted>(folder.coordinator.at(facts.entry)->event);
  if (encode(facts.plan) != submitted.plan || encode(facts.roster) != submitted.roster) {
    return at_entry(folder.coordinator, facts.entry, "plan or roster are not in canonical form");
  }
  if (plan_hash(facts.plan) != submitted.plan_hash || roster_hash(facts.roster) != submitted.roster_hash) {
    return at_entry(folder.coordinator, facts.entry, "plan or roster do not have the hashes that stand with them");
  }
  for (const auto& site : facts.roster.sites) {
    if (site.name == kCoordinatorParty || !is_valid_name(site.name)) {
      return at_entry(folder.coordinator, facts.entry, "a site cannot have the name '" + site.name + "'");
    }
  }
  if (facts.plan.run != folder.run) return at_entry(folder.coordinator, facts.entry, "the plan is of another run");
  const auto valid = validate(facts.plan, facts.roster);
  if (!valid.ok()) return at_entry(folder.coordinator, facts.entry, valid.error().message);
  if (all_of<RunSubmitted>(folder.coordinator, folder.run).size() != 1) {
    return at_entry(folder.coordinator, facts.entry, "the run was submitted more than once");
  }
  if (folder.roster_bytes != submitted.roster) return invalid("the file roster is not the roster of coordinator/log");
  if (folder.run_json != run_json_text(facts.plan, facts.roster))
    return invalid("run.json is not what coordinator/log says");
  return std::to_string(facts.roster.sites.size()) + " sites, " + std::to_string(facts.plan.rounds) + " rounds, plan " +
         to_hex(facts.plan_hash).substr(0, 16) + "...";
}

Finding check_identities(const RunFolder& folder) {
  const Roster& roster = folder.facts->roster;
  const auto check = [&](const PartyLog& log, const PublicKeyBytes& created, const PublicKeyBytes& wanted) -> Result<void> {
    if (created != wanted) return at_entry(log, 0, "the log is of another identity than the roster's");
    if (!log.head || log.head->key != wanted)
      return invalid(head_file(log.party) + " is signed by another key than the roster's");
    return {};
  };
  SOTTO_TRY_VOID(check(folder.coordinator, std::get<CoordinatorCreated>(folder.coordinator.entries[0].event).identity,
                       roster.coordinator));
  for (const auto& site : roster.sites) {
    const PartyLog* log = folder.find(site.name);
    if (!log) return invalid("sites/" + site.name + " is missing");
    if (log->missing) continue;
    const auto& created = std::get<SiteCreated>(log->entries[0].event);
    if (created.site != site.name) return at_entry(*log, 0, "the log is of site '" + created.site + "'");
    SOTTO_TRY_VOID(check(*log, created.identity, site.identity));
  }
  return std::string("all logs and heads are of the roster's keys");
}

Finding check_approvals(const RunFolder& folder) {
  const RunFacts& facts = *folder.facts;
  for (const auto& site : folder.sites) {
    if (site.missing) continue;
    const auto approvals = all_of<RunApproved>(site, folder.run);
    if (approvals.empty())
      return invalid(site.file() + " has no approval of run '" + folder.run.value() +
                     "': it is not the log of a site that took part");
    for (const auto& p : approvals) {
      if (crypto::sha256(p.event->plan) != facts.plan_hash || p.event->plan_hash != facts.plan_hash) {
        return at_entry(site, p.entry, "the site approved another plan than " + folder.coordinator.entry(facts.entry));
      }
      if (crypto::sha256(p.event->roster) != facts.roster_hash || p.event->roster_hash != facts.roster_hash) {
        return at_entry(site, p.entry, "the site approved another roster than " + folder.coordinator.entry(facts.entry));
      }
    }
  }
  return std::string("every site whose log is here approved this plan and this roster");
}

Finding check_descriptors(const RunFolder& folder) {
  const RunFacts& facts = *folder.facts;
  std::map<AttemptKey, Bytes> opened;
  Digest layout{};
  for (const auto& p : all_of<RoundOpened>(folder.coordinator, folder.run)) {
    const auto d = decode_descriptor(p.event->descriptor);
    if (!d.ok()) return at_entry(folder.coordinator, p.entry, d.error().message);
    const auto planned = check_against_plan(*d, facts);
    if (!planned.ok()) return at_entry(folder.coordinator, p.entry, planned.error().message);
    if (d->round != p.event->round || d->attempt != p.event->attempt || encode(*d) != p.event->descriptor) {
      return at_entry(folder.coordinator, p.entry, "the descriptor is of another attempt");
    }
    if (!opened.try_emplace({d->round, d->attempt}, p.event->descriptor).second) {
      return at_entry(folder.coordinator, p.entry, attempt_name(d->round, d->attempt) + " was opened twice");
    }
    if (opened.size() > 1 && d->layout != layout)
      return at_entry(folder.coordinator, p.entry, "the adapter's layout changed");
    layout = d->layout;
  }
  std::size_t joined = 0;
  for (const auto& site : folder.sites) {
    const auto seen = all_of<HeadSeen>(site);
    for (const auto& p : all_of<RoundJoined>(site, folder.run)) {
      const auto at = opened.find({p.event->round, p.event->attempt});
      if (at == opened.end() || at->second != p.event->descriptor) {
        return at_entry(site, p.entry,
                        "the site was shown another descriptor of " + attempt_name(p.event->round, p.event->attempt) +
                            " than coordinator/log has");
      }
      const Digest named = decode_descriptor(p.event->descriptor)->coordinator_head;
      const bool known = std::any_of(seen.begin(), seen.end(), [&](const Placed<HeadSeen>& h) {
        return h.entry < p.entry && crypto::sha256(h.event->head) == named;
      });
      if (!known)
        return at_entry(site, p.entry, "the descriptor names a head of the coordinator that the site has not logged");
      ++joined;
    }
  }
  return std::to_string(opened.size()) + " attempts, joined " + std::to_string(joined) +
         " times, the same bytes on both sides";
}

Finding check_survivors(const RunFolder& folder) {
  const RunFacts& facts = *folder.facts;
  const auto opened = all_of<RoundOpened>(folder.coordinator, folder.run);
  const auto sets = all_of<Survivors>(folder.coordinator, folder.run);
  const auto voids = all_of<RoundVoid>(folder.coordinator, folder.run);
  std::map<RoundId, Digest> adapters;
  for (const auto& p : all_of<RoundResult>(folder.coordinator, folder.run)) {
    const RoundResult& result = *p.event;
    const RoundOpened* descriptor = find_of(opened, result);
    const Survivors* confirmed = find_of(sets, result);
    if (!descriptor || !confirmed)
      return at_entry(folder.coordinator, p.entry, "a result of an attempt without descriptor or survivors");
    const Attempt a{folder,
                    facts,
                    *decode_descriptor(descriptor->descriptor),
                    confirmed,
                    p.entry,
                    u1_hash(confirmed->u1),
                    u3_hash(confirmed->u3)};
    SOTTO_TRY_VOID(check_sets(a, result));
    SOTTO_TRY_VOID(check_reports(a));
    SOTTO_TRY_VOID(check_confirms(a));
    SOTTO_TRY_VOID(check_acceptance(a, result));
    if (!adapters.empty() && adapters.rbegin()->second != a.d.adapter) {
      return at_entry(folder.coordinator, p.entry, "the round did not start from the adapter of the round before");
    }
    const bool also_void =
        std::any_of(voids.begin(), voids.end(), [&](const auto& v) { return v.event->round == result.round; });
    if (also_void || !adapters.try_emplace(result.round, result.adapter).second) {
      return at_entry(folder.coordinator, p.entry, "round " + std::to_string(result.round.value()) + " has two outcomes");
    }
  }
  return std::to_string(adapters.size()) + " results, their survivors' REPORT and CONFIRM signatures hold";
}

Finding check_end(const RunFolder& folder, const PartyLog& site) {
  const auto ends = all_of<RunFinished>(site, folder.run);
  const auto coordinator = all_of<RunFinished>(folder.coordinator, folder.run);
  if (ends.size() > 1) return at_entry(site, ends[1].entry, "a second end of one run");
  if (coordinator.size() > 1) return at_entry(folder.coordinator, coordinator[1].entry, "a second end of one run");
  if (ends.empty() && coordinator.empty()) return std::string("the run is not over");
  if (ends.empty()) return invalid(site.file() + ": the run is over, and this site has no run_finished");
  if (coordinator.empty()) return at_entry(site, ends[0].entry, "the coordinator has not ended the run");
  const auto accepted = all_of<ResultAccepted>(site, folder.run);
  if (!accepted.empty() && accepted.back().entry > ends[0].entry)
    return at_entry(site, accepted.back().entry, "a result after the run's end");
  if (!accepted.empty() && ends[0].event->adapter != coordinator[0].event->adapter)
    return at_entry(site, ends[0].entry, "the run ended with another adapter than at the coordinator");
  return std::string("once, as at the coordinator");
}

Finding check_one_opened(const RunFolder& folder) {
  const auto results = all_of<RoundResult>(folder.coordinator, folder.run);
  std::size_t answers = 0;
  for (const auto& site : folder.sites) {
    std::map<RoundId, AttemptId> answered;
    for (const auto& p : all_of<UnmaskAnswered>(site, folder.run)) {
      const auto [at, fresh] = answered.try_emplace(p.event->round, p.event->attempt);
      if (!fresh)
        return at_entry(site, p.entry, "a second UNMASK answer in round " + std::to_string(p.event->round.value()));
      const auto result =
          std::find_if(results.begin(), results.end(), [&](const auto& r) { return r.event->round == at->first; });
      if (result != results.end() && result->event->attempt != p.event->attempt) {
        return at_entry(site, p.entry, "the site opened another attempt than the coordinator's result is of");
      }
      ++answers;
    }
  }
  return std::to_string(answers) + " UNMASK answers, at most one a site and round";
}

Finding check_adapter_file(const RunFolder& folder) {
  std::error_code error;
  const std::string path = folder.path + "/" + kAdapterFile;
  const auto status = std::filesystem::symlink_status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return std::string("not delivered");
  if (status.type() != std::filesystem::file_type::regular)
    return invalid(std::string(kAdapterFile) + " is not a plain file");
  const auto results = all_of<RoundResult>(folder.coordinator, folder.run);
  if (results.empty()) return invalid(std::string(kAdapterFile) + " is there, and the coordinator's log has no result");
  SOTTO_TRY(const Digest found, crypto::sha256_file(path));
  const auto& last = results.back();
  if (found == last.event->adapter) return "is the result of round " + std::to_string(last.event->round.value());
  return invalid(std::string(kAdapterFile) + " has the hash " + to_hex(found) + ", and " +
                 folder.coordinator.entry(last.entry) + " names " + to_hex(last.event->adapter) +
                 ": it is not the adapter that the sites made");
}

}  // namespace sotto::audit
