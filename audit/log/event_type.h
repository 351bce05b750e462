// The numbers of the events that logs hold, and how an event lists its fields. A number is never used again for something
// else.
#pragma once

#include <cstdint>
#include <tuple>

namespace sotto::audit {

enum class EventType : std::uint16_t {
  // a site's log
  kSiteCreated = 1,
  kRunApproved = 2,
  kRunRefused = 3,
  kReserved = 4,
  kRoundJoined = 5,
  kCommitted = 6,
  kRefunded = 7,
  kKeysSent = 8,
  kSharesSent = 9,
  kReportSent = 10,
  kConfirmSigned = 11,
  kUnmaskAnswered = 12,
  kResultAccepted = 13,
  kSealed = 14,
  kBudgetBound = 15,
  kSpentElsewhere = 16,
  kAuditMeasured = 17,
  kAttackMeasured = 18,
  // either log
  kAttemptClosed = 32,
  kRunFinished = 33,
  kHeadSeen = 34,
  kProgramRan = 35,
  // the coordinator's log
  kCoordinatorCreated = 64,
  kSiteEnrolled = 65,
  kRunSubmitted = 66,
  kAttemptOpened = 67,
  kRoundOpened = 68,
  kSiteKeys = 69,
  kSiteShares = 70,
  kReportReceived = 71,
  kSurvivors = 72,
  kConfirmReceived = 73,
  kResult = 74,
  kRoundVoid = 75,
  // a model registry's log
  kRegistryCreated = 96,
  kModelRegistered = 97,
  kModelPromoted = 98,
  kModelRolledBack = 99,
  // the log of a site's book of patients
  kBookCreated = 128,
  kPatientsSeen = 129,
  kRecordsSeen = 130,
  kLogSpent = 131,
  kLogSeen = 132,
};

// A field of an event: its name in JSON and where it is. Each event's fields() is the one place that encoding, decoding and
// the JSON view come from.
template <class Struct, class Member>
struct Field {
  const char* name;
  Member Struct::* member;
};
template <class Struct, class Member>
Field(const char*, Member Struct::*) -> Field<Struct, Member>;

}  // namespace sotto::audit
