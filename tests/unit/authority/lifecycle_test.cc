#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using authority::TaskState;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

TEST_CASE("no call starts after a task has ended", "[authority][R14]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  const TaskId task = node.activate(file)->task;
  const auto call = node.allowed(task, "file.read", kRead);
  SECTION("completed") {
    node.settle(call.call, CallState::done);
    CHECK(node.end(task, EndReason::completion) == TaskState::completed);
  }
  SECTION("cancelled, for good") {
    CHECK(node.end(task, EndReason::cancelled) == TaskState::cancelled);
  }
  SECTION("by its operator") {
    CHECK(node.end(task, EndReason::operator_kill) == TaskState::revoked);
  }
  authority::Outcome late;
  late.state = CallState::done;
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  CHECK(node.activate(file).code() == Code::activations_spent);
  CHECK(node.authority->begin_ending(task, EndReason::ttl, node.clock.now()).code() ==
        Code::task_terminal);
  CHECK(node.authority->finish(task, node.clock.now()).code() == Code::task_terminal);
  CHECK(node.authority->settle(call.call, late, node.clock.now()).code() == Code::task_terminal);
  node.restart();
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  CHECK(is_terminal(node.show(task).state));
}

TEST_CASE("an ending task stops at once and keeps its first reason", "[authority][R14]") {
  Node node;
  const TaskId task = node.activated();
  const auto call = node.allowed(task, "file.read", kRead);
  CHECK(node.authority->finish(task, node.clock.now()).code() == Code::already_live);
  REQUIRE(node.authority->begin_ending(task, EndReason::cancelled, node.clock.now()).ok());
  REQUIRE(node.authority->begin_ending(task, EndReason::completion, node.clock.now()).ok());
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  CHECK_FALSE(node.authority->next_due(task, node.clock.now()));
  // A late outcome is recorded and changes nothing.
  CHECK(node.settle(call.call, CallState::failed, Code::violation) == EndReason::none);
  CHECK(node.show(task).state == TaskState::ending);
  CHECK(*node.authority->finish(task, node.clock.now()) == TaskState::cancelled);
  CHECK(node.show(task).calls.at(0).state == CallState::failed);
}

TEST_CASE("an ending that could not be written still stops the task", "[authority][R14]") {
  Node node;
  const TaskId task = node.activated();
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
  CHECK(node.authority->begin_ending(task, EndReason::cancelled, node.clock.now()).code() ==
        Code::store_full);
  const authority::CallRequest request{task,        node.caller(task),         capsules::Verb::call,
                                       "file.read", to_bytes(as_bytes(kRead)), ""};
  CHECK(node.authority->authorise(request, node.tools, node.clock.now()).code() ==
        Code::store_full);
  CHECK_FALSE(node.authority->next_due(task, node.clock.now()));
  // Whoever looks at its time ends it, as soon as that can be written.
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::cancelled);
  // A disk that has room again does not wake it.
  node.store->fail_at(0, MapStore::Failure::none);
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  CHECK(node.end(task, EndReason::cancelled) == authority::TaskState::cancelled);
}

TEST_CASE("no permit without a commit", "[authority]") {
  Node node;
  const TaskId task = node.activated();
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
  const authority::CallRequest request{task,        node.caller(task),         capsules::Verb::call,
                                       "file.read", to_bytes(as_bytes(kRead)), ""};
  CHECK(node.authority->authorise(request, node.tools, node.clock.now()).code() ==
        Code::store_full);
  CHECK(node.authority->past_calls(task).empty());
}

TEST_CASE("an outcome ends the task where its capsule says so", "[authority][R15]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  SECTION("failure") {
    capsule.end_on.failure = true;
    const TaskId task = node.activated(capsule);
    const auto call = node.allowed(task, "file.read", kRead);
    CHECK(node.settle(call.call, CallState::failed, Code::tool_failed) == EndReason::failure);
    CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
    CHECK(node.end(task, EndReason::failure) == TaskState::failed);
  }
  SECTION("failure that it bears") {
    const TaskId task = node.activated(capsule);
    const auto call = node.allowed(task, "file.read", kRead);
    CHECK(node.settle(call.call, CallState::failed, Code::tool_failed) == EndReason::none);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  }
  SECTION("violation") {
    const TaskId task = node.activated(capsule);
    const auto call = node.allowed(task, "file.read", kRead);
    CHECK(node.settle(call.call, CallState::killed, Code::violation) == EndReason::violation);
    CHECK(node.end(task, EndReason::violation) == TaskState::revoked);
  }
}

