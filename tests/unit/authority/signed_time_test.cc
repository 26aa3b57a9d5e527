// Time that is brought by hand, and what rests on it.
#include "capsules/signed_time.h"
#include "runtime/authority/time_report.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using authority::TaskState;
using capsules::Capsule;
using capsules::SignedTime;
using capsules::TimeAssurance;
using capsules::TimeChallenge;
using store::LeafType;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr std::int64_t kYearS = 365 * limits::kDayS;

// A node whose root, of version 2, lists a time key and ends in 30 days.
struct TimedNode : Node {
  TimedNode() {
    REQUIRE(next_root([this](capsules::TrustRootData& next) {
              next.expires_s = kNowS + 30 * limits::kDayS;
              next.time_keys = {time_key.public_key()};
            }) == Code::ok);
  }

  Code next_root(const std::function<void(capsules::TrustRootData&)>& change) {
    capsules::TrustRootData next = authority->root()->data();
    next.version += 1;
    next.fleet = fleet.fleet;
    next.previous = authority->root()->hash();
    change(next);
    const Bytes file = sign_root(next, {&fleet.root_key});
    return authority->import_root(file, std::nullopt, clock.now()).code();
  }

  TimeChallenge challenge() {
    const auto made = authority->time_challenge(clock.now());
    REQUIRE(made.code() == Code::ok);
    return capsules::decode_time_challenge(*made).value();
  }
  Bytes signed_by(const crypto::SigningKey& key, const SignedTime& time) const {
    const Bytes payload = capsules::encode_time(time).value();
    return capsules::frame_time(
        payload, {crypto::key_id(key.public_key()), key.sign(crypto::statement::kTime, payload)});
  }
  Bytes answer(const TimeChallenge& asked, std::int64_t s) const {
    return signed_by(time_key, {s, 10, asked, {}});
  }
  Bytes beacon(std::int64_t s) const { return signed_by(time_key, {s, 10, {}, {}}); }
  Code import(const Bytes& file) { return authority->import_time(file, clock.now()).code(); }
  authority::TimeReport report() const {
    return authority::time_report(*store, clock.now()).value();
  }
  TimeAssurance standing() const { return report().estimate.standing; }
  void dead_clock_boot() {
    clock.reboot(boot(2));
    clock.step_wall_s(-clock.now().wall_s);
    restart();
  }
  Capsule anchored_capsule() {
    Capsule capsule = sample_capsule(fleet);
    capsule.time_assurance = TimeAssurance::anchored;
    capsule.lease_idle_ms = 900'000;
    return capsule;
  }

  crypto::SigningKey time_key = crypto::SigningKey::generate();
};

