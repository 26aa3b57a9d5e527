// The Merkle tree against the known answers of the Certificate Transparency reference code.
#include "store/log_tree.h"

#include <catch2/catch.hpp>
#include <map>

#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "store/log_key.h"

namespace taper::store {
namespace {

const char* const kLeaves[] = {"",
                               "00",
                               "10",
                               "2021",
                               "3031",
                               "40414243",
                               "5051525354555657",
                               "606162636465666768696a6b6c6d6e6f"};
const char* const kRoots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                              "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                              "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                              "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                              "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                              "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                              "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                              "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                              "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

// RFC 6962 section 2.1 word for word.
TreeHash root_by_definition(const std::vector<TreeHash>& leaves, std::size_t from, std::size_t to) {
  if (to == from) return crypto::tree_hash({});
  if (to - from == 1) return leaves[from];
  std::size_t split = 1;
  while (split * 2 < to - from) split *= 2;
  return node_hash(root_by_definition(leaves, from, from + split),
                   root_by_definition(leaves, from + split, to));
}

}  // namespace

TEST_CASE("tree roots are the known answers of RFC 6962", "[store]") {
  LogTree tree;
  CHECK(tree.root().hex() == kRoots[0]);
  for (std::size_t i = 0; i < std::size(kLeaves); ++i) {
    tree.append(leaf_hash(from_hex(kLeaves[i]).value()));
    CHECK(tree.size() == i + 1);
    CHECK(tree.root().hex() == kRoots[i + 1]);
  }
}

TEST_CASE("a tree grown leaf by leaf is the tree of the definition", "[store]") {
  LogTree tree;
  std::vector<TreeHash> leaves;
  std::map<std::pair<unsigned, std::uint64_t>, TreeHash> nodes;
  for (std::uint64_t i = 0; i < 130; ++i) {
    leaves.push_back(leaf_hash(big_endian(i)));
    tree.append(leaves.back(), [&nodes](unsigned level, std::uint64_t index, const TreeHash& hash) {
      CHECK(nodes.emplace(std::pair(level, index), hash).second);
    });
    REQUIRE(tree.root() == root_by_definition(leaves, 0, leaves.size()));
  }
  for (const auto& [place, hash] : nodes) {
    const std::size_t from = place.second << place.first;
    CHECK(hash == root_by_definition(leaves, from, from + (std::size_t{1} << place.first)));
  }
}

TEST_CASE("the log's seed moves one way", "[store]") {
  const LogSeed first = LogSeed::generate();
  const LogSeed second = first.next();
  CHECK(first.epoch() == 0);
  CHECK(second.epoch() == 1);
  CHECK(to_hex(second.bytes()) ==
        crypto::hash({first.bytes(), as_bytes("taper log evolve")}).hex());
  CHECK(LogSeed(0, first.bytes()).next().key().public_key() == second.key().public_key());
}

}  // namespace taper::store
