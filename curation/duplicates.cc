#include "curation/duplicates.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "crypto/hash.h"

namespace sotto::curation {
namespace {

std::uint64_t hash_of(std::string_view text) {
  const Digest digest = crypto::sha256(as_bytes(text));
  std::uint64_t out = 0;
  std::memcpy(&out, digest.data(), sizeof out);
  return out;
}

}  // namespace

std::optional<Duplicates::Repeat> Duplicates::add(Part part, const std::string& patient, std::string_view text) {
  const auto number = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({part, false, hash_of(text), hash_of(patient)});
  all_.add(text);
  if (part == Part::kValidation) return std::nullopt;
  auto& own = training_of_[patient];
  auto shingles = shingles_of(text);
  std::optional<Repeat> out;
  for (const Own& earlier : own) {
    const double similarity =
        earlier.hash == entries_.back().text ? 1.0 : std::min(jaccard(earlier.shingles, shingles), 0.9999);
    if ((similarity == 1.0 || similarity >= near_) && (!out || similarity > out->similarity))
      out = Repeat{earlier.number, similarity};
  }
  if (!out) {
    own.push_back({number, entries_.back().text, std::move(shingles)});
    return out;
  }
  entries_.back().repeats = true;
  ++(out->similarity == 1.0 ? exact_within_ : near_within_);
  return out;
}

Duplicates::Counts Duplicates::counts() const {
  Counts out;
  out.exact_within = exact_within_;
  out.near_within = near_within_;
  std::unordered_map<std::uint64_t, std::uint64_t> first_patient;  // of each training text
  std::unordered_set<std::uint64_t> training_patients;
  for (const Entry& e : entries_) {
    if (e.part != Part::kTraining) continue;
    training_patients.insert(e.patient);
    const auto [it, fresh] = first_patient.emplace(e.text, e.patient);
    if (!fresh && it->second != e.patient) ++out.exact_across;
  }
  std::unordered_set<std::uint64_t> leaked_patients;
  std::unordered_set<std::uint32_t> leaked;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    if (e.part != Part::kValidation) continue;
    if (training_patients.contains(e.patient)) leaked_patients.insert(e.patient);
    if (!first_patient.contains(e.text)) continue;
    ++out.leaked_exact;
    leaked.insert(i);
  }
  for (const auto& pair : all_.pairs(near_)) {
    const Entry& a = entries_[pair.first];
    const Entry& b = entries_[pair.second];
    if (a.part != b.part) {
      if (leaked.insert(a.part == Part::kValidation ? pair.first : pair.second).second) ++out.leaked_near;
    } else if (a.part == Part::kTraining && a.patient != b.patient && a.text != b.text) {
      ++out.near_across;
    }
  }
  out.leaked_patients = leaked_patients.size();
  out.leaked.assign(leaked.begin(), leaked.end());
  std::ranges::sort(out.leaked);
  return out;
}

}  // namespace sotto::curation
