// Which patients never train: a keyed hash decides, so that a patient is held out or not for the life of the site, whatever
// file the records come in, and nobody without the key can tell. Drawing again is impossible by design: a held-out patient
// that moved into training would spoil every evaluation made before. Immutable; safe from several threads.
#pragma once

#include <string_view>
#include <vector>

#include "crypto/secret.h"
#include "data/records/record.h"

namespace sotto::data {

using HoldOutKey = crypto::Secret<32, struct HoldOutKeyTag>;  // made once by the site, never changed, never sent

class HoldOut {
 public:
  // Fraction of patients held out, 0 <= fraction < 1. A larger fraction under the same key holds out the same patients and
  // more.
  HoldOut(HoldOutKey key, double fraction);

  // The first 8 bytes (little-endian) of HMAC-SHA-256(key, "sotto/hold-out/v1" | 0 | patient_id), over 2^64, are below the
  // fraction.
  bool contains(std::string_view patient_id) const;

 private:
  HoldOutKey key_;
  double fraction_;
};

struct Split {
  std::vector<Record> training;
  std::vector<Record> held_out;
};

// Both parts keep the order of `records`; a patient's records all go the same way.
Split split(std::vector<Record> records, const HoldOut& hold_out);

}  // namespace sotto::data