TEST_CASE("a boot with a dead clock works again by an answer", "[authority][R13]") {
  TimedNode node;
  node.dead_clock_boot();
  CHECK(node.activate(sign_capsule(node.fleet, sample_capsule(node.fleet))).code() ==
        Code::time_behind);
  const TimeChallenge asked = node.challenge();
  node.clock.advance_ms(600'000);  // carried there and back
  REQUIRE(node.import(node.answer(asked, kNowS + 300)) == Code::ok);
  CHECK(node.standing() == TimeAssurance::anchored);
  // The answer may have been given as soon as it was asked, so it may be that late.
  CHECK(node.report().estimate.s == kNowS + 300 + 10 + 601);
  CHECK(node.report().estimate.least_s == kNowS + 290);
  CHECK(node.report().anchor_age_ms == 0);
  CHECK(node.store->records(LeafType::beacon).size() == 1);
  const TaskId task = node.activated(node.anchored_capsule());
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  SECTION("through a restart of the process") {
    node.restart();
    CHECK(node.standing() == TimeAssurance::anchored);
  }
  SECTION("not through one of the host") {
    node.clock.reboot(Node::boot(3));
    node.restart();
    CHECK(node.standing() == TimeAssurance::behind);
    CHECK(node.report().estimate.least_s >= kNowS + 290);
  }
}

TEST_CASE("what rests on an anchor is refused when it is over", "[authority][R13][R25][R57]") {
  TimedNode node;
  REQUIRE(node.import(node.answer(node.challenge(), kNowS)) == Code::ok);
  Capsule capsule = node.anchored_capsule();
  capsule.max_revocation_age_s = 7 * limits::kDayS;
  capsule.not_after_s = kNowS + 2 * limits::kDayS;
  node.clock.advance_ms(limits::kTimeAnchorMs - 60'000);
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  node.clock.advance_ms(60'000);
  const auto denial = node.denied(task, "file.read", kRead);
  CHECK(denial.error.code() == Code::time_assurance);
  CHECK(denial.ends_task == EndReason::none);
  CHECK(denial.error.detail().expected.starts_with("anchored, which is not before "));
  CHECK(denial.error.detail().got.find("by the wall clock") != std::string::npos);
  REQUIRE(node.import(node.answer(node.challenge(), node.clock.now().wall_s)) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
}

TEST_CASE("each answer that does not count has its own refusal", "[authority][R9][R10][R13]") {
  TimedNode node;
  const TimeChallenge asked = node.challenge();
  SECTION("used already") {
    REQUIRE(node.import(node.answer(asked, kNowS)) == Code::ok);
    CHECK(node.import(node.answer(asked, kNowS)) == Code::time_nonce);
    node.restart();
    CHECK(node.import(node.answer(asked, kNowS)) == Code::time_nonce);
  }
  SECTION("never asked") {
    TimeChallenge other = asked;
    other.nonce.bytes[0] ^= 1U;
    CHECK(node.import(node.answer(other, kNowS)) == Code::time_nonce);
  }
  SECTION("asked before the last sixteen") {
    for (std::size_t i = 0; i < limits::kTimeNoncesMax; ++i) (void)node.challenge();
    CHECK(node.import(node.answer(asked, kNowS)) == Code::time_nonce);
  }
  SECTION("too late") {
    node.clock.advance_ms(limits::kTimeNonceMs);
    const TimeChallenge later = node.challenge();
    CHECK(node.import(node.answer(asked, node.clock.now().wall_s)) == Code::ok);
    node.clock.advance_ms(limits::kTimeNonceMs + 1);
    CHECK(node.import(node.answer(later, node.clock.now().wall_s)) == Code::time_nonce_stale);
  }
  SECTION("for another host") {
    TimeChallenge other = asked;
    other.node.bytes[0] ^= 1U;
    CHECK(node.import(node.answer(other, kNowS)) == Code::time_other_node);
    other = asked;
    other.incarnation.bytes[0] ^= 1U;
    CHECK(node.import(node.answer(other, kNowS)) == Code::time_other_node);
  }
  SECTION("for another boot") {
    node.clock.reboot(Node::boot(2));
    node.restart();
    CHECK(node.import(node.answer(asked, kNowS)) == Code::time_other_boot);
    // Also where the boot that asks pretends to be the one that was asked for.
    TimeChallenge other = asked;
    other.boot = Node::boot(2);
    CHECK(node.import(node.answer(other, kNowS)) == Code::time_nonce);
  }
  SECTION("beyond the root's end, by a clock ten years ahead") {
    CHECK(node.import(node.answer(asked, kNowS + 10 * kYearS)) == Code::time_beyond_root);
    CHECK(node.import(node.beacon(kNowS + 10 * kYearS)) == Code::time_beyond_root);
    CHECK(node.report().signed_s < kNowS);
    CHECK(node.import(node.answer(asked, kNowS)) == Code::ok);
  }
}

TEST_CASE("signed time counts as its bytes and its signer stand", "[authority][R13]") {
  TimedNode node;
  const TimeChallenge asked = node.challenge();
  SECTION("by a key that is no time key") {
    CHECK(node.import(node.signed_by(node.fleet.issuer_key, {kNowS, 10, asked, {}})) ==
          Code::time_signer);
  }
  SECTION("changed anywhere") {
    const Bytes whole = node.answer(asked, kNowS);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      Bytes changed = whole;
      changed[at] ^= 1U;
      CHECK(node.import(changed) != Code::ok);
    }
    Bytes longer = whole;
    longer.push_back(0);
    CHECK(node.import(longer) == Code::envelope_malformed);
    CHECK(node.import(whole) == Code::ok);
  }
  SECTION("of another kind of statement") {
    const Bytes payload = capsules::encode_time({kNowS, 10, asked, {}}).value();
    const Bytes file =
        capsules::frame_time(payload, {crypto::key_id(node.time_key.public_key()),
                                       node.time_key.sign(crypto::statement::kRoot, payload)});
    CHECK(node.import(file) == Code::signature_wrong);
  }
}

TEST_CASE("a signed time without a challenge is a lower bound alone", "[authority][R13]") {
  TimedNode node;
  REQUIRE(node.import(node.beacon(kNowS)) == Code::ok);
  CHECK(node.standing() == TimeAssurance::bounded);
  CHECK(node.report().signed_s == kNowS - 10);
  const std::size_t records = node.store->records(LeafType::beacon).size();
  // Again, and after a newer one: nothing changes and nothing is written.
  CHECK(node.import(node.beacon(kNowS)) == Code::ok);
  CHECK(node.import(node.beacon(kNowS - 86'400)) == Code::ok);
  CHECK(node.store->records(LeafType::beacon).size() == records);
  CHECK(node.report().signed_s == kNowS - 10);
}

TEST_CASE("a signed bound that was taken in outlasts a power cut", "[authority][R13]") {
  TimedNode node;
  REQUIRE(node.import(node.beacon(kNowS)) == Code::ok);
  // Known by now from the boot clock, which a power cut takes away.
  node.clock.advance_ms(2 * limits::kDayS * 1000);
  SECTION("while one process ran") {}
  SECTION("by one that has just started") { node.restart(); }
  REQUIRE(node.report().signed_s > kNowS + limits::kDayS);
  REQUIRE(node.import(node.beacon(kNowS + limits::kDayS)) == Code::ok);
  node.clock.reboot(Node::boot(3));
  node.restart();
  CHECK(node.report().signed_s >= kNowS + limits::kDayS - 10);
}

TEST_CASE("a root takes back a time that was signed too far ahead", "[authority][R13]") {
  TimedNode node;
  const std::int64_t ahead_s = kNowS + 29 * limits::kDayS;
  const Bytes wrong = node.beacon(ahead_s);
  REQUIRE(node.import(wrong) == Code::ok);
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  REQUIRE(node.activate(file).code() != Code::ok);
  const crypto::SigningKey fresh_key = crypto::SigningKey::generate();
  const auto reset = [&](const crypto::SigningKey& key) {
    return node.next_root([&](capsules::TrustRootData& next) {
      next.time_reset = true;
      next.issued_at_s = kNowS;
      next.time_keys = {key.public_key()};
    });
  };
  SECTION("and works again, also after a restart and another boot") {
    REQUIRE(reset(fresh_key) == Code::ok);
    CHECK(node.report().signed_s == kNowS);
    node.restart();
    CHECK(node.report().signed_s == kNowS);
    node.clock.reboot(Node::boot(3));
    node.restart();
    CHECK(node.report().signed_s == kNowS);
    CHECK(node.activate(file).code() == Code::ok);
  }
  SECTION("what the key of before signed counts no more") {
    REQUIRE(reset(fresh_key) == Code::ok);
    CHECK(node.import(wrong) == Code::time_signer);
    CHECK(node.report().signed_s == kNowS);
  }
  SECTION("not with a time key of before") {
    CHECK(reset(node.time_key) == Code::root_malformed);
    CHECK(node.report().signed_s == ahead_s - 10);
  }
  SECTION("an anchor is forgotten with it") {
    REQUIRE(node.import(node.answer(node.challenge(), ahead_s)) == Code::ok);
    REQUIRE(reset(fresh_key) == Code::ok);
    CHECK(node.standing() == TimeAssurance::bounded);
  }
  SECTION("a root that does not say so lowers nothing") {
    REQUIRE(node.next_root([](capsules::TrustRootData& next) { next.issued_at_s = kNowS; }) ==
            Code::ok);
    CHECK(node.report().signed_s == ahead_s - 10);
  }
}

TEST_CASE("a window opens no earlier for an answer that was long under way", "[authority][R13]") {
  TimedNode node;
  Capsule capsule = node.anchored_capsule();
  capsule.not_before_s = kNowS + 1800;
  capsule.not_after_s = kNowS + 7200;
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TimeChallenge asked = node.challenge();
  const Bytes answer = node.answer(asked, kNowS);
  node.clock.advance_ms(3'600'000);
  // The answer may have been given an hour ago, or just now.
  REQUIRE(node.import(answer) == Code::ok);
  CHECK(node.report().estimate.s >= kNowS + 3600);
  CHECK(node.activate(file).code() == Code::window_not_open);
  node.clock.advance_ms(1'900'000);
  CHECK(node.activate(file).code() == Code::ok);
}

TEST_CASE("an answer before what was signed is a conflict and lowers nothing", "[authority][R13]") {
  TimedNode node;
  REQUIRE(node.import(node.beacon(kNowS + limits::kDayS)) == Code::ok);
  const TimeChallenge asked = node.challenge();
  const Status taken = node.authority->import_time(node.answer(asked, kNowS), node.clock.now());
  REQUIRE(taken.code() == Code::time_conflict);
  CHECK(taken.error().detail().expected ==
        "not before " + format_utc_s(kNowS + limits::kDayS - 10));
  CHECK(taken.error().detail().got.find("23h 59m before") != std::string::npos);
  CHECK(node.report().signed_s == kNowS + limits::kDayS - 10);
  CHECK(node.standing() == TimeAssurance::behind);
  CHECK(member(node.store->records(LeafType::beacon).back(), "verdict") == "conflict");
  CHECK(node.import(node.answer(asked, kNowS + limits::kDayS)) == Code::time_nonce);
}

TEST_CASE("signed time is taken in whatever the clock shows", "[authority][R13]") {
  for (const std::int64_t wall : {-kNowS, std::int64_t{0}, 20 * kYearS}) {
    TimedNode node;
    node.clock.step_wall_s(wall);
    CHECK(node.import(node.answer(node.challenge(), kNowS)) == Code::ok);
    CHECK(node.standing() == TimeAssurance::anchored);
  }
}

TEST_CASE("a write that fails takes no time in and spends no challenge", "[authority][R13][R50]") {
  TimedNode node;
  const TimeChallenge asked = node.challenge();
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
  CHECK(node.import(node.answer(asked, kNowS)) == Code::store_full);
  CHECK(node.standing() == TimeAssurance::bounded);
  node.restart();
  CHECK(node.import(node.answer(asked, kNowS)) == Code::ok);
}

TEST_CASE("a step of the wall clock is in the log once", "[authority][R13]") {
  Node node;
  const auto steps = [&node] { return node.store->records(LeafType::time_step).size(); };
  REQUIRE(node.authority->note_clock(node.clock.now()).ok());
  CHECK(steps() == 0);
  node.clock.step_wall_s(20 * kYearS);
  REQUIRE(node.authority->note_clock(node.clock.now()).ok());
  REQUIRE(node.authority->note_clock(node.clock.now()).ok());
  CHECK(steps() == 1);
  const std::string record = node.store->records(LeafType::time_step).back();
  CHECK(member(record, "by_s") == std::to_string(20 * kYearS));
  CHECK(member(record, "due") == format_utc_s(kNowS));
  // Repaired while nothing ran: the next process finds it.
  node.clock.step_wall_s(-20 * kYearS);
  node.restart();
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  CHECK(steps() == 2);
  CHECK(node.activate(sign_capsule(node.fleet, sample_capsule(node.fleet))).code() == Code::ok);
  CHECK(steps() == 2);
}

TEST_CASE("a node without tasks carries its time over a power cut", "[authority][R13]") {
  Node node;
  const auto least_s = [&node] {
    return authority::time_report(*node.store, node.clock.now()).value().estimate.least_s;
  };
  const std::int64_t before = least_s();
  node.clock.advance_ms(limits::kIdlePersistMs);
  const std::uint64_t commits = node.store->commits();
  const std::size_t records = node.store->disk().log.size();
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  CHECK(node.store->commits() == commits + 1);
  CHECK(node.store->disk().log.size() == records);
  node.clock.reboot(Node::boot(2));
  node.clock.step_wall_s(-node.clock.now().wall_s);
  node.restart();
  CHECK(least_s() >= before + limits::kIdlePersistMs / 1000 - 1);
}

TEST_CASE("a step of 20 years refuses, and heals with its repair", "[authority][R10][R13]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  node.clock.step_wall_s(20 * kYearS);
  const auto refused = node.activate(file);
  REQUIRE(refused.code() == Code::window_closed);
  CHECK(refused.error().detail().got.find("by the wall clock, ") != std::string::npos);
  for (int i = 0; i < 30; ++i) {
    node.clock.advance_ms(60'000);
    static_cast<void>(node.activate(file));
  }
  node.clock.step_wall_s(-20 * kYearS);
  CHECK(node.activate(file).code() == Code::ok);
}

TEST_CASE("stricter caps hold while no signed time anchors the node's", "[authority][R13][R56]") {
  TimedNode node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.lease_idle_ms = 900'000;
  capsule.offline = capsules::OfflineCaps{300'000, 120'000};
  const auto left = [&node](const TaskId& task) {
    const auto due = node.authority->next_due(task, node.clock.now());
    REQUIRE(due);
    return due->boot_ms - node.clock.now().boot_ms;
  };
  SECTION("not anchored") {
    const TaskId task = node.activated(capsule);
    CHECK(left(task) == 120'000);
    CHECK(node.authority->remaining(task, node.caller(task), {}, node.clock.now())->lease_ms ==
          300'000);
    const auto allowed = node.allowed(task, "file.read", kRead);
    CHECK(allowed.permit.facts().deadline_boot_ms == node.clock.now().boot_ms + 300'000);
    node.clock.advance_ms(300'000);
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::ttl);
    CHECK(node.denied(task, "file.read", kRead).error.code() == Code::lease_over);
  }
  SECTION("idle for longer than they allow") {
    const TaskId task = node.activated(capsule);
    node.clock.advance_ms(120'000);
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::idle);
  }
  SECTION("anchored, the lease is whole") {
    REQUIRE(node.import(node.answer(node.challenge(), kNowS)) == Code::ok);
    const TaskId task = node.activated(capsule);
    CHECK(left(task) == 900'000);
    node.clock.advance_ms(600'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  }
  SECTION("the anchor ends in the midst of the lease") {
    REQUIRE(node.import(node.answer(node.challenge(), kNowS)) == Code::ok);
    node.clock.advance_ms(limits::kTimeAnchorMs - 600'000);
    capsule.not_after_s = kNowS + 2 * limits::kDayS;
    capsule.max_revocation_age_s = 7 * limits::kDayS;
    const TaskId task = node.activated(capsule);
    CHECK(left(task) == 600'000);
    node.clock.advance_ms(600'000);
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::ttl);
  }
}

TEST_CASE("a time of day holds only while the time is anchored", "[authority][R29]") {
  TimedNode node;
  Capsule capsule = sample_capsule(node.fleet);
  constexpr std::int32_t kOfDay = kNowS % limits::kDayS;
  capsule.grants[0].args[0].all.emplace_back(capsules::TimeOfDay{kOfDay - 60, kOfDay + 120, 0});
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "file.read", kRead) == Code::argument_refused);
  REQUIRE(node.import(node.answer(node.challenge(), kNowS)) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  SECTION("and wherever in its bounds the time may be") {
    node.clock.advance_ms(108'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
    node.clock.advance_ms(1'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::argument_refused);
  }
  SECTION("whatever the wall clock shows") {
    node.clock.step_wall_s(3600);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  }
}

TEST_CASE("a time of day begins when it surely has", "[authority][R29]") {
  TimedNode node;
  Capsule capsule = sample_capsule(node.fleet);
  constexpr std::int32_t kOfDay = kNowS % limits::kDayS;
  capsule.grants[0].args[0].all.emplace_back(capsules::TimeOfDay{kOfDay + 1, kOfDay + 120, 0});
  const TaskId task = node.activated(capsule);
  REQUIRE(node.import(node.answer(node.challenge(), kNowS)) == Code::ok);
  // At the latest it has begun, at the earliest it has not.
  node.clock.advance_ms(2'000);
  CHECK(node.refused(task, "file.read", kRead) == Code::argument_refused);
  node.clock.advance_ms(58'000);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
}

TEST_CASE("a step of the clock keeps no full disk from counting a lease", "[authority][R13][R50]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.clock_step = false;
  const TaskId task = node.activated(capsule);
  node.store->fail_at(1, MapStore::Failure::full);
  node.clock.step_wall_s(480);
  node.clock.advance_ms(60'000);
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  CHECK(node.store->records(LeafType::time_step).empty());
  node.clock.reboot(Node::boot(3));
  CHECK(node.show(task).active_ms >= 60'000);
  // The step is told when there is room again.
  node.store->fail_at(1, MapStore::Failure::none);
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  CHECK(node.store->records(LeafType::time_step).size() == 1);
}

TEST_CASE("a suspended host uses up idle time", "[authority][R13][R17]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  const TaskId task = node.activated(capsule);
  // CLOCK_BOOTTIME counts suspend, and so does the wall clock.
  node.clock.advance_ms(capsule.lease_idle_ms);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::idle);
  CHECK(node.denied(task, "file.read", kRead).error.code() == Code::lease_over);
}

}  // namespace
}  // namespace taper::testing
