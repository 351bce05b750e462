// What the fuzzer and the regression corpus do with bytes from anywhere: read them as a log, decode and re-encode every
// entry, show it, and read them as each single event, plan, roster, descriptor, proof and head too. Anything but a refusal
// by value is a defect.
#pragma once

#include "audit/log/event_log.h"
#include "audit/log/proof.h"
#include "audit/log/signed_head.h"
#include "base/check.h"
#include "plan/round_descriptor.h"
#include "plan/run_plan.h"

namespace sotto::audit {

inline void read_anything(ByteSpan bytes) {
  const ParsedLog log = parse_log(bytes);
  SOTTO_CHECK(log.valid_bytes <= bytes.size());
  SOTTO_CHECK(log.damage.has_value() || log.valid_bytes == bytes.size());
  for (const Record& record : log.image.records) {
    const auto event = decode_event(record.type, record.payload);
    if (!event.ok()) continue;
    SOTTO_CHECK(encode(*event) == record.payload);
    SOTTO_CHECK(to_json(record).ok());
  }
  if (bytes.empty()) return;
  for (std::uint16_t type = 0; type < 80; ++type) {
    const auto event = decode_event(static_cast<EventType>(type), bytes);
    if (event.ok()) SOTTO_CHECK(!to_json(*event).dump().empty());
  }
  // The structures that events and a folder carry as bytes: what is read would be written the same.
  const auto again = [&](const auto& read) { return !read.ok() || encode(*read) == Bytes(bytes.begin(), bytes.end()); };
  SOTTO_CHECK(again(decode_plan(bytes)));
  SOTTO_CHECK(again(decode_roster(bytes)));
  SOTTO_CHECK(again(decode_descriptor(bytes)));
  SOTTO_CHECK(again(privacy::decode_event(bytes)));
  const auto json = Json::parse(as_text(bytes), "input");
  if (json.ok()) {
    const auto proof = proof_from_json(*json);
    if (proof.ok()) SOTTO_CHECK(check_proof(*proof).ok() || !check_proof(*proof).error().message.empty());
    const auto shown = head_from_json(*json);
    if (shown.ok()) SOTTO_CHECK(decode_head(encode(*shown)).ok());
  }
  const auto head = decode_head(bytes);
  if (head.ok()) SOTTO_CHECK(encode(*head) == Bytes(bytes.begin(), bytes.end()));
}

}  // namespace sotto::audit
