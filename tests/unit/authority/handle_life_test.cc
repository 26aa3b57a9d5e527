// What becomes of a call with a handle: cancelled, over its time, restarted, forgotten; and that
// asking about it changes nothing else.
#include <random>

#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::CallView;
using authority::EndReason;
using capsules::Verb;
using store::Table;

Hash some_result() { return Hash{{1, 2, 3}}; }

authority::Outcome outcome_of(CallState state, Code code = Code::ok) {
  authority::Outcome outcome;
  outcome.state = state;
  outcome.code = code;
  outcome.result_bytes = 10;
  if (state == CallState::done) outcome.result = some_result();
  return outcome;
}

struct Running : HandleNode {
  TaskId task;
  CallId call;
  Bytes file;

  explicit Running(const std::function<void(capsules::Capsule&)>& change = {},
                   std::int64_t ttl_ms = kTtlMs) {
    capsules::Capsule capsule = capsule_with_all();
    if (change) change(capsule);
    file = sign_capsule(fleet, capsule);
    const auto activation = activate(file);
    REQUIRE(activation.code() == Code::ok);
    task = activation->task;
    call = made(task, ttl_ms);
  }
  EndReason settled(const authority::Outcome& outcome) {
    const auto reason = authority->settle(call, outcome, clock.now());
    REQUIRE(reason.code() == Code::ok);
    return *reason;
  }
  void restart_and_attach() {
    restart();
    REQUIRE(activate(file).code() == Code::ok);
  }
};

TEST_CASE("a handle shows the states of its call", "[authority][R28]") {
  Running node;
  const Now made = node.clock.now();
  CallView view = node.seen(node.task, node.call);
  CHECK(view.state == CallState::authorised);
  CHECK(view.runs);
  CHECK(view.created.boot_ms == made.boot_ms);
  CHECK(view.created.wall_s == made.wall_s);
  node.clock.advance_ms(500);
  node.settled(outcome_of(CallState::done));
  view = node.seen(node.task, node.call, Verb::result);
  CHECK(view.state == CallState::done);
  CHECK_FALSE(view.runs);
  CHECK(view.result == some_result());
  CHECK(view.created.boot_ms == made.boot_ms);
  CHECK(view.updated.boot_ms == made.boot_ms + 500);
  node.restart_and_attach();
  CHECK(node.seen(node.task, node.call, Verb::result).result == some_result());
}

TEST_CASE("whatever comes after a granted cancel, the call was killed", "[authority][R27][R51]") {
  const bool strict = GENERATE(false, true);
  Running node([&](capsules::Capsule& capsule) { capsule.end_on.failure = strict; });
  CallView view = node.seen(node.task, node.call, Verb::cancel);
  CHECK(view.state == CallState::killed);
  CHECK(view.code == Code::call_cancelled);
  CHECK(view.runs);
  SECTION("done") { CHECK(node.settled(outcome_of(CallState::done)) == EndReason::none); }
  SECTION("killed") {
    CHECK(node.settled(outcome_of(CallState::killed, Code::tool_killed)) == EndReason::none);
  }
  SECTION("failed") {
    CHECK(node.settled(outcome_of(CallState::failed, Code::tool_failed)) == EndReason::none);
  }
  SECTION("a violation, which still ends the task") {
    CHECK(node.settled(outcome_of(CallState::killed, Code::violation)) == EndReason::violation);
  }
  SECTION("a restart") { node.restart(); }
  const std::string record = node.store->records(store::LeafType::outcome).back();
  CHECK(member(record, "outcome") == "killed");
  const auto past = node.authority->past_calls(node.task);
  REQUIRE(past.size() == 1);
  CHECK(past[0].state == CallState::killed);
  CHECK(past[0].code == Code::call_cancelled);
  CHECK(past[0].result.is_zero());
}

TEST_CASE("a cancel of what is over changes nothing", "[authority][R27]") {
  Running node;
  SECTION("done") { node.settled(outcome_of(CallState::done)); }
  SECTION("cancelled before") { node.seen(node.task, node.call, Verb::cancel); }
  const auto before = node.store->disk().tables[std::size_t(Table::calls)];
  const CallView view = node.seen(node.task, node.call);
  node.clock.advance_ms(10);
  const CallView after = node.seen(node.task, node.call, Verb::cancel);
  CHECK(after.state == view.state);
  CHECK(after.updated.boot_ms == view.updated.boot_ms);
  CHECK(node.store->disk().tables[std::size_t(Table::calls)] == before);
  CHECK(member(node.last_decision(), "verb") == "cancel");
}

