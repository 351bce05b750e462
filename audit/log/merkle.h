// The Merkle tree over a log's entries, as in RFC 9162 (Certificate Transparency 2.0), section 2.1: leaf hash
// SHA-256(0x00 | entry), node hash SHA-256(0x01 | left | right), the left subtree as large a power of two as fits.
// MerkleTree keeps the hash of every complete subtree, so a root of any earlier size costs O(log n). Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace sotto::audit {

Digest leaf_hash(ByteSpan entry);
Digest node_hash(const Digest& left, const Digest& right);
Digest empty_root();  // SHA-256 of the empty string

class MerkleTree {
 public:
  void append(const Digest& leaf);
  std::uint64_t size() const;
  Digest root() const { return root_at(size()); }
  const Digest& leaf(std::uint64_t index) const;  // index < size()
  // The root when the tree had `size` leaves; a larger size than the tree's is a broken invariant.
  Digest root_at(std::uint64_t size) const;

  // PATH(m, D[n]) of section 2.1.3.1: that leaf `index` is in the tree of `size` leaves. Requires index < size <= size().
  std::vector<Digest> inclusion_proof(std::uint64_t index, std::uint64_t size) const;
  // PROOF(m, D[n]) of section 2.1.4.1: that the tree of `from` leaves is a prefix of that of `to`. Requires 0 < from <= to.
  std::vector<Digest> consistency_proof(std::uint64_t from, std::uint64_t to) const;

 private:
  Digest range(std::uint64_t begin, std::uint64_t end) const;
  void path(std::vector<Digest>& proof, std::uint64_t index, std::uint64_t begin, std::uint64_t end) const;
  void subproof(std::vector<Digest>& proof, std::uint64_t from, std::uint64_t begin, std::uint64_t end, bool whole) const;

  std::vector<std::vector<Digest>> levels_;  // levels_[k][i]: the complete subtree over leaves [i 2^k, (i + 1) 2^k)
};

// The root of a growing tree and nothing else: O(log n) hashes, however many leaves. For logs that are read once.
class MerkleRoot {
 public:
  void append(const Digest& leaf);
  std::uint64_t size() const { return size_; }
  Digest root() const;

 private:
  std::vector<Digest> peaks_;  // roots of the complete subtrees, largest first: one for each bit that is set in size_
  std::uint64_t size_ = 0;
};

struct TreeHead {
  std::uint64_t size = 0;
  Digest root{};
  bool operator==(const TreeHead&) const = default;
};

// Sections 2.1.3.2 and 2.1.4.2: whoever holds only the heads checks a proof.
[[nodiscard]] bool verify_inclusion(const Digest& leaf, std::uint64_t index, const TreeHead& head,
                                    const std::vector<Digest>& proof);
[[nodiscard]] bool verify_consistency(const TreeHead& from, const TreeHead& to, const std::vector<Digest>& proof);

}  // namespace sotto::audit
