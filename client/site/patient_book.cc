#include "client/site/patient_book.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

using Mark = std::array<std::uint8_t, 16>;

Mark mark_of(const PatientKey& key, const std::string& patient) {
  const Bytes data = ByteWriter().raw(as_bytes("sotto/patient/v1")).u8(0).raw(as_bytes(patient)).take();
  const Digest hash = crypto::hmac_sha256(key.reveal(), data);
  Mark out{};
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

Result<std::vector<Mark>> read_marks(const std::string& path) {
  std::vector<Mark> out;
  if (!file_exists(path)) return out;
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  out.resize(bytes.size() / sizeof(Mark));
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * sizeof(Mark)), sizeof(Mark), out[i].begin());
  }
  if (bytes.size() % sizeof(Mark) != 0 || !std::is_sorted(out.begin(), out.end())) {
    return invalid("'" + path + "' is damaged; restore it from a backup: it says which patients' budget was spent");
  }
  return out;
}

Result<void> write_marks(const std::string& path, const std::vector<Mark>& marks) {
  Bytes bytes;
  for (const Mark& m : marks) bytes.insert(bytes.end(), m.begin(), m.end());
  return write_file_atomically(path, bytes, FileMode::kPrivate);
}

}  // namespace

Result<PatientBook> PatientBook::open(const std::string& folder) {
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  SOTTO_TRY_VOID(make_folder(folder + "/spent", FileMode::kPrivate));
  const std::string key_file = folder + "/patients.key";
  if (!file_exists(key_file)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".patients")
        return invalid("'" + folder +
                       "' lacks its patients.key; restore it from a backup: without it no patient is recognised");
    }
    crypto::SystemRandom random;
    SOTTO_TRY_VOID(crypto::write_new_key<PatientKey>(key_file, random));
  }
  SOTTO_TRY(auto key, crypto::read_key<PatientKey>(key_file));
  return PatientBook(folder, std::move(key));
}

Result<FileLock> PatientBook::lock() const {
  using namespace std::chrono_literals;
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  for (;;) {
    auto lock = FileLock::acquire(folder_ + "/lock");
    if (lock.ok() || std::chrono::steady_clock::now() > deadline) return lock;
    std::this_thread::sleep_for(20ms);
  }
}

Result<void> PatientBook::claim(const std::string& budget, const std::set<std::string>& patients) const {
  std::vector<Mark> mine;
  for (const auto& id : patients) mine.push_back(mark_of(key_, id));
  std::sort(mine.begin(), mine.end());
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() != ".patients" || entry.path().stem() == budget) continue;
    SOTTO_TRY(const auto others, read_marks(entry.path().string()));
    const auto shared = std::count_if(mine.begin(), mine.end(),
                                      [&](const Mark& m) { return std::binary_search(others.begin(), others.end(), m); });
    if (shared > 0) {
      return refused(std::to_string(shared) + " of these patients belong to the budget '" + entry.path().stem().string() +
                     "' already, and a patient has one budget for good; set policy.budget = \"" +
                     entry.path().stem().string() + "\", or take them out of this data");
    }
  }
  SOTTO_TRY(const auto known, read_marks(file_of(budget)));
  std::vector<Mark> all;
  std::set_union(known.begin(), known.end(), mine.begin(), mine.end(), std::back_inserter(all));
  return all == known ? Result<void>() : write_marks(file_of(budget), all);
}

Result<audit::Spent> PatientBook::elsewhere(const std::string& budget, const Digest& own_log) const {
  audit::Spent out;
  std::set<fs::path> files;  // in one order, so that the same book gives the same events
  for (const auto& entry : fs::directory_iterator(folder_ + "/spent")) {
    if (entry.path().stem() == budget && entry.path().extension() != "." + to_hex(own_log)) files.insert(entry.path());
  }
  for (const auto& file : files) {
    SOTTO_TRY(const Bytes bytes, read_binary_file(file.string()));
    const auto event = audit::decode_event(audit::EventType::kSpentElsewhere, bytes);
    if (!event.ok()) return invalid("'" + file.string() + "': " + event.error().message + "; restore it from a backup");
    const auto& part = std::get<audit::SpentElsewhere>(*event);
    out.add(audit::Spent{part.events, part.own_share, part.without_privacy != 0});
  }
  return out;
}

Result<void> PatientBook::publish(const std::string& budget, const Digest& own_log, const audit::Spent& spent) const {
  const audit::SpentElsewhere part{budget, spent.without_privacy ? 1U : 0U, privacy::merged(spent.events),
                                   privacy::merged(spent.own_share)};
  return write_file_atomically(folder_ + "/spent/" + budget + "." + to_hex(own_log), audit::encode(audit::Event(part)),
                               FileMode::kPrivate);
}

data::HoldOutKey PatientBook::hold_out_key() const {
  return data::HoldOutKey(crypto::hkdf_sha256<32>({}, key_.reveal(), as_bytes("sotto/hold-out-key/v1")));
}

Digest PatientBook::fingerprint(ByteSpan content) const {
  return crypto::hmac_sha256(key_.reveal(),
                             ByteWriter().raw(as_bytes("sotto/data-fingerprint/v1")).u8(0).raw(content).view());
}

}  // namespace sotto::client
