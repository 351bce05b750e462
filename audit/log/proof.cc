#include "audit/log/proof.h"

#include <algorithm>

namespace sotto::audit {
namespace {

constexpr const char* kInclusion = "sotto/inclusion/1";
constexpr const char* kConsistency = "sotto/consistency/1";
constexpr const char* kSplit = "sotto/split/1";
constexpr std::size_t kLongestPath = 128;  // twice the height of a tree of 2^64 leaves

Json hexes(const std::vector<Digest>& path) {
  Json out = Json::array();
  for (const auto& d : path) out.push(to_hex(d));
  return out;
}

Json view(const TreeHead& head) { return Json::object({{"size", head.size}, {"root", to_hex(head.root)}}); }

Json view(const InclusionProof& p) {
  return Json::object({{"format", kInclusion},
                       {"log", to_hex(p.log)},
                       {"index", p.index},
                       {"entry", to_hex(p.entry)},
                       {"head", view(p.head)},
                       {"path", hexes(p.path)}});
}
Json view(const ConsistencyProof& p) {
  return Json::object({{"format", kConsistency},
                       {"log", to_hex(p.log)},
                       {"from", view(p.from)},
                       {"to", view(p.to)},
                       {"path", hexes(p.path)}});
}
Json view(const SplitProof& p) {
  return Json::object({{"format", kSplit},
                       {"first", to_json(p.first)},
                       {"first_seen", p.first_seen},
                       {"second", to_json(p.second)},
                       {"second_seen", p.second_seen},
                       {"root_there", to_hex(p.root_there)},
                       {"path", hexes(p.path)}});
}

Result<Digest> get_digest(const Json& json, std::string_view name) {
  SOTTO_TRY(const std::string text, json.get_string(name));
  auto digest = digest_from_hex(text);
  if (!digest.ok()) return invalid("field '" + std::string(name) + "' is not a SHA-256 value in hexadecimal");
  return digest;
}

Result<std::vector<Digest>> get_path(const Json& json) {
  SOTTO_TRY(const Json::Array* items, json.get_array("path"));
  if (items->size() > kLongestPath) return invalid("field 'path' is longer than any proof");
  std::vector<Digest> out;
  for (const Json& item : *items) {
    if (!item.is_string()) return invalid("field 'path' holds something else than hexadecimal text");
    SOTTO_TRY(const Digest digest, digest_from_hex(item.as_string()));
    out.push_back(digest);
  }
  return out;
}

Result<std::uint64_t> get_number(const Json& json, std::string_view name) {
  SOTTO_TRY(const std::int64_t value, json.get_int(name));
  if (value < 0) return invalid("field '" + std::string(name) + "' is negative");
  return static_cast<std::uint64_t>(value);
}

Result<const Json*> get_member(const Json& json, std::string_view name) {
  const Json* found = json.find(name);
  if (!found || !found->is_object()) return invalid("field '" + std::string(name) + "' is missing or no object");
  return found;
}

Result<TreeHead> get_head(const Json& json, std::string_view name) {
  SOTTO_TRY(const Json* head, get_member(json, name));
  TreeHead out;
  SOTTO_TRY(out.size, get_number(*head, "size"));
  SOTTO_TRY(out.root, get_digest(*head, "root"));
  return out;
}

Result<InclusionProof> inclusion_from(const Json& json) {
  InclusionProof out;
  SOTTO_TRY(out.log, get_digest(json, "log"));
  SOTTO_TRY(out.index, get_number(json, "index"));
  SOTTO_TRY(const std::string entry, json.get_string("entry"));
  SOTTO_TRY(out.entry, from_hex(entry));
  SOTTO_TRY(out.head, get_head(json, "head"));
  SOTTO_TRY(out.path, get_path(json));
  return out;
}

Result<ConsistencyProof> consistency_from(const Json& json) {
  ConsistencyProof out;
  SOTTO_TRY(out.log, get_digest(json, "log"));
  SOTTO_TRY(out.from, get_head(json, "from"));
  SOTTO_TRY(out.to, get_head(json, "to"));
  SOTTO_TRY(out.path, get_path(json));
  return out;
}

Result<SplitProof> split_from(const Json& json) {
  SplitProof out;
  SOTTO_TRY(const Json* first, get_member(json, "first"));
  SOTTO_TRY(const Json* second, get_member(json, "second"));
  SOTTO_TRY(out.first, head_from_json(*first));
  SOTTO_TRY(out.second, head_from_json(*second));
  SOTTO_TRY(out.root_there, get_digest(json, "root_there"));
  SOTTO_TRY(out.path, get_path(json));
  SOTTO_TRY(out.first_seen, json.get_string("first_seen"));
  SOTTO_TRY(out.second_seen, json.get_string("second_seen"));
  return out;
}

Result<std::string> holds(const InclusionProof& p) {
  if (!verify_inclusion(leaf_hash(p.entry), p.index, p.head, p.path)) {
    return invalid("the proof does not hold: the entry is not number " + std::to_string(p.index) + " under this root");
  }
  return "entry " + std::to_string(p.index) + " is in the log of " + std::to_string(p.head.size) + " entries with root " +
         to_hex(p.head.root);
}

Result<std::string> holds(const ConsistencyProof& p) {
  if (!verify_consistency(p.from, p.to, p.path)) {
    return invalid("the proof does not hold: the log of " + std::to_string(p.from.size) +
                   " entries is not shown to be a prefix of the one of " + std::to_string(p.to.size));
  }
  return "the log of " + std::to_string(p.from.size) + " entries is a prefix of the one of " + std::to_string(p.to.size) +
         " with root " + to_hex(p.to.root);
}

Result<std::string> holds(const SplitProof& p) {
  const std::string who = "'" + p.first.party + "' (" + crypto::fingerprint(crypto::VerifyKey(p.first.key)) + ")";
  if (p.first.key != p.second.key || p.first.party != p.second.party) {
    return invalid("the two heads are of different parties");
  }
  if (!signature_holds(p.first) || !signature_holds(p.second)) return invalid("a head's signature does not hold");
  if (p.first.log != p.second.log)
    return who + " signed heads of two different logs: " + p.first_seen + " and " + p.second_seen;
  const TreeHead there{p.first.size, p.root_there};
  if (p.root_there == p.first.root || !verify_consistency(there, {p.second.size, p.second.root}, p.path)) {
    return invalid("the two heads are not shown to contradict each other");
  }
  return who + " signed two histories: the first " + std::to_string(p.first.size) + " entries are not the same in " +
         p.first_seen + " and in " + p.second_seen;
}

bool same_as(const TreeHead& a, const SignedHead& b) { return a.size == b.size && a.root == b.root; }

}  // namespace

Json to_json(const Proof& proof) {
  return std::visit([](const auto& p) { return view(p); }, proof);
}

Result<Proof> proof_from_json(const Json& json) {
  SOTTO_TRY(const std::string format, json.get_string("format"));
  const auto as_proof = [](auto proof) -> Result<Proof> {
    if (!proof.ok()) return proof.error();
    return Proof(std::move(proof).value());
  };
  if (format == kInclusion) return as_proof(inclusion_from(json));
  if (format == kConsistency) return as_proof(consistency_from(json));
  if (format == kSplit) return as_proof(split_from(json));
  return unsupported("a proof of format '" + format + "' is not in this version");
}

Result<std::string> check_proof(const Proof& proof) {
  return std::visit([](const auto& p) { return holds(p); }, proof);
}

Result<std::string> check_proof_against(const Proof& proof, const SignedHead& head) {
  SOTTO_TRY(const std::string text, check_proof(proof));
  if (!signature_holds(head)) return invalid("the signature of the head of '" + head.party + "' does not hold");
  const auto* in = std::get_if<InclusionProof>(&proof);
  const auto* grown = std::get_if<ConsistencyProof>(&proof);
  if (!in && !grown) return invalid("this proof brings its own heads; check it without one");
  if (!same_as(in ? in->head : grown->to, head) || (in ? in->log : grown->log) != head.log) {
    return invalid("the proof is about another head than the one of '" + head.party + "' over " + std::to_string(head.size) +
                   " entries");
  }
  return text + ", as '" + head.party + "' (" + crypto::fingerprint(crypto::VerifyKey(head.key)) + ") signed it";
}

std::optional<SplitProof> find_split(const std::vector<SeenHead>& heads, const LogImage* own_log) {
  std::vector<const SeenHead*> good;
  for (const auto& seen : heads) {
    if (signature_holds(seen.head) && seen.head.key == heads.front().head.key) good.push_back(&seen);
  }
  std::stable_sort(good.begin(), good.end(), [](const auto* a, const auto* b) { return a->head.size < b->head.size; });
  const auto proof = [](const SeenHead& a, const SeenHead& b, const Digest& there) {
    return SplitProof{a.head, b.head, there, {}, a.where, b.where};
  };
  for (std::size_t i = 1; i < good.size(); ++i) {
    const SignedHead& a = good[i - 1]->head;
    const SignedHead& b = good[i]->head;
    if (a.log != b.log) return proof(*good[i - 1], *good[i], {});
    if (a.size == b.size && a.root != b.root) return proof(*good[i - 1], *good[i], b.root);
  }
  if (!own_log) return std::nullopt;
  // Of different sizes: only the log under the later one can tell.
  const SeenHead* stray = nullptr;
  for (const SeenHead* seen : good) {
    const bool fits = check_prefix(seen->head, *own_log).ok();
    if (!fits && !stray) stray = seen;
    if (!fits || !stray) continue;
    SplitProof found = proof(*stray, *seen, own_log->tree.root_at(stray->head.size));
    found.path = own_log->tree.consistency_proof(stray->head.size, seen->head.size);
    return found;
  }
  return std::nullopt;
}

}  // namespace sotto::audit
