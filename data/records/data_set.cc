#include "data/records/data_set.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/check.h"

namespace sotto::data {

DataSet encode(std::vector<Record> records, const ChatTemplate& chat, const EncodeOptions& options) {
  SOTTO_CHECK(options.max_tokens > 0);
  DataSet out;
  std::unordered_map<std::string, std::size_t> unit_of_patient;
  std::unordered_set<std::string> left_out;  // patients of records that were not encoded
  for (auto& record : records) {
    auto encoded = chat.example(record.messages);
    if (!encoded.ok()) {
      if (out.refused++ == 0) out.refusal = encoded.error().message;
      left_out.insert(record.patient_id);
      continue;
    }
    Example example = std::move(*encoded);
    const bool cut = example.ids.size() > options.max_tokens;
    if (cut) {
      example.ids.resize(options.max_tokens);
      example.labels.resize(options.max_tokens);
    }
    if (example.response_tokens() == 0) {
      ++out.skipped;
      left_out.insert(record.patient_id);
      continue;
    }
    out.truncated += cut ? 1 : 0;
    const auto index = static_cast<std::uint32_t>(out.records.size());
    if (options.unit == privacy::Unit::kRecord) {
      out.units.push_back({record.patient_id, {index}});
    } else {
      const auto [it, fresh] = unit_of_patient.emplace(record.patient_id, out.units.size());
      if (fresh) out.units.push_back({record.patient_id, {}});
      out.units[it->second].examples.push_back(index);
    }
    out.records.push_back(std::move(record));
    out.examples.push_back(std::move(example));
  }
  if (options.unit == privacy::Unit::kRecord)
    out.idle_units = out.skipped + out.refused;
  else
    out.idle_units = static_cast<std::size_t>(
        std::ranges::count_if(left_out, [&](const std::string& patient) { return !unit_of_patient.contains(patient); }));
  return out;
}

}  // namespace sotto::data
