// write_long_log FILE ENTRIES: a site's log of a long life, as fast as the disk takes it (no fsync an entry), for
// bench/ledger.py. Rounds of one run with the entries that a site writes in each; bodies and hashes are real.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "audit/log/event_log.h"
#include "privacy/mechanism/noise.h"

namespace {

using namespace sotto;
using namespace sotto::audit;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::vector<Event> round_events(std::uint32_t round) {
  const RunId run("long-life");
  const RoundId r(round);
  const AttemptId a(1);
  Digest d{};
  d[0] = static_cast<std::uint8_t>(round);
  d[1] = static_cast<std::uint8_t>(round >> 8);
  const privacy::Grid grid(privacy::ClipNorm(0.3), 100000);
  const auto event =
      privacy::planned_event(privacy::Unit::kPatient, privacy::SamplingRate(0.02), privacy::NoiseMultiplier(0.6), grid, 4);
  return {Reserved{run, r, {event}},
          RoundJoined{run, r, a, Bytes(400, 7)},
          KeysSent{run, r, a, d},
          SharesSent{run, r, a, d},
          Committed{run, r, {event}},
          ReportSent{run, r, a, d, d, d},
          ConfirmSigned{run, r, a, d, d, d, {SiteIndex(0), SiteIndex(1), SiteIndex(2)}},
          UnmaskAnswered{run, r, a, d},
          ResultAccepted{run, r, a, d, d}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: write_long_log FILE ENTRIES\n");
    return 2;
  }
  const std::uint64_t entries = std::strtoull(argv[2], nullptr, 10);
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(argv[1], "wb"));
  if (!file) return 1;
  std::fwrite(kLogMagic.data(), 1, kLogMagic.size(), file.get());
  Record record;
  Bytes frame;
  for (std::uint32_t round = 0; record.index < entries; ++round) {
    auto events = round_events(round);
    if (round == 0) events.insert(events.begin(), SiteCreated{"north", {}, {}});
    for (const Event& event : events) {
      if (record.index == entries) break;
      record.type = type_of(event);
      record.payload = encode(event);
      record.time = Time(std::chrono::seconds(1700000000 + round));
      record.hash = leaf_hash(body_of(record));
      frame = frame_of(record);
      std::fwrite(frame.data(), 1, frame.size(), file.get());
      record.previous = record.hash;
      ++record.index;
    }
  }
  return std::fflush(file.get()) == 0 ? 0 : 1;
}
