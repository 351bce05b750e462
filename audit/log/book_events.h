// The events of the log that a site's book of patients is (client/site/patient_book.h). It stays at the site: unlike the
// other logs it holds keyed hashes of patients and records.
#pragma once

#include <string>
#include <vector>

#include "audit/log/event_type.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "privacy/mechanism/event.h"

namespace sotto::audit {

// Record 0 of every book.
struct BookCreated {
  Digest key_check{};  // HMAC-SHA-256(the book's key, "sotto/book-key-check/v1"): another key beside this book shows
  Digest salt{};
  static constexpr auto kType = EventType::kBookCreated;
  static constexpr const char* kName = "book_created";
  static constexpr auto fields() {
    return std::tuple{Field{"key_check", &BookCreated::key_check}, Field{"salt", &BookCreated::salt}};
  }
};

// What these patients are for. `part`: "training", "held_out"; "outside": in public text, validation or watched text, with no
// budget; "unknown": of a budget, by a book of version 1, which did not tell the two apart. The newest part of a patient holds.
struct PatientsSeen {
  std::string budget;
  std::string part;
  Bytes patients;  // 16 bytes each
  static constexpr auto kType = EventType::kPatientsSeen;
  static constexpr const char* kName = "patients_seen";
  static constexpr auto fields() {
    return std::tuple{Field{"budget", &PatientsSeen::budget}, Field{"part", &PatientsSeen::part},
                      Field{"patients", &PatientsSeen::patients}};
  }
};

// What the training records hold, so that they are recognised under another patient's name.
struct RecordsSeen {
  Bytes records;  // 16 bytes each
  static constexpr auto kType = EventType::kRecordsSeen;
  static constexpr const char* kName = "records_seen";
  static constexpr auto fields() { return std::tuple{Field{"records", &RecordsSeen::records}}; }
};

// All that the runs of one log have spent of a budget, the reservation to come included; and how far the log had come. The
// newest of a budget and log holds, and is never less than one before. Size 0: the log was not looked at (version 1).
struct LogSpent {
  std::string budget;
  Digest log{};
  std::uint64_t size = 0;
  Digest root{};
  std::uint64_t without_privacy = 0;
  std::vector<privacy::DpEvent> events;
  std::vector<privacy::DpEvent> own_share;
  static constexpr auto kType = EventType::kLogSpent;
  static constexpr const char* kName = "log_spent";
  static constexpr auto fields() {
    return std::tuple{Field{"budget", &LogSpent::budget},
                      Field{"log", &LogSpent::log},
                      Field{"size", &LogSpent::size},
                      Field{"root", &LogSpent::root},
                      Field{"without_privacy", &LogSpent::without_privacy},
                      Field{"events", &LogSpent::events},
                      Field{"own_share", &LogSpent::own_share}};
  }
};

// The log has come this far, and `run` has taken `steps` steps whose result left the process (0: not told here).
struct LogSeen {
  Digest log{};
  std::uint64_t size = 0;
  Digest root{};
  RunId run;
  std::uint64_t steps = 0;
  static constexpr auto kType = EventType::kLogSeen;
  static constexpr const char* kName = "log_seen";
  static constexpr auto fields() {
    return std::tuple{Field{"log", &LogSeen::log}, Field{"size", &LogSeen::size}, Field{"root", &LogSeen::root},
                      Field{"run", &LogSeen::run}, Field{"steps", &LogSeen::steps}};
  }
};

}  // namespace sotto::audit
