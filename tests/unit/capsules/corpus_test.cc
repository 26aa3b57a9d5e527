#include <catch2/catch.hpp>

#include "runtime/base/file.h"
#include "tests/support/signed_capsule.h"
#include "tests/support/wire_tree.h"

namespace taper::capsules {
namespace {

std::vector<std::pair<std::string, Bytes>> seeds() {
  using namespace testing;
  const TrustRoot root = opened_root(sample_root_data());
  Capsule capsule = sample_capsule(root);
  const Bytes plain = signed_capsule(capsule);
  capsule.max_depth = 1;
  Block block;
  block.holder = known_key(21).public_key();
  block.grants = {{"list", "file.list", {}, {}}};
  return {{"file", plain},
          {"chain", narrowed(signed_capsule(capsule), block, kHolderKey)},
          {"payload", wire_bytes(sample_wire_capsule(), "TPCP")},
          {"block", wire_bytes(sample_wire_block(), "TPCP")},
          {"root", signed_root(sample_root_data())}};
}

std::string corpus(const std::string& name) {
  return std::string(TAPER_SOURCE_DIR) + "/tests/fuzz/corpus/capsule/" + name;
}

// Also shows that the format has not changed by accident: the same keys give the same bytes.
TEST_CASE("The fuzzer's seeds are what is written today", "[capsules]") {
  for (const auto& [name, bytes] : seeds()) {
    INFO(name << "; after a wanted change run unit_capsules '[.seeds]'");
    const auto stored = read_file(corpus(name), 65'536);
    REQUIRE(stored.ok());
    CHECK(*stored == bytes);
  }
}

TEST_CASE("Writes the fuzzer's seeds anew", "[.seeds]") {
  for (const auto& [name, bytes] : seeds()) {
    REQUIRE(replace_file(corpus(name), bytes, 0644).ok());
  }
}

}  // namespace
}  // namespace taper::capsules