TEST_CASE("the lease ends a task between two calls", "[authority][R13][R25]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.lease_idle_ms = 900'000;
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  const auto due = node.authority->next_due(task, node.clock.now());
  REQUIRE(due);
  CHECK(due->boot_ms == node.clock.now().boot_ms + 900'000);
  CHECK(due->reason == EndReason::ttl);
  node.clock.advance_ms(899'999);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::none);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  node.clock.advance_ms(1);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::ttl);
  const auto denial = node.denied(task, "file.read", kRead);
  CHECK(denial.error.code() == Code::lease_over);
  CHECK(denial.ends_task == EndReason::ttl);
  CHECK(node.end(task, EndReason::ttl) == TaskState::expired);
}

TEST_CASE("idle counts only while no call runs", "[authority][R17]") {
  Node node;
  const TaskId task = node.activated();
  const auto call = node.allowed(task, "file.read", kRead);
  node.clock.advance_ms(300'000);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::none);
  node.settle(call.call, CallState::done);
  const auto due = node.authority->next_due(task, node.clock.now());
  REQUIRE(due);
  CHECK(due->reason == EndReason::idle);
  CHECK(due->boot_ms == node.clock.now().boot_ms + 120'000);
  node.clock.advance_ms(60'000);
  CHECK(node.refused(task, "rm", "{}") == Code::tool_not_granted);  // no activity
  node.clock.advance_ms(60'000);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::idle);
}

TEST_CASE("not_after ends a running lease", "[authority][R16]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.not_after_s = kNowS + 60;
  const TaskId task = node.activated(capsule);
  CHECK(node.allowed(task, "file.read", kRead).permit.facts().deadline_boot_ms ==
        node.clock.now().boot_ms + 60'000);
  node.clock.advance_ms(60'000);
  CHECK(node.denied(task, "file.read", kRead).error.code() == Code::window_closed);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::window);
}

// The last ending, which a clock's step brought: what the clock should have shown, what it showed,
// and how far apart that is.
void tells_both_times(const Node& node) {
  const auto endings = node.store->records(store::LeafType::ending);
  REQUIRE_FALSE(endings.empty());
  CHECK_THAT(member(endings.back(), "expected"), Catch::Contains("20"));
  CHECK_THAT(member(endings.back(), "got"), Catch::Contains("before"));
  CHECK_THAT(member(endings.back(), "got"), Catch::Contains("wall clock"));
}

TEST_CASE("a clock set back gives no time and ends the task", "[authority][R10][R13]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.not_after_s = kNowS + 600;
  capsule.lease_idle_ms = 900'000;
  SECTION("as the capsule's tripwire") {
    const TaskId task = node.activated(capsule);
    node.clock.step_wall_s(-limits::kClockStepToleranceS - 1);
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::clock);
    const auto denial = node.denied(task, "file.read", kRead);
    CHECK(denial.error.code() == Code::time_behind);
    CHECK(denial.ends_task == EndReason::clock);
    CHECK(node.end(task, EndReason::clock) == TaskState::revoked);
    tells_both_times(node);
  }
  SECTION("also where something else is written first") {
    const TaskId task = node.activated(capsule);
    const auto call = node.allowed(task, "file.read", kRead);
    node.clock.step_wall_s(-limits::kClockStepToleranceS - 1);
    SECTION("an outcome") { CHECK(node.settle(call.call, CallState::done) == EndReason::none); }
    SECTION("the time") { CHECK(node.authority->persist_time(node.clock.now()).ok()); }
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::clock);
    CHECK(node.denied(task, "file.read", kRead).ends_task == EndReason::clock);
  }
  SECTION("by steps of which none is large") {
    const TaskId task = node.activated(capsule);
    for (int step = 0; step < 3; ++step) {
      CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::none);
      node.clock.step_wall_s(-limits::kClockStepToleranceS / 2);
      CHECK(node.authority->persist_time(node.clock.now()).ok());
    }
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::clock);
  }
  SECTION("a small correction is borne") {
    const TaskId task = node.activated(capsule);
    node.clock.step_wall_s(-limits::kClockStepToleranceS + 1);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  }
  SECTION("without the tripwire the boot clock still ends it") {
    capsule.end_on.clock_step = false;
    const TaskId task = node.activated(capsule);
    node.clock.step_wall_s(-3000);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
    node.clock.step_wall_s(-10'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::time_behind);
    node.clock.advance_ms(900'000);
    CHECK(node.authority->check_time(task, node.clock.now()) != EndReason::clock);
    CHECK(node.refused(task, "file.read", kRead) != Code::ok);
  }
  SECTION("across a reboot") {
    const TaskId task = node.activated(capsule);
    node.clock.reboot(Node::boot(2));
    node.clock.step_wall_s(-86'400);
    node.restart();
    CHECK(node.show(task).state == TaskState::revoked);
    CHECK(node.show(task).reason == EndReason::clock);
    tells_both_times(node);
  }
}

TEST_CASE("what ends a task and the end are one commit", "[authority][R10][R51]") {
  // The process is gone before it says any more, and nothing tells the next one of the cause.
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  SECTION("a refusal: the clock") {
    const TaskId task = node.activated(capsule);
    node.clock.step_wall_s(-limits::kClockStepToleranceS - 1);
    CHECK(node.denied(task, "file.read", kRead).ends_task == EndReason::clock);
    node.restart();
    CHECK(node.show(task).reason == EndReason::clock);
  }
  SECTION("a refusal: the policy, which is another again") {
    const TaskId task = node.activated(capsule);
    node.authority->follow(authority::nothing_at_all());
    CHECK(node.denied(task, "file.read", kRead).ends_task == EndReason::drift);
    node.authority->follow({});
    node.restart();
    CHECK(node.show(task).reason == EndReason::drift);
  }
  SECTION("an outcome") {
    const TaskId task = node.activated(capsule);
    const auto call = node.allowed(task, "file.read", kRead);
    CHECK(node.settle(call.call, CallState::killed, Code::violation) == EndReason::violation);
    node.restart();
    CHECK(node.show(task).reason == EndReason::violation);
    CHECK(node.show(task).state == TaskState::revoked);
  }
}

TEST_CASE("news that grows too old ends the task", "[authority][R25]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.max_revocation_age_s = kNowS - kRootIssuedS + 60;
  const TaskId task = node.activated(capsule);
  const auto due = node.authority->next_due(task, node.clock.now());
  REQUIRE(due);
  CHECK(due->reason == EndReason::stale);
  node.clock.advance_ms(due->boot_ms - node.clock.now().boot_ms);
  const auto denial = node.denied(task, "file.read", kRead);
  CHECK(denial.error.code() == Code::revocation_stale);
  CHECK(denial.ends_task == EndReason::stale);
}

}  // namespace
}  // namespace taper::testing