TEST_CASE("a cancel that is not durable is none", "[authority][R50]") {
  Running node;
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
  const auto refused = node.authority->access(
      {node.task, node.caller(node.task), Verb::cancel, node.call}, node.clock.now());
  CHECK(refused.code() == Code::store_full);
  node.store->fail_at(0, MapStore::Failure::none);
  CHECK(node.seen(node.task, node.call).state == CallState::authorised);
  node.settled(outcome_of(CallState::done));
  CHECK(node.seen(node.task, node.call).state == CallState::done);
}

TEST_CASE("a call that ran is interrupted by a restart and stays readable", "[authority][R50]") {
  Running node;
  node.restart_and_attach();
  for (const Verb verb : {Verb::poll, Verb::result}) {
    const CallView view = node.seen(node.task, node.call, verb);
    CHECK(view.state == CallState::interrupted);
    CHECK(view.code == Code::call_interrupted);
    CHECK_FALSE(view.runs);
  }
  node.clock.advance_ms(kTtlMs);
  CHECK(node.refused_access(node.task, node.call) == Code::handle_unknown);
}

TEST_CASE("a running call over its time is named, killed, settled, then forgotten",
          "[authority][R9][R10]") {
  Running node([](capsules::Capsule& capsule) { capsule.end_on.failure = true; });
  authority::HandlesDue due = node.authority->handles_due(node.task, node.clock.now());
  CHECK(due.over.empty());
  CHECK(due.next_boot_ms == node.clock.now().boot_ms + kTtlMs);
  node.clock.advance_ms(kTtlMs - 1);
  CHECK(node.seen(node.task, node.call).runs);
  CHECK(node.authority->handles_due(node.task, node.clock.now()).over.empty());
  node.clock.advance_ms(1);
  due = node.authority->handles_due(node.task, node.clock.now());
  REQUIRE(due.over.size() == 1);
  CHECK(due.over[0] == node.call);
  CHECK(node.authority->handle_view(node.task, node.call)->runs);
  CHECK_FALSE(due.next_boot_ms);
  CHECK(node.refused_access(node.task, node.call) == Code::handle_unknown);
  const auto forget = [&] {
    return node.authority->forget_handle(node.task, node.call, node.clock.now()).code();
  };
  CHECK(forget() == Code::handle_unknown);  // it runs
  CHECK(node.settled(outcome_of(CallState::killed, Code::tool_killed)) == EndReason::none);
  CHECK(forget() == Code::ok);
  CHECK(forget() == Code::handle_unknown);
  CHECK(node.authority->handles_due(node.task, node.clock.now()).over.empty());
  const std::string record = node.store->records(store::LeafType::reading).back();
  CHECK(member(record, "verb") == "erase");
  CHECK(member(record, "call") == node.call.hex());
  node.restart_and_attach();
  CHECK(node.refused_access(node.task, node.call) == Code::handle_unknown);
  CHECK_FALSE(node.authority->handle_view(node.task, node.call));
}

TEST_CASE("no handle is forgotten before its time", "[authority][R9]") {
  Running node;
  node.settled(outcome_of(CallState::done));
  node.clock.advance_ms(kTtlMs - 1);
  CHECK(node.authority->forget_handle(node.task, node.call, node.clock.now()).code() ==
        Code::handle_unknown);
  CHECK(node.seen(node.task, node.call).call == node.call);
}

TEST_CASE("what a capsule keeps for its readers outlives a handle", "[authority][R39]") {
  const crypto::SigningKey reader = crypto::SigningKey::generate();
  const bool keeps = GENERATE(false, true);
  Running node([&](capsules::Capsule& capsule) {
    if (keeps) capsule.result = {{Hash{crypto::key_id(reader.public_key()).bytes}}, 3'600'000, 2};
  });
  node.settled(outcome_of(CallState::done));
  node.clock.advance_ms(kTtlMs);
  const auto due = node.authority->handles_due(node.task, node.clock.now());
  REQUIRE(due.over.size() == 1);
  REQUIRE(node.authority->forget_handle(node.task, node.call, node.clock.now()).ok());
  CHECK(node.authority->past_calls(node.task)[0].result.is_zero() != keeps);
}

