// The rules of time, as functions over what is known and what the clocks show.
#include "runtime/authority/time.h"

#include <catch2/catch.hpp>
#include <random>

#include "runtime/base/limits.h"
#include "tests/support/capsule_maker.h"

namespace taper::testing {
namespace {

using namespace taper::authority;

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDayMs = 24 * kHourMs;
constexpr std::int64_t kYearS = 365 * limits::kDayS;

BootId boot(std::uint8_t number) {
  BootId id;
  id.bytes[0] = number;
  return id;
}

struct Host {
  ManualClock clock{{5'000'000, kNowS, boot(1)}};
  TimeState state = raise({}, kRootIssuedS, clock.now());
  std::uint8_t boots = 1;

  Now now() const { return clock.now(); }
  void carry_on() { state = carry(state, now()); }
  void reboot(std::int64_t wall_s) {
    clock.reboot(boot(++boots));
    clock.step_wall_s(wall_s - now().wall_s);
    carry_on();
  }
  Estimate known(std::int64_t issued_at_s = 0) const { return estimate(state, issued_at_s, now()); }
};

TEST_CASE("the signed bound goes on with the boot clock, less its drift", "[authority][R13]") {
  Host host;
  host.clock.advance_ms(1'000'000);
  CHECK(host.known().least_s == kRootIssuedS + 999);
  CHECK(host.known().least_source == TimeSource::signed_bound);
  host.state = raise(host.state, kRootIssuedS - 1000, host.now());
  CHECK(host.known().least_s == kRootIssuedS + 999);
  host.state = raise(host.state, kNowS, host.now());
  CHECK(host.known().least_s == kNowS);
  // Through a suspend, which CLOCK_BOOTTIME counts; not through time without power.
  host.clock.advance_ms(10 * kDayMs);
  CHECK(host.known().least_s >= kNowS + 9 * limits::kDayS);
  const std::int64_t before = host.state.hard_ms;
  host.reboot(kNowS + 20 * limits::kDayS);
  CHECK(host.state.hard_ms == before);
}

TEST_CASE("a boot with a dead clock is behind, and knows a bound", "[authority][R13]") {
  Host host;
  host.reboot(0);
  CHECK(host.known().standing == TimeAssurance::behind);
  CHECK(host.known().s == kRootIssuedS);
  CHECK(host.known().source == TimeSource::signed_bound);
  host.clock.step_wall_s(kRootIssuedS - limits::kClockStepToleranceS);
  CHECK(host.known().standing == TimeAssurance::bounded);
  host.clock.step_wall_s(-1);
  CHECK(host.known().standing == TimeAssurance::behind);
}

TEST_CASE("a step of 20 years denies, persists nowhere and heals", "[authority][R13]") {
  Host host;
  host.clock.step_wall_s(20 * kYearS);
  CHECK(host.known().s == kNowS + 20 * kYearS);
  CHECK(host.known().source == TimeSource::wall);
  for (int i = 0; i < 100; ++i) {
    host.clock.advance_ms(60'000);
    host.carry_on();
  }
  CHECK(host.state.soft_s == 0);
  host.clock.step_wall_s(-20 * kYearS);
  host.carry_on();
  CHECK(host.known().s == kNowS + 6000);
  CHECK(host.known().standing == TimeAssurance::bounded);
  host.reboot(kNowS + 6100);
  CHECK(host.known().s == kNowS + 6100);
  CHECK(host.known().standing == TimeAssurance::bounded);
}

TEST_CASE("a settled wall clock is the next boot's bound, and no sooner", "[authority][R13]") {
  Host host;
  host.clock.advance_ms(limits::kWallSettledMs - 1000);
  host.carry_on();
  CHECK(host.state.soft_s == 0);
  SECTION("a step begins it anew") {
    host.clock.step_wall_s(limits::kClockStepToleranceS + 1);
    host.clock.advance_ms(1000);
    host.carry_on();
    CHECK(host.state.soft_s == 0);
    CHECK(host.state.settled_ms == 0);
  }
  SECTION("it counts after a reboot alone") {
    host.clock.advance_ms(1000);
    host.carry_on();
    const std::int64_t soft = host.state.soft_s;
    CHECK(soft == kNowS + limits::kWallSettledMs / 1000);
    CHECK(host.known().least_source == TimeSource::signed_bound);
    host.reboot(0);
    CHECK(host.known().least_s == soft);
    CHECK(host.known().least_source == TimeSource::earlier_boots);
    CHECK(host.known().standing == TimeAssurance::behind);
  }
  SECTION("it is not believed far ahead") {
    host.state = raise({}, kNowS - limits::kWallAheadS - 600, host.now());
    for (int i = 0; i < 20; ++i) {
      host.clock.advance_ms(60'000);
      host.carry_on();
    }
    CHECK(host.state.soft_s == 0);
  }
}

TEST_CASE("the answer to a challenge anchors, for a time and for this boot", "[authority][R13]") {
  Host host;
  host.reboot(0);
  const auto anchored = with_anchor(host.state, kNowS, kNowS + 20, 0, host.now());
  REQUIRE(anchored);
  host.state = *anchored;
  CHECK(host.known().standing == TimeAssurance::anchored);
  CHECK(host.known().s == kNowS + 20);
  CHECK(host.known().source == TimeSource::anchor);
  CHECK(host.known().least_s == kNowS);
  SECTION("the wall clock is not asked") {
    host.clock.step_wall_s(20 * kYearS);
    CHECK(host.known().s == kNowS + 20);
  }
  SECTION("it widens with the drift, and ends") {
    host.clock.advance_ms(limits::kTimeAnchorMs - 1);
    CHECK(host.known().standing == TimeAssurance::anchored);
    CHECK(host.known().anchored_ms == 1);
    CHECK(host.known().s >= kNowS + 20 + limits::kTimeAnchorMs / 1000 + 86);
    CHECK(host.known().least_s <= kNowS + limits::kTimeAnchorMs / 1000 - 86);
    host.clock.advance_ms(1);
    CHECK(host.known().standing == TimeAssurance::behind);
  }
  SECTION("a boot ends it, and what it bounded from below stays") {
    host.reboot(0);
    CHECK(host.known().standing == TimeAssurance::behind);
    CHECK(host.known().least_s == kNowS);
    CHECK_FALSE(host.state.anchor);
  }
  SECTION("it counts from when its challenge was made") {
    host.state = with_anchor(host.state, kNowS, kNowS + 20, 3600'000, host.now()).value();
    CHECK(host.known().s == kNowS + 20 + 3604);
  }
  SECTION("a boot clock that ran backward has none") {
    host.clock.advance_ms(-1);
    CHECK(host.known().standing == TimeAssurance::behind);
  }
}

TEST_CASE("an answer mends what wall clocks spoiled, not what was signed", "[authority][R13]") {
  Host host;
  host.clock.step_wall_s(80 * limits::kDayS);  // within what is believed
  host.carry_on();
  host.clock.advance_ms(2 * limits::kWallSettledMs);
  host.carry_on();
  host.reboot(kNowS);
  CHECK(host.known().standing == TimeAssurance::behind);
  SECTION("the base falls") {
    host.state = with_anchor(host.state, kNowS, kNowS + 5, 0, host.now()).value();
    CHECK(host.known().s == kNowS + 5);
    host.reboot(kNowS + 60);
    CHECK(host.known().standing == TimeAssurance::bounded);
  }
  SECTION("the signed bound does not") {
    host.state = raise(host.state, kNowS, host.now());
    CHECK_FALSE(with_anchor(host.state, kNowS - 100, kNowS - 1, 0, host.now()));
    CHECK(with_anchor(host.state, kNowS - 100, kNowS, 0, host.now()));
  }
  SECTION("a wall clock beyond an anchor is not taken in again") {
    host.state = with_anchor(host.state, kNowS, kNowS + 5, 0, host.now()).value();
    host.clock.step_wall_s(80 * limits::kDayS);
    host.carry_on();
    host.clock.advance_ms(2 * limits::kWallSettledMs);
    host.carry_on();
    CHECK(host.state.soft_s <= kNowS + 3000);
  }
}

TEST_CASE("a capsule's date of issue is a bound for it alone", "[authority][R13]") {
  Host host;
  CHECK(host.known(kNowS + 500).s == kNowS + 500);
  CHECK(host.known(kNowS + 500).least_source == TimeSource::capsule);
  CHECK(host.known(kNowS + 500).standing == TimeAssurance::behind);
  CHECK(host.known().standing == TimeAssurance::bounded);
  CHECK(host.known().s == kNowS);
}

TEST_CASE("steps of the wall clock, against the boot clock", "[authority][R13]") {
  const Now at{1'000'000, kNowS, boot(1)};
  const auto step = [&at](std::int64_t boot_ms, std::int64_t wall_s, std::uint8_t number = 1) {
    return step_s(at, {at.boot_ms + boot_ms, kNowS + wall_s, boot(number)});
  };
  CHECK(step(60'000, 60) == 0);
  CHECK(step(60'000, 60 + limits::kClockStepToleranceS) == 0);
  CHECK(step(60'000, 61 + limits::kClockStepToleranceS) == limits::kClockStepToleranceS + 1);
  CHECK(step(60'000, 59 - limits::kClockStepToleranceS) == -limits::kClockStepToleranceS - 1);
  // Without power the wall clock may go on as far as it likes, and never back.
  CHECK(step(-1'000'000, 20 * kYearS, 2) == 0);
  CHECK(step(-1'000'000, -20 * kYearS, 2) == -20 * kYearS);
  CHECK(set_back(at, {at.boot_ms, kNowS - 121, boot(1)}));
  CHECK_FALSE(set_back(at, {at.boot_ms, kNowS + 121, boot(1)}));
}

TEST_CASE("no reading of the clocks overflows", "[authority][R13]") {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t wall : {kLeast, std::int64_t{0}, kMost}) {
    for (const std::int64_t ms : {kLeast, std::int64_t{0}, kMost}) {
      TimeState state = raise({}, kMost, {ms, wall, boot(1)});
      state.anchor = TimeAnchor{ms, ms};
      const Estimate known =
          estimate(carry(state, {0, wall, boot(1)}), kLeast, {kMost, wall, boot(1)});
      CHECK(known.s >= known.least_s);
    }
  }
}

// An honest centre and a host whose clocks are anything: what is told is compared with the truth.
TEST_CASE("random histories of clocks never move the signed bounds past the truth",
          "[authority][R13]") {
  std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{401}));
  std::mt19937_64 random(seed);
  const auto below = [&random](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most));
  };
  Host host;
  std::int64_t truth_ms = kNowS * 1000;
  std::int64_t hard = host.state.hard_ms;
  for (int i = 0; i < 300; ++i) {
    const std::int64_t ms = below(below(2) == 0 ? 900'000 : 3 * kDayMs);
    switch (below(8)) {
      case 0: host.clock.step_wall_s(below(40 * kYearS) - 20 * kYearS); break;
      case 1:  // power off; a clock that is dead, forged or right
        truth_ms += ms;
        host.reboot(below(3) == 0 ? 0 : below(2) == 0 ? below(4 * kNowS) : truth_ms / 1000);
        break;
      case 2: host.state = raise(host.state, truth_ms / 1000 - below(kYearS), host.now()); break;
      case 3: {
        const std::int64_t lo_s = truth_ms / 1000 - below(3600);
        // Answered an age ago, by a boot clock that ran off.
        const std::int64_t age = below(host.now().boot_ms < kHourMs ? 1 : kHourMs);
        const std::int64_t hi_s = (truth_ms - age) / 1000 + 1 + below(3600);
        const auto next =
            with_anchor(host.state, lo_s - age / 1000 - 1, hi_s, age - age / 2000, host.now());
        REQUIRE(next);
        host.state = *next;
        break;
      }
      case 4: host.clock.step_wall_s(truth_ms / 1000 - host.now().wall_s); break;
      default: {  // the boot clock runs off by less than half of what is believed
        truth_ms += ms;
        host.clock.advance_ms(ms + ms * (below(9) - 4) / 10'000);
      }
    }
    if (below(2) == 0) host.carry_on();
    const TimeState at = carry(host.state, host.now());
    const Estimate known = host.known();
    REQUIRE(at.hard_ms <= truth_ms);
    REQUIRE(host.state.hard_ms >= hard);  // what was written down
    REQUIRE(known.s >= known.least_s);
    if (known.standing == TimeAssurance::anchored) REQUIRE(known.s * 1000 >= truth_ms);
    hard = host.state.hard_ms;
  }
  // Repaired, no host stays without use.
  host.clock.step_wall_s(truth_ms / 1000 - host.now().wall_s);
  const auto mended = with_anchor(host.state, truth_ms / 1000, truth_ms / 1000 + 1, 0, host.now());
  REQUIRE(mended);
  CHECK(estimate(*mended, 0, host.now()).s <= truth_ms / 1000 + 2);
  CHECK(estimate(*mended, 0, host.now()).standing == TimeAssurance::anchored);
}

}  // namespace
}  // namespace taper::testing
