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

TEST_CASE("payloads.vec: each fault is refused by its number and field",
          "[capsules][vectors][R3][R13][R35]") {
  std::size_t accepted = 0, refused = 0;
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "payloads.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const Bytes payload = hex(row.given.at("capsule"));
    const auto capsule = decode_capsule(payload);
    if (row.verdict == "accepts") {
      ++accepted;
      CHECK(capsule.code() == Code::ok);
      CHECK(row.rest == crypto::hash(payload).hex());
      continue;
    }
    ++refused;
    REQUIRE_FALSE(capsule.ok());
    const std::size_t space = row.rest.find(' ');
    CHECK(std::to_string(describe(capsule.code()).number) == row.rest.substr(0, space));
    // A fault of the bytes themselves has no field's name.
    const std::string field = space == row.rest.npos ? "" : row.rest.substr(space + 1);
    if (!field.empty()) CHECK(capsule.error().detail().field == field);
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
