// The events of a site's log, and those that either log may hold (the last three). Plain structs; log_format.h encodes them.
// Nothing here is private: no data, no count of true records, no losses, no keys but public ones.
#pragma once

#include <string>
#include <vector>

#include "audit/log/event_type.h"
#include "base/ids.h"
#include "plan/run_plan.h"
#include "privacy/mechanism/event.h"

namespace sotto::audit {

// Record 0 of every site log. The salt makes the log's id unique.
struct SiteCreated {
  std::string site;
  PublicKeyBytes identity{};  // Ed25519
  Digest salt{};
  static constexpr auto kType = EventType::kSiteCreated;
  static constexpr const char* kName = "site_created";
  static constexpr auto fields() {
    return std::tuple{Field{"site", &SiteCreated::site}, Field{"identity", &SiteCreated::identity},
                      Field{"salt", &SiteCreated::salt}};
  }
};

// The site's operator approved this plan with this roster. Hashes are over the bytes: encode(RunPlan), encode(Roster).
struct RunApproved {
  RunId run;
  Digest plan_hash{};
  Digest roster_hash{};
  Bytes plan;
  Bytes roster;
  static constexpr auto kType = EventType::kRunApproved;
  static constexpr const char* kName = "run_approved";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RunApproved::run}, Field{"plan_hash", &RunApproved::plan_hash},
                      Field{"roster_hash", &RunApproved::roster_hash}, Field{"plan", &RunApproved::plan},
                      Field{"roster", &RunApproved::roster}};
  }
};

// The operator or the site's policy refused; the reason is the sentence that was shown.
struct RunRefused {
  RunId run;
  Digest plan_hash{};
  std::string reason;
  static constexpr auto kType = EventType::kRunRefused;
  static constexpr const char* kName = "run_refused";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RunRefused::run}, Field{"plan_hash", &RunRefused::plan_hash},
                      Field{"reason", &RunRefused::reason}};
  }
};

// Before data is touched: the worst case of a round. Written by Ledger::reserve.
struct Reserved {
  RunId run;
  RoundId round;
  std::vector<privacy::DpEvent> planned;  // in `joint`: against at most c colluders
  std::vector<privacy::DpEvent> own_share =
      {};  // in `joint`: by this site's own share alone; otherwise empty: the same events
  static constexpr auto kType = EventType::kReserved;
  static constexpr const char* kName = "reserved";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &Reserved::run}, Field{"round", &Reserved::round}, Field{"planned", &Reserved::planned},
                      Field{"own_share", &Reserved::own_share}};
  }
};

// The site joined this attempt; every earlier attempt and round of the run is closed for it. `descriptor` = encode(D).
struct RoundJoined {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Bytes descriptor;
  static constexpr auto kType = EventType::kRoundJoined;
  static constexpr const char* kName = "round_joined";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RoundJoined::run}, Field{"round", &RoundJoined::round},
                      Field{"attempt", &RoundJoined::attempt}, Field{"descriptor", &RoundJoined::descriptor}};
  }
};

// The round's steps as they ran: the events that the sampler and the noise function returned, one a step or merged with a
// count. Written by Ledger::commit, before a REPORT.
struct Committed {
  RunId run;
  RoundId round;
  std::vector<privacy::DpEvent> taken;
  std::vector<privacy::DpEvent> own_share = {};  // as in Reserved
  static constexpr auto kType = EventType::kCommitted;
  static constexpr const char* kName = "committed";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &Committed::run}, Field{"round", &Committed::round}, Field{"taken", &Committed::taken},
                      Field{"own_share", &Committed::own_share}};
  }
};

// The reservation (and what was committed under it) is given back: no ReportSent of the round stands in this log.
// Written by Ledger::refund.
struct Refunded {
  RunId run;
  RoundId round;
  std::string reason;
  static constexpr auto kType = EventType::kRefunded;
  static constexpr const char* kName = "refunded";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &Refunded::run}, Field{"round", &Refunded::round}, Field{"reason", &Refunded::reason}};
  }
};

