// The events of the coordinator's log. Plain structs; log_format.h encodes them. Nothing here is private.
#pragma once

#include <string>
#include <vector>

#include "audit/log/event_type.h"
#include "base/ids.h"
#include "plan/round_descriptor.h"
#include "plan/run_plan.h"

namespace sotto::audit {

// Record 0 of every coordinator log.
struct CoordinatorCreated {
  PublicKeyBytes identity{};  // Ed25519
  Digest salt{};
  static constexpr auto kType = EventType::kCoordinatorCreated;
  static constexpr const char* kName = "coordinator_created";
  static constexpr auto fields() {
    return std::tuple{Field{"identity", &CoordinatorCreated::identity}, Field{"salt", &CoordinatorCreated::salt}};
  }
};

struct SiteEnrolled {
  std::string site;
  PublicKeyBytes identity{};
  PublicKeyBytes transport{};
  std::uint64_t declared_size = 0;
  static constexpr auto kType = EventType::kSiteEnrolled;
  static constexpr const char* kName = "site_enrolled";
  static constexpr auto fields() {
    return std::tuple{Field{"site", &SiteEnrolled::site}, Field{"identity", &SiteEnrolled::identity},
                      Field{"transport", &SiteEnrolled::transport}, Field{"declared_size", &SiteEnrolled::declared_size}};
  }
};

struct RunSubmitted {
  RunId run;
  Digest plan_hash{};
  Digest roster_hash{};
  Bytes plan;
  Bytes roster;
  static constexpr auto kType = EventType::kRunSubmitted;
  static constexpr const char* kName = "run_submitted";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RunSubmitted::run}, Field{"plan_hash", &RunSubmitted::plan_hash},
                      Field{"roster_hash", &RunSubmitted::roster_hash}, Field{"plan", &RunSubmitted::plan},
                      Field{"roster", &RunSubmitted::roster}};
  }
};

// KEYS were asked for.
struct AttemptOpened {
  RunId run;
  RoundId round;
  AttemptId attempt;
  static constexpr auto kType = EventType::kAttemptOpened;
  static constexpr const char* kName = "attempt_opened";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &AttemptOpened::run}, Field{"round", &AttemptOpened::round},
                      Field{"attempt", &AttemptOpened::attempt}};
  }
};

// The descriptor of this attempt was fixed; every site is sent these bytes.
struct RoundOpened {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Bytes descriptor;
  static constexpr auto kType = EventType::kRoundOpened;
  static constexpr const char* kName = "round_opened";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RoundOpened::run}, Field{"round", &RoundOpened::round},
                      Field{"attempt", &RoundOpened::attempt}, Field{"descriptor", &RoundOpened::descriptor}};
  }
};

struct SiteKeys {
  RunId run;
  RoundId round;
  AttemptId attempt;
  SiteIndex site;
  Digest body{};
  static constexpr auto kType = EventType::kSiteKeys;
  static constexpr const char* kName = "site_keys";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &SiteKeys::run}, Field{"round", &SiteKeys::round}, Field{"attempt", &SiteKeys::attempt},
                      Field{"site", &SiteKeys::site}, Field{"body", &SiteKeys::body}};
  }
};
struct SiteShares {
  RunId run;
  RoundId round;
  AttemptId attempt;
  SiteIndex site;
  Digest body{};
  static constexpr auto kType = EventType::kSiteShares;
  static constexpr const char* kName = "site_shares";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &SiteShares::run}, Field{"round", &SiteShares::round},
                      Field{"attempt", &SiteShares::attempt}, Field{"site", &SiteShares::site},
                      Field{"body", &SiteShares::body}};
  }
};

// A REPORT whose signature held (statements.h, report_statement).
struct ReportReceived {
  RunId run;
  RoundId round;
  AttemptId attempt;
  SiteIndex site;
  Digest u1{};
  Digest y{};
  SignatureBytes signature{};
  static constexpr auto kType = EventType::kReportReceived;
  static constexpr const char* kName = "report_received";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &ReportReceived::run},
                      Field{"round", &ReportReceived::round},
                      Field{"attempt", &ReportReceived::attempt},
                      Field{"site", &ReportReceived::site},
                      Field{"u1", &ReportReceived::u1},
                      Field{"y", &ReportReceived::y},
                      Field{"signature", &ReportReceived::signature}};
  }
};

// The sets that CONFIRM asks the sites to agree to.
struct Survivors {
  RunId run;
  RoundId round;
  AttemptId attempt;
  std::vector<CohortMember> u1;  // in roster order
  std::vector<SiteIndex> u3;     // in roster order
  static constexpr auto kType = EventType::kSurvivors;
  static constexpr const char* kName = "survivors";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &Survivors::run}, Field{"round", &Survivors::round},
                      Field{"attempt", &Survivors::attempt}, Field{"u1", &Survivors::u1}, Field{"u3", &Survivors::u3}};
  }
};

// A CONFIRM whose signature held (statements.h, confirm_statement).
struct ConfirmReceived {
  RunId run;
  RoundId round;
  AttemptId attempt;
  SiteIndex site;
  Digest u1{};
  Digest u3{};
  SignatureBytes signature{};
  static constexpr auto kType = EventType::kConfirmReceived;
  static constexpr const char* kName = "confirm_received";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &ConfirmReceived::run},
                      Field{"round", &ConfirmReceived::round},
                      Field{"attempt", &ConfirmReceived::attempt},
                      Field{"site", &ConfirmReceived::site},
                      Field{"u1", &ConfirmReceived::u1},
                      Field{"u3", &ConfirmReceived::u3},
                      Field{"signature", &ConfirmReceived::signature}};
  }
};

// The attempt was opened. On disk before the sum is released.
struct RoundResult {
  RunId run;
  RoundId round;
  AttemptId attempt;
  std::vector<SiteIndex> survivors;
  Digest sum{};
  Digest adapter{};
  static constexpr auto kType = EventType::kResult;
  static constexpr const char* kName = "result";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RoundResult::run},         Field{"round", &RoundResult::round},
                      Field{"attempt", &RoundResult::attempt}, Field{"survivors", &RoundResult::survivors},
                      Field{"sum", &RoundResult::sum},         Field{"adapter", &RoundResult::adapter}};
  }
};

// No attempt reached enough sites; what the sites spent stays spent.
struct RoundVoid {
  RunId run;
  RoundId round;
  std::string reason;
  static constexpr auto kType = EventType::kRoundVoid;
  static constexpr const char* kName = "round_void";
  static constexpr auto fields() {
    return std::tuple{Field{"run", &RoundVoid::run}, Field{"round", &RoundVoid::round}, Field{"reason", &RoundVoid::reason}};
  }
};

}  // namespace sotto::audit
