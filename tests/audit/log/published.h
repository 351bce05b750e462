// A whole, verified run folder, and what a forger can make of it.
#pragma once

#include <functional>
#include <string>

#include "audit/report/report.h"
#include "audit/verify/verify.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"

namespace sotto::audit {

// A whole, verified folder, which a test then tampers with.
struct Published {
  TempFolder folder;
  explicit Published(const Scenario& scenario = {}) {
    write_logs(folder.path(), scenario);
    const bool holds = !scenario.change_taken && !scenario.noise_was_off;
    REQUIRE(write_report(*read_run_folder(folder.path())).ok() == holds);
  }
  Verdict verdict(const std::optional<Expectation>& expected = std::nullopt) const {
    return verify(*read_run_folder(folder.path()), expected);
  }
  std::string first_failure(const std::optional<Expectation>& expected = std::nullopt) const {
    const Verdict v = verdict(expected);
    CHECK(v.ok == (v.first_failed() == nullptr));
    return v.first_failed() ? v.first_failed()->name + ": " + v.first_failed()->detail : "";
  }
  Bytes read(const std::string& file) const { return *read_binary_file(folder.path(file)); }
  void write(const std::string& file, ByteSpan bytes) const {
    REQUIRE(write_file_atomically(folder.path(file), bytes).ok());
  }
  void replace_text(const std::string& file, const std::string& from, const std::string& to) const {
    std::string text = *read_text_file(folder.path(file));
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    REQUIRE(write_file_atomically(folder.path(file), text.replace(at, from.size(), to)).ok());
  }
};

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A log's file with other events, every hash recomputed: what a forger without keys can make.
inline Bytes rewritten(const Bytes& file, const std::function<bool(std::uint64_t, Event&)>& keep) {
  const auto parsed = parse_log(file);
  REQUIRE_FALSE(parsed.damage);
  ByteWriter out;
  out.raw(as_bytes("sotto/log/1\n"));
  Digest previous{};
  std::uint64_t index = 0;
  for (Record record : parsed.image.records) {
    Event event = *decode_event(record.type, record.payload);
    if (!keep(record.index, event)) continue;
    record.index = index++;
    record.type = type_of(event);
    record.payload = encode(event);
    record.previous = previous;
    const Bytes body = body_of(record);
    previous = leaf_hash(body);
    const auto n = static_cast<std::uint32_t>(body.size());
    out.u32(n).u32(~n).raw(body).raw(previous);
  }
  return out.take();
}

inline std::uint64_t entry_of(const Bytes& file, EventType type, std::uint64_t which = 0) {
  for (const auto& record : parse_log(file).image.records) {
    if (record.type == type && which-- == 0) return record.index;
  }
  FAIL("no such entry");
  return 0;
}

}  // namespace sotto::audit
