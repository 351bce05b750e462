#include "data/records/hold_out.h"

#include <limits>
#include <string>

#include "tests/support/catch.h"

namespace sotto::data {
namespace {

HoldOutKey key(std::uint8_t first) {
  Bytes bytes(32);
  bytes[0] = first;
  return HoldOutKey::from(bytes);
}

Record record(const std::string& patient) {
  Record out;
  out.patient_id = patient;
  return out;
}

}  // namespace

// Expected: Python's hmac.new(bytes(32), b"sotto/hold-out/v1\0" + patient, "sha256").digest()[:8], little-endian, over 2^64.
TEST_CASE("the keyed hash decides as another implementation of it does", "[hold_out]") {
  const struct {
    const char* patient;
    double draw;
  } cases[] = {{"P0-00001", 0.452953492766116},
               {"P0-00002", 0.2082350374424369},
               {"P0-00004", 0.04683214815570451},
               {"\xc3\xa9", 0.8755759527280018}};
  for (const auto& test : cases) {
    CAPTURE(test.patient);
    CHECK(HoldOut(key(0), test.draw + 1e-9).contains(test.patient));
    CHECK_FALSE(HoldOut(key(0), test.draw - 1e-9).contains(test.patient));
  }
}

TEST_CASE("a patient's place depends on key and name alone, and a larger share keeps the smaller", "[hold_out]") {
  const HoldOut tenth(key(1), 0.1);
  const HoldOut third(key(1), 0.3);
  const HoldOut other(key(2), 0.1);
  std::size_t held = 0;
  std::size_t both = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string patient = "P" + std::to_string(i);
    if (!tenth.contains(patient)) continue;
    ++held;
    CHECK(third.contains(patient));
    both += other.contains(patient) ? 1 : 0;
  }
  // Fixed keys: these counts never change. Expected 1000 and 100; both lie within four standard deviations (120, 40).
  CHECK(held > 880);
  CHECK(held < 1120);
  CHECK(both > 60);
  CHECK(both < 140);
}

TEST_CASE("a fraction of zero holds out nobody, and one that is no fraction is a broken invariant", "[hold_out]") {
  const HoldOut none(key(1), 0);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(none.contains(std::to_string(i)));
  CHECK_THROWS_AS(HoldOut(key(1), 1.0), Failure);
  CHECK_THROWS_AS(HoldOut(key(1), -0.1), Failure);
  CHECK_THROWS_AS(HoldOut(key(1), std::numeric_limits<double>::quiet_NaN()), Failure);
}

TEST_CASE("all records of a patient go the same way, in their order", "[hold_out]") {
  std::vector<Record> records;
  for (int i = 0; i < 300; ++i) {
    records.push_back(record("P" + std::to_string(i % 100)));
    records.back().encounter = i;
  }
  const HoldOut hold_out(key(3), 0.2);
  const auto parts = split(records, hold_out);
  CHECK(parts.training.size() + parts.held_out.size() == 300);
  CHECK_FALSE(parts.held_out.empty());
  for (const auto& one : parts.training) CHECK_FALSE(hold_out.contains(one.patient_id));
  for (const auto& one : parts.held_out) CHECK(hold_out.contains(one.patient_id));
  for (const auto* part : {&parts.training, &parts.held_out})
    for (std::size_t i = 1; i < part->size(); ++i) CHECK((*part)[i - 1].encounter < (*part)[i].encounter);
}

}  // namespace sotto::data