TEST_CASE("no reboot, no clock and no restart gives a handle time back", "[authority][R10][R50]") {
  Running node;
  node.settled(outcome_of(CallState::done));
  SECTION("a wall clock set back") {
    node.clock.advance_ms(kTtlMs);
    node.clock.step_wall_s(-60);
  }
  SECTION("reboots, each of which costs an interval") {
    for (std::uint8_t boot = 2; boot < 8; ++boot) {
      node.clock.reboot(Node::boot(boot));
      node.restart_and_attach();
    }
  }
  SECTION("restarts, each of which costs one too") {
    for (int i = 0; i < 6; ++i) node.restart_and_attach();
  }
  CHECK(node.refused_access(node.task, node.call) == Code::handle_unknown);
}

TEST_CASE("asking does not keep a task from idling", "[authority][R17]") {
  Running node;
  node.settled(outcome_of(CallState::done));
  for (int i = 0; i < 3; ++i) {
    node.clock.advance_ms(19'000);
    node.seen(node.task, node.call);
  }
  CHECK(node.show(node.task).idle_used_ms == 57'000);
  node.clock.advance_ms(63'000);
  CHECK(node.authority->check_time(node.task, node.clock.now()) == EndReason::idle);
}

TEST_CASE("asking uses up the log quota and then ends the task", "[authority][R59]") {
  Running node([](capsules::Capsule& capsule) { capsule.log_quota_bytes = 16'384; });
  authority::Access answer;
  for (int i = 0; i < 100; ++i) {
    answer = node.access(node.task, node.call, Verb::poll);
    if (std::holds_alternative<authority::Denial>(answer)) break;
  }
  REQUIRE(std::holds_alternative<authority::Denial>(answer));
  CHECK(std::get<authority::Denial>(answer).error.code() == Code::log_quota);
  CHECK(std::get<authority::Denial>(answer).ends_task == EndReason::log_quota);
}

// Everything in the store but what an access may change: the log, the decision, the task's clocks
// and counters.
TEST_CASE("no access changes a budget, a label or a call, but a cancel its own",
          "[authority][R26][R38]") {
  Running node([](capsules::Capsule& capsule) {
    capsule.grants[0].labels = {"seen"};
    capsule.grants[0].budget.calls = 50;
    capsule.grants[0].budget.rate = capsules::Rate{100, 60'000};
    capsule.end_on.denials = 1'000'000;
    capsule.log_quota_bytes = 64 * 1024 * 1024;
  });
  std::mt19937_64 dice(7);
  std::vector<CallId> calls = {node.call};
  for (int i = 0; i < 20; ++i) calls.push_back(node.made(node.task, i % 3 == 0 ? 1 : kTtlMs));
  for (std::size_t i = 0; i < calls.size(); i += 2) node.settle(calls[i], CallState::done);
  const auto kept = [&] {
    const auto& tables = node.store->disk().tables;
    return std::tuple{tables[std::size_t(Table::budgets)], tables[std::size_t(Table::replay)],
                      tables[std::size_t(Table::activations)], node.show(node.task).labels};
  };
  const auto state = [&] {
    std::vector<std::pair<CallState, Hash>> out;
    for (const auto& call : node.authority->past_calls(node.task))
      out.emplace_back(call.state, call.result);
    return out;
  };
  const auto before = kept();
  const auto states = state();
  int allowed = 0;
  for (int i = 0; i < 500; ++i) {
    const CallId call =
        dice() % 5 == 0 ? crypto::random_id<CallId>() : calls[dice() % calls.size()];
    const Verb verb = HandleNode::kAccess[dice() % 4];
    const auto calls_before = node.store->disk().tables[std::size_t(Table::calls)];
    const auto answer = node.access(node.task, call, verb);
    const auto* view = std::get_if<CallView>(&answer);
    allowed += view != nullptr ? 1 : 0;
    const bool same = node.store->disk().tables[std::size_t(Table::calls)] == calls_before;
    CHECK((same || (verb == Verb::cancel && view != nullptr && view->runs)));
    if (i % 50 == 0) node.clock.advance_ms(5);
  }
  CHECK(allowed > 100);
  CHECK(kept() == before);
  CHECK(state() == states);
}

}  // namespace
}  // namespace taper::testing
