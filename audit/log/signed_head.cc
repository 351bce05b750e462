#include "audit/log/signed_head.h"

#include <algorithm>

#include "crypto/hash.h"

namespace sotto::audit {
namespace {

template <std::size_t N>
Result<std::array<std::uint8_t, N>> fixed_from_hex(const Json& json, std::string_view name) {
  SOTTO_TRY(const std::string text, json.get_string(name));
  SOTTO_TRY(const Bytes bytes, from_hex(text));
  if (bytes.size() != N) {
    return invalid("field '" + std::string(name) + "' has " + std::to_string(bytes.size()) + " bytes, not " +
                   std::to_string(N));
  }
  std::array<std::uint8_t, N> out{};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

}  // namespace

Bytes signed_part(const SignedHead& head) {
  return ByteWriter().text("sotto/head/v1").text(head.party).raw(head.log).u64(head.size).raw(head.root).take();
}

Bytes encode(const SignedHead& head) {
  return ByteWriter().text(head.party).raw(head.key).raw(head.log).u64(head.size).raw(head.root).raw(head.signature).take();
}

Result<SignedHead> decode_head(ByteSpan bytes) {
  ByteReader in(bytes);
  SignedHead head;
  head.party = in.text();
  head.key = in.digest();
  head.log = in.digest();
  head.size = in.u64();
  head.root = in.digest();
  const Bytes signature = in.raw(head.signature.size());
  SOTTO_TRY_VOID(in.finish("signed head"));
  std::copy(signature.begin(), signature.end(), head.signature.begin());
  if (!is_valid_name(head.party)) return invalid("signed head: the party is not a name of [a-z0-9-]{1,64}");
  return head;
}

Json to_json(const SignedHead& head) {
  return Json::object({{"party", head.party},
                       {"log", to_hex(head.log)},
                       {"size", head.size},
                       {"root", to_hex(head.root)},
                       {"key", to_hex(head.key)},
                       {"fingerprint", crypto::fingerprint(crypto::VerifyKey(head.key))},
                       {"signature", to_hex(head.signature)}});
}

Result<SignedHead> head_from_json(const Json& json) {
  SignedHead head;
  SOTTO_TRY(head.party, json.get_string("party"));
  SOTTO_TRY(head.log, fixed_from_hex<32>(json, "log"));
  SOTTO_TRY(const std::int64_t size, json.get_int("size"));
  if (size < 1) return invalid("field 'size' is " + std::to_string(size) + "; a signed log has at least one entry");
  head.size = static_cast<std::uint64_t>(size);
  SOTTO_TRY(head.root, fixed_from_hex<32>(json, "root"));
  SOTTO_TRY(head.key, fixed_from_hex<32>(json, "key"));
  SOTTO_TRY(head.signature, fixed_from_hex<64>(json, "signature"));
  if (!is_valid_name(head.party)) return invalid("field 'party' is not a name of [a-z0-9-]{1,64}");
  return head;
}

Digest head_hash(const SignedHead& head) { return crypto::sha256(encode(head)); }

SignedHead sign_head(const LogImage& log, const std::string& party, const crypto::SigningKey& key) {
  SignedHead head;
  head.party = party;
  head.key = crypto::verify_key(key).value();
  head.log = log.id();
  head.size = log.tree.size();
  head.root = log.tree.root();
  head.signature = crypto::sign(key, signed_part(head));
  return head;
}

bool signature_holds(const SignedHead& head) {
  return crypto::verify(crypto::VerifyKey(head.key), signed_part(head), head.signature);
}

Result<void> check_prefix(const SignedHead& head, const LogImage& log) {
  const std::string what = "the head that '" + head.party + "' signed over " + std::to_string(head.size) + " entries";
  if (log.tree.size() == 0) return invalid(what + ": the log is empty");
  if (log.id() != head.log) return invalid(what + " is of another log: entry 0 differs");
  if (head.size > log.tree.size()) {
    return invalid(what + ": the log has only " + std::to_string(log.tree.size()) + "; entries from " +
                   std::to_string(log.tree.size()) + " on are missing");
  }
  if (log.tree.root_at(head.size) != head.root) return invalid(what + " has another root than the log's first entries");
  return {};
}

}  // namespace sotto::audit
