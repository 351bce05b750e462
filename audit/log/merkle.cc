#include "audit/log/merkle.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"
#include "crypto/hash.h"

namespace sotto::audit {
namespace {

// The largest power of two smaller than n; n > 1.
std::uint64_t split_of(std::uint64_t n) { return std::bit_floor(n - 1); }

}  // namespace

Digest leaf_hash(ByteSpan entry) {
  const std::uint8_t prefix = 0x00;
  return crypto::Sha256().update({&prefix, 1}).update(entry).finish();
}

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 65> node{};  // one update is quicker than three, and long logs have millions
  node[0] = 0x01;
  std::copy(left.begin(), left.end(), node.begin() + 1);
  std::copy(right.begin(), right.end(), node.begin() + 33);
  return crypto::sha256(node);
}

Digest empty_root() { return crypto::sha256({}); }

void MerkleRoot::append(const Digest& leaf) {
  Digest hash = leaf;
  for (std::uint64_t bits = size_; bits % 2 == 1; bits >>= 1) {
    hash = node_hash(peaks_.back(), hash);
    peaks_.pop_back();
  }
  peaks_.push_back(hash);
  ++size_;
}

Digest MerkleRoot::root() const {
  if (peaks_.empty()) return empty_root();
  Digest out = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) out = node_hash(peaks_[i], out);
  return out;
}

std::uint64_t MerkleTree::size() const { return levels_.empty() ? 0 : levels_[0].size(); }

void MerkleTree::append(const Digest& leaf) {
  Digest hash = leaf;
  for (std::size_t level = 0;; ++level) {
    if (levels_.size() == level) levels_.emplace_back();
    levels_[level].push_back(hash);
    const auto& row = levels_[level];
    if (row.size() % 2 != 0) return;
    hash = node_hash(row[row.size() - 2], row[row.size() - 1]);
  }
}

Digest MerkleTree::range(std::uint64_t begin, std::uint64_t end) const {
  const std::uint64_t n = end - begin;
  if (std::has_single_bit(n) && begin % n == 0) {
    return levels_[static_cast<std::size_t>(std::countr_zero(n))][static_cast<std::size_t>(begin / n)];
  }
  const std::uint64_t k = split_of(n);
  return node_hash(range(begin, begin + k), range(begin + k, end));
}

const Digest& MerkleTree::leaf(std::uint64_t index) const {
  SOTTO_CHECK(index < size());
  return levels_[0][static_cast<std::size_t>(index)];
}

Digest MerkleTree::root_at(std::uint64_t size) const {
  SOTTO_CHECK(size <= this->size());
  return size == 0 ? empty_root() : range(0, size);
}

void MerkleTree::path(std::vector<Digest>& proof, std::uint64_t index, std::uint64_t begin, std::uint64_t end) const {
  if (end - begin == 1) return;
  const std::uint64_t middle = begin + split_of(end - begin);
  if (index < middle) {
    path(proof, index, begin, middle);
    proof.push_back(range(middle, end));
  } else {
    path(proof, index, middle, end);
    proof.push_back(range(begin, middle));
  }
}

std::vector<Digest> MerkleTree::inclusion_proof(std::uint64_t index, std::uint64_t size) const {
  SOTTO_CHECK(index < size && size <= this->size());
  std::vector<Digest> proof;
  path(proof, index, 0, size);
  return proof;
}

// `whole`: the old tree is exactly this subtree, whose root the verifier knows already.
void MerkleTree::subproof(std::vector<Digest>& proof, std::uint64_t from, std::uint64_t begin, std::uint64_t end,
                          bool whole) const {
  if (from == end) {
    if (!whole) proof.push_back(range(begin, end));
    return;
  }
  const std::uint64_t middle = begin + split_of(end - begin);
  if (from <= middle) {
    subproof(proof, from, begin, middle, whole);
    proof.push_back(range(middle, end));
  } else {
    subproof(proof, from, middle, end, false);
    proof.push_back(range(begin, middle));
  }
}

std::vector<Digest> MerkleTree::consistency_proof(std::uint64_t from, std::uint64_t to) const {
  SOTTO_CHECK(from > 0 && from <= to && to <= size());
  std::vector<Digest> proof;
  subproof(proof, from, 0, to, true);
  return proof;
}

bool verify_inclusion(const Digest& leaf, std::uint64_t index, const TreeHead& head, const std::vector<Digest>& proof) {
  if (index >= head.size) return false;
  std::uint64_t fn = index;
  std::uint64_t sn = head.size - 1;
  Digest r = leaf;
  for (const Digest& p : proof) {
    if (sn == 0) return false;
    if (fn % 2 == 1 || fn == sn) {
      r = node_hash(p, r);
      while (fn % 2 == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      r = node_hash(r, p);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && r == head.root;
}

bool verify_consistency(const TreeHead& from, const TreeHead& to, const std::vector<Digest>& proof) {
  if (from.size == 0 || from.size > to.size) return false;
  if (from.size == to.size) return proof.empty() && from.root == to.root;
  std::vector<Digest> nodes = proof;
  if (std::has_single_bit(from.size)) nodes.insert(nodes.begin(), from.root);
  if (nodes.empty()) return false;
  std::uint64_t fn = from.size - 1;
  std::uint64_t sn = to.size - 1;
  while (fn % 2 == 1) {
    fn >>= 1;
    sn >>= 1;
  }
  Digest fr = nodes[0];
  Digest sr = nodes[0];
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    const Digest& c = nodes[i];
    if (sn == 0) return false;
    if (fn % 2 == 1 || fn == sn) {
      fr = node_hash(c, fr);
      sr = node_hash(c, sr);
      while (fn % 2 == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      sr = node_hash(sr, c);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && fr == from.root && sr == to.root;
}

}  // namespace sotto::audit
