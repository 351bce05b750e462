#include "audit/log/merkle.h"

#include "base/bytes.h"
#include "tests/support/catch.h"

namespace sotto::audit {
namespace {

// The eight leaves and the roots of RFC 6962's reference test data, as certificate-transparency-go's merkle tests list them.
const std::vector<std::string> kLeaves = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
const std::vector<std::string> kRoots = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

Digest leaf_of(std::size_t i) { return leaf_hash(i < kLeaves.size() ? *from_hex(kLeaves[i]) : Bytes(i, 7)); }

MerkleTree tree_of(std::size_t n) {
  MerkleTree tree;
  for (std::size_t i = 0; i < n; ++i) tree.append(leaf_of(i));
  return tree;
}

TEST_CASE("roots of the reference leaves are those of the reference implementation", "[merkle]") {
  CHECK(to_hex(MerkleTree().root()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const MerkleTree tree = tree_of(8);
  for (std::size_t n = 1; n <= 8; ++n) {
    CHECK(to_hex(tree_of(n).root()) == kRoots[n - 1]);
    CHECK(to_hex(tree.root_at(n)) == kRoots[n - 1]);
  }
}

TEST_CASE("proofs of the reference tree are those of the reference implementation", "[merkle]") {
  const MerkleTree tree = tree_of(8);
  const auto hex = [](const std::vector<Digest>& proof) {
    std::vector<std::string> out;
    for (const auto& d : proof) out.push_back(to_hex(d));
    return out;
  };
  CHECK(hex(tree.inclusion_proof(5, 8)) ==
        std::vector<std::string>{"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                                 "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                                 "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"});
  CHECK(hex(tree.consistency_proof(6, 8)) ==
        std::vector<std::string>{"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                                 "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                                 "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"});
  CHECK(tree.consistency_proof(8, 8).empty());
}

TEST_CASE("every inclusion proof of every tree up to 40 leaves holds, and for no other leaf, place or head", "[merkle]") {
  const MerkleTree tree = tree_of(40);
  for (std::uint64_t n = 1; n <= 40; ++n) {
    const TreeHead head{n, tree.root_at(n)};
    for (std::uint64_t i = 0; i < n; ++i) {
      const Digest leaf = leaf_of(static_cast<std::size_t>(i));
      auto proof = tree.inclusion_proof(i, n);
      REQUIRE(verify_inclusion(leaf, i, head, proof));
      CHECK_FALSE(verify_inclusion(leaf, i + 1, head, proof));
      CHECK_FALSE(verify_inclusion(leaf_hash(Bytes{1, 2, 3, 4}), i, head, proof));
      proof.push_back(leaf);
      CHECK_FALSE(verify_inclusion(leaf, i, head, proof));
    }
  }
}

TEST_CASE("every consistency proof up to 40 leaves holds, and fails with a changed root or a missing node", "[merkle]") {
  const MerkleTree tree = tree_of(40);
  for (std::uint64_t to = 1; to <= 40; ++to) {
    for (std::uint64_t from = 1; from <= to; ++from) {
      const TreeHead old_head{from, tree.root_at(from)};
      const TreeHead new_head{to, tree.root_at(to)};
      auto proof = tree.consistency_proof(from, to);
      REQUIRE(verify_consistency(old_head, new_head, proof));
      CHECK_FALSE(verify_consistency({from, leaf_hash(Bytes{9})}, new_head, proof));
      CHECK_FALSE(verify_consistency(old_head, {to, leaf_hash(Bytes{9})}, proof));
      if (!proof.empty()) {
        proof.pop_back();
        CHECK_FALSE(verify_consistency(old_head, new_head, proof));
      }
    }
  }
}

TEST_CASE("a proof from nothing, or backwards, is refused", "[merkle]") {
  const MerkleTree tree = tree_of(5);
  CHECK_FALSE(verify_consistency({0, empty_root()}, {5, tree.root()}, {}));
  CHECK_FALSE(verify_consistency({5, tree.root()}, {3, tree.root_at(3)}, {}));
  CHECK_FALSE(verify_inclusion(leaf_hash({}), 0, {0, empty_root()}, {}));
  CHECK_THROWS_AS(tree.inclusion_proof(5, 5), Failure);
  CHECK_THROWS_AS(tree.consistency_proof(0, 5), Failure);
  CHECK_THROWS_AS(tree.root_at(6), Failure);
}

}  // namespace
}  // namespace sotto::audit
