#include <catch2/catch.hpp>
#include <sstream>

#include "capsules/author/lineage.h"
#include "capsules/builtins.h"
#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "tests/support/vector_file.h"

namespace taper::capsules {
namespace {

using testing::Row;
using testing::vector_rows;

Bytes hex(const std::string& text) {
  const auto bytes = from_hex(text);
  REQUIRE(bytes.has_value());
  return *bytes;
}

void check_call(const Row& row, const VerifiedCapsule& capsule) {
  std::istringstream words(row.rest);
  int number = 1;
  if (row.verdict == "denies") words >> number;
  std::string tool, text;
  words >> tool;
  std::getline(words, text);
  const auto arguments = parse_arguments(as_bytes(text));
  REQUIRE(arguments.ok());
  const BuiltinSpec* builtin = find_builtin(tool);
  REQUIRE(builtin != nullptr);
  const Route route = find_route(capsule.root(), lineage_of(capsule.root(), capsule.blocks()),
                                 {Verb::call, tool, *arguments}, builtin->inputs);
  CHECK(describe(route.status.code()).number == number);
}

// Gives how many are refused.
std::size_t check_files(const std::string& name) {
  REQUIRE(crypto::initialise().ok());
  std::size_t refused = 0;
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, name)) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const auto root = open_root(hex(row.given.at("root")));
    REQUIRE(root.code() == Code::ok);
    const auto capsule = open(hex(row.given.at("file")), *root);
    if (row.verdict == "refuses") {
      ++refused;
      CHECK(std::to_string(describe(capsule.code()).number) == row.rest);
      continue;
    }
    REQUIRE(capsule.code() == Code::ok);
    if (row.verdict == "opens") {
      CHECK(row.rest == std::to_string(capsule->blocks().size()) + " " + capsule->id().hex() + " " +
                            capsule->chain().hex() + " " + capsule->holder().hex());
    } else {
      REQUIRE((row.verdict == "allows" || row.verdict == "denies"));
      check_call(row, *capsule);
    }
  }
  return refused;
}

TEST_CASE("chains.vec: a chain is accepted whole or not at all",
          "[author][vectors][R3][R45][R47]") {
  CHECK(check_files("chains.vec") >= 30);
}

TEST_CASE("openings.vec: framing, signers and limits are asked in their order",
          "[author][vectors][R3][R13]") {
  CHECK(check_files("openings.vec") >= 35);
}

}  // namespace
}  // namespace taper::capsules
