// The events that logs hold, as one type, and their bytes. Encodings are canonical: fields in the order that the event lists
// them, as ByteWriter writes them, lists with a u32 count; decoding refuses anything that would not encode to the same
// bytes. A field is added in one line (and with a new event number once logs with the old form exist). docs/ledger-format.md
// lists all.
#pragma once

#include <variant>

#include "audit/log/book_events.h"
#include "audit/log/coordinator_events.h"
#include "audit/log/registry_events.h"
#include "audit/log/site_events.h"
#include "base/json.h"

namespace sotto::audit {

using Event =
    std::variant<SiteCreated, RunApproved, RunRefused, Reserved, RoundJoined, Committed, Refunded, KeysSent, SharesSent,
                 ReportSent, ConfirmSigned, UnmaskAnswered, ResultAccepted, Sealed, BudgetBound, SpentElsewhere,
                 AuditMeasured, AttackMeasured, AttemptClosed, RunFinished, HeadSeen, ProgramRan, CoordinatorCreated,
                 SiteEnrolled, RunSubmitted, AttemptOpened, RoundOpened, SiteKeys, SiteShares, ReportReceived, Survivors,
                 ConfirmReceived, RoundResult, RoundVoid, RegistryCreated, ModelRegistered, ModelPromoted, ModelRolledBack,
                 BookCreated, PatientsSeen, RecordsSeen, LogSpent, LogSeen>;

EventType type_of(const Event& event);
// "reserved"; nullptr for a number that no event has.
const char* name_of(EventType type);
bool may_stand_in_site_log(EventType type);
bool may_stand_in_coordinator_log(EventType type);

Bytes encode(const Event& event);  // of the fields alone: the record carries the type
Result<Event> decode_event(EventType type, ByteSpan payload);
// {"field": value, ..}: digests and byte strings in hexadecimal; plan, roster, descriptor and head as objects.
Json to_json(const Event& event);

}  // namespace sotto::audit