// KEYS, SHARES and UNMASK of an attempt are fixed: from here on only these bytes are sent. Written before the first send.
struct KeysSent {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest body{};  // SHA-256 of the message's body
  static constexpr auto kType = EventType::kKeysSent;
  static constexpr const char* kName = "keys_sent";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &KeysSent::run}, Field{"round", &KeysSent::round}, Field{"attempt", &KeysSent::attempt},
                      Field{"body", &KeysSent::body}};
  }
};
struct SharesSent {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest body{};
  static constexpr auto kType = EventType::kSharesSent;
  static constexpr const char* kName = "shares_sent";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &SharesSent::run}, Field{"round", &SharesSent::round},
                      Field{"attempt", &SharesSent::attempt}, Field{"body", &SharesSent::body}};
  }
};

// Written before the first byte of a REPORT leaves; from here on the round is spent for good.
struct ReportSent {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest ctx{};
  Digest u1{};  // H(U1)
  Digest y{};   // H(masked update)
  static constexpr auto kType = EventType::kReportSent;
  static constexpr const char* kName = "report_sent";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &ReportSent::run},         Field{"round", &ReportSent::round},
                      Field{"attempt", &ReportSent::attempt}, Field{"ctx", &ReportSent::ctx},
                      Field{"u1", &ReportSent::u1},           Field{"y", &ReportSent::y}};
  }
};

// The site agreed to this set of survivors; once a ctx.
struct ConfirmSigned {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest ctx{};
  Digest u1{};
  Digest u3{};                       // H(U3)
  std::vector<SiteIndex> survivors;  // U3, in roster order
  static constexpr auto kType = EventType::kConfirmSigned;
  static constexpr const char* kName = "confirm_signed";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &ConfirmSigned::run},
                      Field{"round", &ConfirmSigned::round},
                      Field{"attempt", &ConfirmSigned::attempt},
                      Field{"ctx", &ConfirmSigned::ctx},
                      Field{"u1", &ConfirmSigned::u1},
                      Field{"u3", &ConfirmSigned::u3},
                      Field{"survivors", &ConfirmSigned::survivors}};
  }
};

// At most one attempt of a (run, round) ever has this.
struct UnmaskAnswered {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest body{};
  static constexpr auto kType = EventType::kUnmaskAnswered;
  static constexpr const char* kName = "unmask_answered";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &UnmaskAnswered::run}, Field{"round", &UnmaskAnswered::round},
                      Field{"attempt", &UnmaskAnswered::attempt}, Field{"body", &UnmaskAnswered::body}};
  }
};

struct ResultAccepted {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest sum{};      // H(the integer sum's bytes)
  Digest adapter{};  // H(encode(AdapterState)) of the published bytes
  static constexpr auto kType = EventType::kResultAccepted;
  static constexpr const char* kName = "result_accepted";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &ResultAccepted::run}, Field{"round", &ResultAccepted::round},
                      Field{"attempt", &ResultAccepted::attempt}, Field{"sum", &ResultAccepted::sum},
                      Field{"adapter", &ResultAccepted::adapter}};
  }
};

// An event that only the site can read (sealed_event.h). `box` = nonce | ciphertext | tag.
struct Sealed {
  Digest key_id{};
  Bytes box;
  static constexpr auto kType = EventType::kSealed;
  static constexpr const char* kName = "sealed";
  static constexpr auto fields() { return std::tuple{Field{"key_id", &Sealed::key_id}, Field{"box", &Sealed::box}}; }
};

// The run spends from this budget: a name that the site's operator gave to a set of patients, the same whatever file they
// come in and whichever coordinator asks. A budget is kept in one unit. Limit and delta are the operator's at that time.
struct BudgetBound {
  RunId run;
  std::string budget;
  std::string unit;  // "patient", "record"
  double limit = 0;  // epsilon, over all runs of the budget
  double delta = 0;
  static constexpr auto kType = EventType::kBudgetBound;
  static constexpr const char* kName = "budget_bound";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &BudgetBound::run}, Field{"budget", &BudgetBound::budget},
                      Field{"unit", &BudgetBound::unit}, Field{"limit", &BudgetBound::limit},
                      Field{"delta", &BudgetBound::delta}};
  }
};

