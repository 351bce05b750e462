#include "client/training/unit_streams.h"

#include <algorithm>
#include <map>

#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::client {
namespace {

data::DataSet data_of(const std::vector<std::pair<std::string, std::string>>& records, PrivacyUnit unit) {
  data::DataSet out;
  std::map<std::string, std::size_t> place;
  for (const auto& [patient, text] : records) {
    data::Record record;
    record.patient_id = patient;
    record.messages = {{"user", text}, {"assistant", "answer"}};
    const auto index = static_cast<std::uint32_t>(out.records.size());
    out.records.push_back(std::move(record));
    if (unit == privacy::Unit::kPatient && place.contains(patient)) {
      out.units[place[patient]].examples.push_back(index);
      continue;
    }
    place[patient] = out.units.size();
    out.units.push_back({patient, {index}});
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> some(int count) {
  std::vector<std::pair<std::string, std::string>> out;
  for (int i = 0; i < count; ++i) out.emplace_back("P" + std::to_string(i / 2), "note " + std::to_string(i));
  return out;
}

const RunKey& key() {
  FixedRandom random(3);
  static const RunKey made = RunKey::random(random);
  return made;
}

std::map<std::string, std::uint64_t> slots_of(const data::DataSet& data, PrivacyUnit unit, std::uint64_t epoch) {
  UnitStreams streams(key(), RunId("run"), data, unit);
  const auto slot = streams.slots_in(epoch);
  std::map<std::string, std::uint64_t> out;
  for (std::uint32_t u = 0; u < data.units.size(); ++u)
    out[data.units[u].patient_id + "/" + data.records[data.units[u].examples[0]].messages[0].content] = slot(u, 16);
  return out;
}

TEST_CASE("a unit keeps its place in an epoch when records are sorted anew, added or removed", "[client][draws]") {
  for (const auto unit : {privacy::Unit::kPatient, privacy::Unit::kRecord}) {
    auto records = some(200);
    const auto before = slots_of(data_of(records, unit), unit, 4);
    std::ranges::rotate(records, records.begin() + 60);
    records.erase(records.begin(), records.begin() + 20);
    records.insert(records.begin() + 7, {"new", "a record more"});
    const auto after = slots_of(data_of(records, unit), unit, 4);
    std::size_t compared = 0;
    for (const auto& [who, slot] : after)
      if (const auto at = before.find(who); at != before.end()) {
        ++compared;
        CHECK(at->second == slot);
      }
    CHECK(compared >= 80);
    CHECK(slots_of(data_of(some(200), unit), unit, 5) != before);
  }
}

TEST_CASE("equal records are units of their own, and dropout goes by who the unit is", "[client][draws]") {
  const auto twice = data_of({{"P", "same"}, {"P", "same"}, {"Q", "same"}}, privacy::Unit::kRecord);
  UnitStreams streams(key(), RunId("run"), twice, privacy::Unit::kRecord);
  std::vector<std::uint64_t> first;
  for (std::uint32_t u = 0; u < 3; ++u) first.push_back(streams.dropout(1, u, 0, 0).below(~std::uint64_t{0}));
  CHECK(first[0] != first[1]);
  CHECK(first[1] != first[2]);
  const auto turned = data_of({{"Q", "same"}, {"P", "same"}, {"P", "same"}}, privacy::Unit::kRecord);
  UnitStreams others(key(), RunId("run"), turned, privacy::Unit::kRecord);
  CHECK(others.dropout(1, 0, 0, 0).below(~std::uint64_t{0}) == first[2]);
  CHECK(others.dropout(1, 1, 0, 0).below(~std::uint64_t{0}) == first[0]);
}

}  // namespace
}  // namespace sotto::client
