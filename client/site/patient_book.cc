#include "client/site/patient_book.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "client/site/book_version_1.h"
#include "client/site/locked_book.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

Mark half_of(const Digest& hash) {
  Mark out{};
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

Digest keyed(const PatientKey& key, std::string_view label, ByteSpan content) {
  return crypto::hmac_sha256(key.reveal(), ByteWriter().raw(as_bytes(label)).u8(0).raw(content).view());
}

// A folder without key may be made into a book only when nothing of a book is in it.
Result<void> make_key(const std::string& folder, const std::string& key_file) {
  for (const char* part : {"/log", "/head.json", "/spent"}) {
    if (file_exists(folder + part))
      return invalid("'" + folder +
                     "' lacks its patients.key; restore it from a backup: without it no patient is recognised");
  }
  crypto::SystemRandom random;
  return crypto::write_new_key<PatientKey>(key_file, random);
}

}  // namespace

Result<PatientBook> PatientBook::of_version_1(const std::string& folder) {
  SOTTO_TRY(auto key, crypto::read_key<PatientKey>(folder + "/patients.key"));
  return PatientBook(folder, std::move(key));
}

Result<PatientBook> PatientBook::remade_in(const std::string& folder) const {
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  return PatientBook(folder, PatientKey::from(key_.reveal()));
}

Result<PatientBook> PatientBook::open(const std::string& folder) {
  if (is_book_of_version_1(folder))
    return refused("'" + folder +
                   "' is a book of patients of version 1, and this program keeps version 2; run 'sotto-client " +
                   "migrate " + folder + "' (with --dry-run it only says what it would do)");
  if (fs::is_directory(folder + "/spent")) SOTTO_TRY_VOID(put_version_1_away(folder));
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  SOTTO_TRY_VOID(make_folder(folder + "/locks", FileMode::kPrivate));
  const std::string key_file = folder + "/patients.key";
  if (!file_exists(key_file)) SOTTO_TRY_VOID(make_key(folder, key_file));
  SOTTO_TRY(auto key, crypto::read_key<PatientKey>(key_file));
  PatientBook book(folder, std::move(key));
  SOTTO_TRY([[maybe_unused]] const LockedBook checked, book.lock());
  if (!file_exists(folder + "/spent"))
    SOTTO_TRY_VOID(write_file_atomically(folder + "/spent", kBookVersion, FileMode::kPrivate));
  return book;
}

Result<LockedBook> PatientBook::lock() const {
  using namespace std::chrono_literals;
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  for (;;) {
    auto lock = FileLock::acquire(folder_ + "/lock");
    if (lock.ok()) return LockedBook::open(*this, std::move(lock).value());
    if (std::chrono::steady_clock::now() > deadline) return lock.error();
    std::this_thread::sleep_for(20ms);
  }
}

Result<FileLock> PatientBook::take_up(const Digest& log, const std::string& path) const {
  auto lock = FileLock::acquire(folder_ + "/locks/" + to_hex(log));
  if (lock.ok()) return lock;
  return refused(
      "'" + path +
      "' is being worked with already, by a run in this folder or in a copy of it; let that one end. Of two copies "
      "only the one that went on may go on: remove the other");
}

Mark PatientBook::mark_of_patient(std::string_view id) const {
  return half_of(keyed(key_, "sotto/patient/v1", as_bytes(id)));
}

Mark PatientBook::mark_of_record(ByteSpan content) const { return half_of(keyed(key_, "sotto/record/v1", content)); }

Digest PatientBook::key_check() const { return crypto::hmac_sha256(key_.reveal(), as_bytes("sotto/book-key-check/v1")); }

data::HoldOutKey PatientBook::hold_out_key() const {
  return data::HoldOutKey(crypto::hkdf_sha256<32>({}, key_.reveal(), as_bytes("sotto/hold-out-key/v1")));
}

Digest PatientBook::fingerprint(ByteSpan content) const { return keyed(key_, "sotto/data-fingerprint/v1", content); }

}  // namespace sotto::client