// What this site's patients have spent from a budget outside this log, towards other coordinators. The newest entry of a
// budget holds; it stands before the reservation that it was counted for.
struct SpentElsewhere {
  std::string budget;
  std::uint64_t without_privacy = 0;  // 1: a run without privacy was among it, so nothing is left
  std::vector<privacy::DpEvent> events;
  std::vector<privacy::DpEvent> own_share = {};  // as in Reserved
  static constexpr auto kType = EventType::kSpentElsewhere;
  static constexpr const char* kName = "spent_elsewhere";
  static constexpr auto fields() {
    return std::tuple{Field{"budget", &SpentElsewhere::budget}, Field{"without_privacy", &SpentElsewhere::without_privacy},
                      Field{"events", &SpentElsewhere::events}, Field{"own_share", &SpentElsewhere::own_share}};
  }
};

// The outcome of the one-run audit that the plan fixed (privacy/empirical.h): canaries planted at this site, guessed after
// the run from the adapter's own scores of them. A function of the released adapter and of coins that no patient's data
// enters.
struct AuditMeasured {
  RunId run;
  Digest adapter{};  // that was scored: the run's last
  std::uint64_t canaries = 0;
  std::uint64_t guesses = 0;
  std::uint64_t correct = 0;
  double auc = 0;
  double tpr_at_1_percent = 0;   // of false positives
  double tpr_at_01_percent = 0;  // 0.1 %
  static constexpr auto kType = EventType::kAuditMeasured;
  static constexpr const char* kName = "audit_measured";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &AuditMeasured::run},
                      Field{"adapter", &AuditMeasured::adapter},
                      Field{"canaries", &AuditMeasured::canaries},
                      Field{"guesses", &AuditMeasured::guesses},
                      Field{"correct", &AuditMeasured::correct},
                      Field{"auc", &AuditMeasured::auc},
                      Field{"tpr_at_1_percent", &AuditMeasured::tpr_at_1_percent},
                      Field{"tpr_at_01_percent", &AuditMeasured::tpr_at_01_percent}};
  }
};

// Membership inference by loss on the site's own patients. A function of their data: it stands in a log sealed, or not at
// all.
struct AttackMeasured {
  RunId run;
  Digest adapter{};
  std::uint64_t members = 0;
  std::uint64_t non_members = 0;
  double auc = 0;
  double tpr_at_1_percent = 0;
  double tpr_at_01_percent = 0;
  static constexpr auto kType = EventType::kAttackMeasured;
  static constexpr const char* kName = "attack_measured";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &AttackMeasured::run},
                      Field{"adapter", &AttackMeasured::adapter},
                      Field{"members", &AttackMeasured::members},
                      Field{"non_members", &AttackMeasured::non_members},
                      Field{"auc", &AttackMeasured::auc},
                      Field{"tpr_at_1_percent", &AttackMeasured::tpr_at_1_percent},
                      Field{"tpr_at_01_percent", &AttackMeasured::tpr_at_01_percent}};
  }
};

// This attempt will never be opened: too few sites, a deadline, or a later attempt.
struct AttemptClosed {
  RunId run;
  RoundId round;
  AttemptId attempt;
  std::string reason;
  static constexpr auto kType = EventType::kAttemptClosed;
  static constexpr const char* kName = "attempt_closed";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &AttemptClosed::run}, Field{"round", &AttemptClosed::round},
                      Field{"attempt", &AttemptClosed::attempt}, Field{"reason", &AttemptClosed::reason}};
  }
};

struct RunFinished {
  RunId run;
  Digest adapter{};  // of the last round with a result
  static constexpr auto kType = EventType::kRunFinished;
  static constexpr const char* kName = "run_finished";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RunFinished::run}, Field{"adapter", &RunFinished::adapter}};
  }
};

// Another party's signed head, as received and checked: encode(SignedHead). A site logs the coordinator's before it joins a
// round whose descriptor names it.
struct HeadSeen {
  Bytes head;
  static constexpr auto kType = EventType::kHeadSeen;
  static constexpr const char* kName = "head_seen";
  static constexpr auto fields() { return std::tuple{Field{"head", &HeadSeen::head}}; }
};

// Which build took part in the run for this party: as it says of itself, and by the bytes of its file.
struct ProgramRan {
  RunId run;
  std::string version;
  Digest file{};
  static constexpr auto kType = EventType::kProgramRan;
  static constexpr const char* kName = "program_ran";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &ProgramRan::run}, Field{"version", &ProgramRan::version},
                      Field{"file", &ProgramRan::file}};
  }
};

}  // namespace sotto::audit
