#include "runtime/sandbox/probe.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {

TEST_CASE("a host that runs cells is of tier 2", "[sandbox][cell][R53]") {
  REQUIRE(crypto::initialise().ok());
  const ProbeReport report = probe(testing::built_program("taper-spawnd"));
  for (const Check& check : report.checks) {
    INFO(check.name << ": " << check.detail);
    CHECK(check.health != Health::fail);
    CHECK((check.health == Health::ok || !check.fix.empty()));
  }
  CHECK(report.tier == 2);
  CHECK(report.spawn_ms > 0);
  CHECK(!report.next_blocker.empty());
}

TEST_CASE("without spawnd no tool runs", "[sandbox][cell][R53][R57]") {
  REQUIRE(crypto::initialise().ok());
  const ProbeReport report = probe("/absent/taper-spawnd");
  CHECK(report.tier == 0);
  CHECK(report.next_blocker.find("cell: ") == 0);
  CHECK(Spawner::launch("/absent/taper-spawnd").code() == Code::program_missing);
  CHECK(Spawner::launch("taper-spawnd").code() == Code::program_missing);
}

}  // namespace taper::sandbox
