#include "client/training/unit_streams.h"

#include <map>

#include "crypto/hash.h"
#include "crypto/kdf.h"

namespace sotto::client {
namespace {

crypto::StreamRandom stream_of(const RunKey& key, const ByteWriter& info) {
  return crypto::StreamRandom(crypto::StreamKey(crypto::hkdf_sha256<32>({}, key.reveal(), info.view())));
}

// A patient goes by the id; a record, where records are the units, by what stands in it, and by its number among equal ones, which
// nobody can tell apart.
std::vector<Digest> identities_of(const data::DataSet& data, PrivacyUnit unit) {
  std::vector<Digest> out;
  std::map<Digest, std::uint64_t> equal;
  for (const auto& u : data.units) {
    ByteWriter who;
    who.text("sotto/unit/v1").text(u.patient_id);
    if (unit == privacy::Unit::kRecord) {
      for (const auto& message : data.records.at(u.examples.at(0)).messages) who.text(message.role).text(message.content);
      const std::uint64_t number = equal[crypto::sha256(who.view())]++;
      who.u64(number);
    }
    out.push_back(crypto::sha256(who.view()));
  }
  return out;
}

}  // namespace

UnitStreams::UnitStreams(const RunKey& key, const RunId& run, const data::DataSet& data, PrivacyUnit unit)
    : key_(&key), run_(run), who_(identities_of(data, unit)) {}

privacy::SampledUnits::SlotOf UnitStreams::slots_in(std::uint64_t epoch) {
  return [this, epoch](std::uint32_t unit, std::uint64_t slots) {
    if (slots_.empty() || slots_epoch_ != epoch) {
      slots_.clear();
      slots_epoch_ = epoch;
      for (const Digest& who : who_) {
        ByteWriter info;
        info.text("sotto/allocation/v2").text(run_.value()).u64(epoch).raw(who);
        slots_.push_back(stream_of(*key_, info).below(slots));
      }
    }
    return slots_[unit];
  };
}

crypto::StreamRandom UnitStreams::dropout(std::uint64_t step, std::uint32_t unit, std::uint32_t record,
                                          std::uint32_t layer) const {
  ByteWriter info;
  info.text("sotto/dropout/v2").text(run_.value()).u64(step).raw(who_[unit]).u32(record).u32(layer);
  return stream_of(*key_, info);
}

}  // namespace sotto::client
