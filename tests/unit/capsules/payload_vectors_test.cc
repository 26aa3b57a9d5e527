// Payloads and trust roots of tests/vectors: each is read whole, or refused by number and field.
#include <algorithm>
#include <catch2/catch.hpp>

#include "capsules/open.h"
#include "capsules/secret.h"
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

template <class T>
Status read_of(const Result<T>& result) {
  if (result.ok()) return success();
  return Error(result.error());
}

TEST_CASE("payloads.vec: each fault is refused by its number and field",
          "[capsules][vectors][R3][R13][R35]") {
  std::size_t accepted = 0, refused = 0;
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "payloads.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const bool block = row.given.contains("block");
    const Bytes payload = hex(row.given.at(block ? "block" : "capsule"));
    const Status read = block ? read_of(decode_block(payload)) : read_of(decode_capsule(payload));
    if (row.verdict == "accepts") {
      ++accepted;
      CHECK(read.code() == Code::ok);
      CHECK(row.rest == crypto::hash(payload).hex());
      continue;
    }
    ++refused;
    REQUIRE_FALSE(read.ok());
    const std::size_t space = row.rest.find(' ');
    CHECK(std::to_string(describe(read.code()).number) == row.rest.substr(0, space));
    // A fault of the bytes themselves has no field's name.
    const std::string field = space == row.rest.npos ? "" : row.rest.substr(space + 1);
    if (!field.empty()) CHECK(read.error().detail().field == field);
  }
  CHECK(accepted >= 40);
  CHECK(refused >= 250);
}

TEST_CASE("roots.vec: a root is whole or refused", "[capsules][vectors][R3][R13]") {
  REQUIRE(crypto::initialise().ok());
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "roots.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const auto root = open_root(hex(row.given.at("file")));
    if (row.verdict == "opens") {
      REQUIRE(root.code() == Code::ok);
      CHECK(row.rest == std::to_string(root->data().version) + " " + root->fleet().hex());
    } else {
      REQUIRE(row.verdict == "refuses");
      CHECK(std::to_string(describe(root.code()).number) == row.rest);
    }
  }
}

TEST_CASE("secrets.vec: a box opens in its own capsule alone", "[capsules][vectors][R24][R47]") {
  REQUIRE(crypto::initialise().ok());
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "secrets.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const auto capsule = decode_capsule(hex(row.given.at("capsule")));
    REQUIRE(capsule.code() == Code::ok);
    const auto key = crypto::UnsealingKey::from_bytes(hex(row.given.at("key")));
    const std::size_t space = row.rest.find(' ');
    const std::string name = row.rest.substr(0, space), wanted = row.rest.substr(space + 1);
    const auto secret = std::ranges::find(capsule->secrets, name, &SealedSecret::name);
    REQUIRE(secret != capsule->secrets.end());
    const auto value = open_secret(*capsule, *secret, key);
    if (row.verdict == "opens") {
      REQUIRE(value.code() == Code::ok);
      CHECK(to_hex(value->bytes()) == wanted);
    } else {
      REQUIRE(row.verdict == "refuses");
      REQUIRE(value.code() == Code::secret_unsealed);
      CHECK(value.error().detail().field == "secrets." + name + "." + wanted);
    }
  }
}

}  // namespace
}  // namespace taper::capsules
