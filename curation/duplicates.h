// Which records repeat others. Within a patient every record is compared with every earlier one that is kept, so what is
// found there depends on that patient alone; across patients MinHash finds pairs, which are counted and never acted on. One
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "curation/near_duplicates.h"

namespace sotto::curation {

enum class Part : std::uint8_t { kTraining, kValidation };

class Duplicates {
 public:
  explicit Duplicates(double near) : near_(near) {}

  struct Repeat {
    std::uint32_t of;   // the earlier record's number
    double similarity;  // 1: exactly the same text
  };
  // Adds a record, whose number is how many were added before. What it repeats of its own patient, if anything.
  std::optional<Repeat> add(Part part, const std::string& patient, std::string_view text);

  struct Counts {
    std::uint64_t exact_within = 0;  // a patient: records that repeat an earlier one of the same patient (training)
    std::uint64_t near_within = 0;
    std::uint64_t exact_across = 0;     // patients: records whose text an earlier record of another patient has (training)
    std::uint64_t near_across = 0;      // pairs
    std::uint64_t leaked_patients = 0;  // in training and validation
    std::uint64_t leaked_exact = 0;     // validation records whose text training has
    std::uint64_t leaked_near = 0;      // validation records that are nearly a training record
    std::vector<std::uint32_t> leaked;  // the validation records of both kinds, ascending
  };
  // Over all that was added.
  Counts counts() const;

 private:
  struct Own {  // a kept record of a patient
    std::uint32_t number;
    std::uint64_t hash;
    std::vector<std::uint64_t> shingles;
  };
  struct Entry {
    Part part;
    bool repeats;  // an earlier record of its own patient
    std::uint64_t text;
    std::uint64_t patient;
  };
  double near_;
  std::unordered_map<std::string, std::vector<Own>> training_of_;
  std::vector<Entry> entries_;
  NearDuplicates all_;
  std::uint64_t exact_within_ = 0;
  std::uint64_t near_within_ = 0;
};

}  // namespace sotto::curation
