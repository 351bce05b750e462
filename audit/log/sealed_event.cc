#include "audit/log/sealed_event.h"

#include <cstdlib>

#include "base/files.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"

namespace sotto::audit {
namespace {

using crypto::AeadKey;

AeadKey sealing_key(const LogKey& key) {
  return AeadKey(crypto::hkdf_sha256<32>({}, key.reveal(), as_bytes("sotto/log/seal/v1")));
}

// Names the key without telling anything about it.
Digest id_of(const LogKey& key) {
  const auto id = crypto::hkdf_sha256<32>({}, key.reveal(), as_bytes("sotto/log/key-id/v1"));
  Digest out{};
  std::copy(id.reveal().begin(), id.reveal().end(), out.begin());
  return out;
}

Bytes associated_data(const LogPlace& place) {
  return ByteWriter().text("sotto/log/sealed/v1").raw(place.log).u64(place.index).take();
}

Result<LogKey> key_of_text(std::string text, const std::string& source) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  auto bytes = from_hex(text);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!bytes.ok() || bytes->size() != LogKey::kSize) {
    return invalid("the log key from " + source +
                   " is not 32 bytes or 64 hexadecimal digits; make one: openssl rand -hex 32");
  }
  LogKey key = LogKey::from(*bytes);
  crypto::wipe(*bytes);
  return key;
}

Result<LogKey> key_of_file(const std::string& path, const std::string& source) {
  SOTTO_TRY(Bytes bytes, read_binary_file(path));
  if (bytes.size() == LogKey::kSize) {
    LogKey key = LogKey::from(bytes);
    crypto::wipe(bytes);
    return key;
  }
  std::string text = as_text(bytes);
  crypto::wipe(bytes);
  return key_of_text(std::move(text), source);
}

}  // namespace

Result<LogKey> read_log_key(const std::string& source) {
  const auto colon = source.find(':');
  const std::string kind = source.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : source.substr(colon + 1);
  if (name.empty() || (kind != "file" && kind != "env" && kind != "credential")) {
    return invalid("'" + source + "' names no key: it is file:PATH, env:NAME or credential:NAME");
  }
  if (kind == "file") return key_of_file(name, source);
  if (kind == "env") {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr)
      return not_found("the environment has no variable '" + name + "', from which the log key was to come");
    return key_of_text(value, source);
  }
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr) {
    return not_found(
        "there are no systemd credentials here ($CREDENTIALS_DIRECTORY is not set); start the program by its unit, with "
        "LoadCredential=" +
        name + ":PATH");
  }
  if (name.find('/') != std::string::npos) return invalid("the credential '" + name + "' is a name, not a path");
  return key_of_file(std::string(folder) + "/" + name, source);
}

bool may_be_sealed(EventType type) { return type == EventType::kAttackMeasured; }

Sealed seal_event(const Event& event, const LogKey& key, const LogPlace& place, RandomSource& random) {
  const Bytes plain = ByteWriter().u16(static_cast<std::uint16_t>(type_of(event))).raw(encode(event)).take();
  return {id_of(key), crypto::seal(sealing_key(key), plain, crypto::AssociatedData(associated_data(place)), random)};
}

Result<Event> open_event(const Sealed& sealed, const LogKey& key, const LogPlace& place) {
  const std::string where = "sealed entry " + std::to_string(place.index);
  if (sealed.key_id != id_of(key)) return refused(where + " is sealed with another key");
  const auto plain = crypto::open(sealing_key(key), sealed.box, crypto::AssociatedData(associated_data(place)));
  if (!plain.ok()) return invalid(where + " does not open: it was changed, or belongs to another place");
  ByteReader in(plain->reveal());
  const auto type = static_cast<EventType>(in.u16());
  const Bytes payload = in.raw(in.left());
  if (!in.ok()) return invalid(where + " holds nothing");
  return decode_event(type, payload);
}

}  // namespace sotto::audit
