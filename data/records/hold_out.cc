#include "data/records/hold_out.h"

#include <cmath>
#include <string>
#include <utility>

#include "crypto/hash.h"

namespace sotto::data {

HoldOut::HoldOut(HoldOutKey key, double fraction) : key_(std::move(key)), fraction_(fraction) {
  SOTTO_CHECK(fraction >= 0 && fraction < 1);
}

bool HoldOut::contains(std::string_view patient_id) const {
  std::string message("sotto/hold-out/v1");
  message += '\0';
  message += patient_id;
  const Digest digest = crypto::hmac_sha256(key_.reveal(), as_bytes(message));
  const std::uint64_t draw = ByteReader(digest).u64();
  return std::ldexp(static_cast<double>(draw), -64) < fraction_;
}

Split split(std::vector<Record> records, const HoldOut& hold_out) {
  Split out;
  for (auto& record : records) {
    auto& part = hold_out.contains(record.patient_id) ? out.held_out : out.training;
    part.push_back(std::move(record));
  }
  return out;
}

}  // namespace sotto::data
