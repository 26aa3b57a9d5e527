// Calls that wait for somebody's input: what lets one go on, and what never does.
#include "runtime/authority/records.h"
#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::CallView;
using authority::EndReason;
using capsules::Verb;
using store::Table;

const Hash kAsked{{1, 2, 3}};
const Hash kAnswer{{7}};
const std::string kOther = json("/var/log/plant/other");

// A node whose task has one call that waits.
struct Waiting : HandleNode {
  TaskId task;
  CallId call;
  Bytes file;

  explicit Waiting(const std::function<void(capsules::Capsule&)>& change = {},
                   std::optional<std::int64_t> ttl_ms = kTtlMs) {
    capsules::Capsule capsule = capsule_with_all();
    if (change) change(capsule);
    file = sign_capsule(fleet, capsule);
    const auto activation = activate(file);
    REQUIRE(activation.code() == Code::ok);
    task = activation->task;
    call = made(task, ttl_ms);
    waits();
  }
  void waits() {
    authority::Outcome outcome;
    outcome.state = CallState::waiting;
    outcome.result = kAsked;
    const auto reason = authority->settle(call, outcome, clock.now());
    REQUIRE(reason.code() == Code::ok);
    CHECK(*reason == EndReason::none);
  }
  void restart_and_attach() {
    restart();
    REQUIRE(activate(file).code() == Code::ok);
  }
  authority::CallRequest next(const std::string& arguments = kPump) const {
    authority::CallRequest request{
        task, caller(task), Verb::call, "file.read", to_bytes(as_bytes(arguments)), ""};
    request.goes_on = {call, kAnswer, R"({"a":{"action":"accept"}})", "state"};
    return request;
  }
  authority::Decision decide(const authority::CallRequest& request) {
    auto decision = authority->authorise(request, tools, clock.now());
    REQUIRE(decision.code() == Code::ok);
    return std::move(decision).value();
  }
  Code went_on(const authority::CallRequest& request) {
    const auto decision = decide(request);
    const auto* denial = std::get_if<authority::Denial>(&decision);
    return denial == nullptr ? Code::ok : denial->error.code();
  }
  Code went_on() { return went_on(next()); }
  CallState state() const { return authority->past_calls(task).front().state; }
  std::int64_t calls_left() { return show(task).grants[0].left.calls.value_or(-1); }
};

TEST_CASE("a call that waits is durable, and nothing of it runs", "[authority][R43]") {
  Waiting node;
  const auto look = [&] {
    const CallView view = node.seen(node.task, node.call);
    CHECK(view.state == CallState::waiting);
    CHECK(view.code == Code::ok);
    CHECK_FALSE(view.runs);
    CHECK(view.result == kAsked);
    CHECK(node.show(node.task).state == authority::TaskState::active);
  };
  look();
  CHECK(member(node.store->records(store::LeafType::outcome).back(), "outcome") == "waiting");
  const std::int64_t left = node.calls_left();
  node.restart_and_attach();
  look();
  // A new boot, after an hour without power.
  node.clock.advance_ms(3'600'000);
  node.clock.reboot(Node::boot(2));
  node.restart_and_attach();
  look();
  CHECK(node.calls_left() == left);
  CHECK(node.store->records(store::LeafType::outcome).size() == 1);
}

TEST_CASE("an update is one decision and going on another, charged anew",
          "[authority][R43][R25][R60]") {
  Waiting node;
  const std::int64_t left = node.calls_left();
  auto updated = node.authority->access(
      {node.task, node.caller(node.task), Verb::update, node.call, kAnswer}, node.clock.now());
  REQUIRE(updated.ok());
  CHECK(std::get<CallView>(*updated).state == CallState::waiting);
  CHECK(member(node.last_decision(), "verb") == "update");
  CHECK(member(node.last_decision(), "input_digest") == kAnswer.hex());
  CHECK(node.state() == CallState::waiting);
  CHECK(node.calls_left() == left);
  const auto decision = node.decide(node.next());
  const auto& allowed = std::get<authority::Allowed>(decision);
  CHECK(allowed.call == node.call);
  CHECK(node.calls_left() == left - 1);
  const std::string record = node.last_decision();
  CHECK(member(record, "verb") == "call");
  CHECK(member(record, "call") == node.call.hex());
  CHECK(member(record, "input_digest") == kAnswer.hex());
  CHECK(member(record, "reserved_bytes") != "(none)");
  const CallView view = node.seen(node.task, node.call);
  CHECK(view.state == CallState::authorised);
  CHECK(view.runs);
  CHECK(view.result.is_zero());
  node.settle(node.call, CallState::done);
  CHECK(node.seen(node.task, node.call).state == CallState::done);
  // It may ask more than once.
  CHECK(node.authority->past_calls(node.task).size() == 1);
}

TEST_CASE("the path of a call that goes on has every question", "[authority][R43][R59]") {
  Waiting node;
  REQUIRE(node.went_on() == Code::ok);
  const auto id = DecisionId::from_hex(member(node.last_decision(), "decision"));
  const auto view = authority::explain_decision(*node.store, id.value());
  REQUIRE(view.ok());
  std::string names;
  for (const authority::Answer& answer : view->answers)
    names += (names.empty() ? "" : ", ") + answer.question;
  CHECK(names ==
        "task live, time, revocation, node policy, handle, grant, tool digest, arguments, labels, "
        "after, budgets, log quota");
}

TEST_CASE("a call goes on with its own tool and arguments alone", "[authority][R43][R36]") {
  Waiting node;
  authority::CallRequest request = node.next(kOther);
  CHECK(node.went_on(request) == Code::handle_unknown);
  request = node.next();
  request.tool = "file.write";
  CHECK(node.went_on(request) == Code::handle_unknown);
  request = node.next("{");
  CHECK(node.went_on(request) == Code::handle_unknown);
  request = node.next();
  request.goes_on->call = CallId{{9}};
  CHECK(node.went_on(request) == Code::handle_unknown);
  CHECK(member(node.last_decision(), "question") == "handle");
  CHECK(node.state() == CallState::waiting);
  // The same arguments, written otherwise.
  request = node.next(" { \"path\" : \"/var/log/plant/pump\" } ");
  CHECK(node.went_on(request) == Code::ok);
}

TEST_CASE("another's waiting call is an unknown one", "[authority][R43][R4][R48]") {
  Waiting node;
  const crypto::SigningKey other = crypto::SigningKey::generate();
  capsules::Block block;
  block.holder = other.public_key();
  block.grants = {{"theirs", "read-logs", {}, {}}};
  const Bytes narrowed = narrow_capsule(node.file, block, node.fleet.holder_key);
  const auto joined = node.activate(narrowed, other);
  REQUIRE(joined.code() == Code::ok);
  node.as = joined->chain;
  authority::CallRequest theirs = node.next();
  authority::CallRequest none = node.next();
  none.goes_on->call = CallId{{9}};
  const auto lines = [&](const authority::CallRequest& request) {
    const auto decision = node.decide(request);
    return to_line(std::get<authority::Denial>(decision).error);
  };
  CHECK(lines(theirs) == lines(none));
  CHECK(node.refused_access(node.task, node.call, Verb::update) == Code::handle_unknown);
  CHECK(node.state() == CallState::waiting);
}

TEST_CASE("what goes on takes the verbs call and update", "[authority][R43][R26]") {
  const Verb without = GENERATE(Verb::call, Verb::update);
  Waiting node([](capsules::Capsule& capsule) { capsule.max_depth = 3; });
  // The maker's own key, by a chain that goes on from his and names less.
  capsules::Block block;
  block.holder = node.fleet.holder_key.public_key();
  block.grants = {{"less", "read-logs", {}, {}}};
  for (const Verb verb : {Verb::call, Verb::poll, Verb::update})
    if (verb != without) block.grants[0].verbs.push_back(verb);
  const auto joined =
      node.activate(narrow_capsule(node.file, block, node.fleet.holder_key), node.fleet.holder_key);
  REQUIRE(joined.code() == Code::ok);
  node.as = joined->chain;
  CHECK(node.went_on() == Code::verb_not_granted);
  CHECK(node.state() == CallState::waiting);
}

TEST_CASE("of two answers one wins, and none counts after the end", "[authority][R43][R10]") {
  Waiting node;
  SECTION("one after the other") { CHECK(node.went_on() == Code::ok); }
  SECTION("in one batch") {
    const std::vector<authority::CallRequest> both = {node.next(), node.next()};
    const auto decisions = node.authority->authorise_batch(both, node.tools, node.clock.now());
    REQUIRE(decisions.size() == 2);
    CHECK(std::holds_alternative<authority::Allowed>(*decisions[0]));
    CHECK(std::get<authority::Denial>(*decisions[1]).error.code() == Code::input_unwanted);
  }
  const std::int64_t left = node.calls_left();
  CHECK(node.went_on() == Code::input_unwanted);
  CHECK(node.refused_access(node.task, node.call, Verb::update) == Code::input_unwanted);
  node.settle(node.call, CallState::done);
  CHECK(node.went_on() == Code::input_unwanted);
  CHECK(node.refused_access(node.task, node.call, Verb::update) == Code::input_unwanted);
  CHECK(node.state() == CallState::done);
  CHECK(node.calls_left() == left);
}

TEST_CASE("a cancel ends a call that waits, at once and for good", "[authority][R43][R51]") {
  Waiting node;
  const CallView view = node.seen(node.task, node.call, Verb::cancel);
  CHECK(view.state == CallState::killed);
  CHECK(view.code == Code::call_cancelled);
  CHECK_FALSE(view.runs);
  CHECK(view.result.is_zero());
  CHECK(member(node.store->records(store::LeafType::outcome).back(), "outcome") == "killed");
  const bool again = GENERATE(false, true);
  if (again) node.restart_and_attach();
  CHECK(node.seen(node.task, node.call).state == CallState::killed);
  CHECK(node.went_on() == Code::input_unwanted);
  CHECK(node.refused_access(node.task, node.call, Verb::update) == Code::input_unwanted);
}

TEST_CASE("a handle's time goes on while its call waits", "[authority][R43][R10]") {
  const bool kept = GENERATE(false, true);
  Waiting node([kept](capsules::Capsule& capsule) {
    if (kept) capsule.result = {{Hash{crypto::key_id(capsule.holder).bytes}}, 60'000, 1};
  });
  node.clock.advance_ms(kTtlMs);
  CHECK(node.went_on() == Code::handle_unknown);
  CHECK(node.refused_access(node.task, node.call, Verb::update) == Code::handle_unknown);
  REQUIRE(node.authority->handles_due(node.task, node.clock.now()).over.size() == 1);
  REQUIRE(node.authority->forget_handle(node.task, node.call, node.clock.now()).ok());
  CHECK(member(node.store->records(store::LeafType::outcome).back(), "outcome") == "killed");
  const auto past = node.authority->past_calls(node.task);
  CHECK(past[0].state == CallState::killed);
  CHECK(past[0].code == Code::input_unanswered);
  CHECK(past[0].result.is_zero());
  CHECK(node.went_on() == Code::handle_unknown);
  node.restart_and_attach();
  CHECK(node.went_on() == Code::handle_unknown);
}

TEST_CASE("idle time stands still while a call waits, and the lease does not",
          "[authority][R43][R17][R16]") {
  Waiting node([](capsules::Capsule& capsule) { capsule.lease_idle_ms = 60'000; }, 900'000);
  node.clock.advance_ms(120'000);
  CHECK(node.authority->check_time(node.task, node.clock.now()) == EndReason::none);
  const auto due = node.authority->next_due(node.task, node.clock.now());
  REQUIRE(due);
  CHECK(due->reason == EndReason::ttl);
  CHECK(node.show(node.task).idle_used_ms == 0);
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  node.clock.advance_ms(120'000);
  node.restart_and_attach();
  CHECK(node.show(node.task).idle_used_ms == 0);
  CHECK(node.show(node.task).active_ms >= 240'000);
  CHECK(node.seen(node.task, node.call).state == CallState::waiting);
  // Once it waits no more, idle time begins.
  node.seen(node.task, node.call, Verb::cancel);
  node.clock.advance_ms(60'000);
  CHECK(node.authority->check_time(node.task, node.clock.now()) == EndReason::idle);
}

TEST_CASE("a call that waits ends with its task, and nothing wakes it",
          "[authority][R43][R14][R16]") {
  Waiting node([](capsules::Capsule& capsule) { capsule.activations = 5; });
  SECTION("by an end") { node.end(node.task, EndReason::completion); }
  SECTION("by the lease") {
    node.clock.advance_ms(3'600'000);
    REQUIRE(node.authority->check_time(node.task, node.clock.now()) == EndReason::ttl);
    CHECK(node.went_on() == Code::lease_over);
    node.end(node.task, EndReason::ttl);
  }
  SECTION("by an ending that a restart completes") {
    REQUIRE(node.authority->begin_ending(node.task, EndReason::cancelled, node.clock.now()).ok());
    node.restart();
  }
  const auto calls = node.show(node.task).calls;
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].state == CallState::killed);
  CHECK(calls[0].code == Code::input_unanswered);
  CHECK(member(node.store->records(store::LeafType::outcome).back(), "outcome") == "killed");
  CHECK(node.went_on() == Code::task_not_live);
  CHECK(member(node.last_decision(), "input_digest") == kAnswer.hex());
}

TEST_CASE("the end of a call that waits is told as any outcome is", "[authority][R43][R59]") {
  Waiting node;
  std::string number = "623";
  SECTION("with its task") { node.end(node.task, EndReason::completion); }
  SECTION("with its task, after a restart") {
    REQUIRE(node.authority->begin_ending(node.task, EndReason::cancelled, node.clock.now()).ok());
    node.restart();
  }
  SECTION("by a cancel") {
    node.seen(node.task, node.call, Verb::cancel);
    number = "620";
  }
  const std::string record = node.store->records(store::LeafType::outcome).back();
  CHECK(member(record, "call") == node.call.hex());
  CHECK(record.find("\"number\":" + number) != std::string::npos);
  CHECK(record.find("\"step\":\"\"") != std::string::npos);
  CHECK(member(record, "tool") == "file.read");
  CHECK(member(record, "grant") == node.show(node.task).grants[0].id);
}

TEST_CASE("a call whose cell could not be made waits on and is charged nothing for it",
          "[authority][R43][R52]") {
  Waiting node;
  const std::int64_t before = node.calls_left();
  REQUIRE(node.went_on() == Code::ok);
  CHECK(node.calls_left() == before - 1);
  authority::Outcome outcome;
  outcome.state = CallState::waiting;
  outcome.code = Code::sandbox_setup;
  outcome.result = kAsked;
  REQUIRE(*node.authority->settle(node.call, outcome, node.clock.now()) == EndReason::none);
  CHECK(node.calls_left() == before);
  CHECK(node.state() == CallState::waiting);
  CHECK(node.seen(node.task, node.call).code == Code::ok);
  CHECK(node.store->records(store::LeafType::outcome).back().find("\"number\":701") !=
        std::string::npos);
  CHECK(node.went_on() == Code::ok);
}

TEST_CASE("no restart lets a call go on, nor mends one that went on", "[authority][R43][R52]") {
  Waiting node;
  node.restart();
  CHECK(node.state() == CallState::waiting);
  CHECK(node.went_on() == Code::task_not_live);  // until its holder proves himself
  REQUIRE(node.activate(node.file).code() == Code::ok);
  CHECK(node.went_on() == Code::ok);
  node.restart_and_attach();
  CHECK(node.state() == CallState::interrupted);
  CHECK(node.went_on() == Code::input_unwanted);
}

TEST_CASE("what is not durable has not happened to a call that waits", "[authority][R43][R50]") {
  Waiting node;
  const std::int64_t left = node.calls_left();
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
  SECTION("going on") {
    const auto decision = node.authority->authorise(node.next(), node.tools, node.clock.now());
    CHECK(decision.code() == Code::store_full);
  }
  SECTION("a cancel") {
    const auto refused = node.authority->access(
        {node.task, node.caller(node.task), Verb::cancel, node.call}, node.clock.now());
    CHECK(refused.code() == Code::store_full);
  }
  node.store->fail_at(0, MapStore::Failure::none);
  CHECK(node.seen(node.task, node.call).state == CallState::waiting);
  CHECK(node.calls_left() == left);
  node.clock.advance_ms(10);
  CHECK(node.went_on() == Code::ok);
  node.settle(node.call, CallState::done);
  CHECK(node.state() == CallState::done);
}

TEST_CASE("a plain call that asks gets a handle for a while", "[authority][R43][R9]") {
  Waiting node([](capsules::Capsule& capsule) { capsule.lease_ttl_ms = 3'600'000; }, std::nullopt);
  const CallView view = node.seen(node.task, node.call);
  CHECK(view.state == CallState::waiting);
  CHECK(view.ttl_ms == limits::kInputPlainMs);
  const bool late = GENERATE(false, true);
  if (late) node.clock.advance_ms(limits::kInputPlainMs);
  CHECK(node.went_on() == (late ? Code::handle_unknown : Code::ok));
}

TEST_CASE("a call that waits goes on only as the rules are then", "[authority][R43][R18][R31]") {
  Code wanted = Code::ok;
  Waiting node([](capsules::Capsule& capsule) {
    capsule.grants[0].refuse_after = {"tainted"};
    capsule.grants[0].budget.calls = 2;
    capsules::Grant other = capsule.grants[0];
    other.id = "taint";
    other.tool = "file.stat";
    other.refuse_after = {};
    other.labels = {"tainted"};
    capsule.grants.push_back(other);
    capsule.end_on.tool_drift = true;
  });
  SECTION("its budget is spent") {
    node.made(node.task, std::nullopt);
    wanted = Code::budget_calls;
  }
  SECTION("a label shuts it") {
    node.settle(node.allowed(node.task, "file.stat", kPump).call, CallState::done);
    wanted = Code::label_refused;
  }
  SECTION("its tool is another") {
    node.tools.at("file.read").effect = capsules::Effect::irreversible;
    wanted = Code::effect_exceeds;
  }
  SECTION("its tool is gone") {
    node.tools.erase("file.read");
    wanted = Code::tool_missing;
  }
  CHECK(node.went_on() == wanted);
  CHECK(node.state() == CallState::waiting);
}

TEST_CASE("a call goes on with its own tool, also where its grant pins none",
          "[authority][R43][R18]") {
  Waiting node([](capsules::Capsule& capsule) {
    capsule.grants[0].digest_kind = capsules::DigestKind::unpinned;
  });
  node.tools.at("file.read").digest.bytes[0] ^= 1;
  CHECK(node.went_on() == Code::handle_unknown);
  CHECK(node.state() == CallState::waiting);
  node.tools.at("file.read").digest.bytes[0] ^= 1;
  CHECK(node.went_on() == Code::ok);
}

TEST_CASE("idle time counts from the end of a wait, whoever notices it when",
          "[authority][R43][R17]") {
  Waiting node([](capsules::Capsule& capsule) { capsule.lease_idle_ms = 120'000; });
  node.clock.advance_ms(kTtlMs + 119'000);
  SECTION("in one life") {
    CHECK(node.authority->check_time(node.task, node.clock.now()) == EndReason::none);
    node.clock.advance_ms(1'000);
    CHECK(node.authority->check_time(node.task, node.clock.now()) == EndReason::idle);
  }
  SECTION("noticed before it is over") {
    REQUIRE(node.authority->forget_handle(node.task, node.call, node.clock.now()).ok());
    CHECK(node.show(node.task).idle_used_ms == 119'000);
    node.clock.advance_ms(1'000);
    CHECK(node.authority->check_time(node.task, node.clock.now()) == EndReason::idle);
  }
  SECTION("in the next life") {
    node.clock.advance_ms(1'000);
    node.restart();
    CHECK(node.show(node.task).reason == EndReason::idle);
  }
}

TEST_CASE("only its maker answers, by the grant that the call was made by",
          "[authority][R43][R45]") {
  const bool delegate = GENERATE(false, true);
  Waiting node;
  const crypto::SigningKey other = crypto::SigningKey::generate();
  const crypto::SigningKey& key = delegate ? other : node.fleet.holder_key;
  capsules::Block block;
  block.holder = key.public_key();
  block.grants = {{"mine", "read-logs", {}, {}, {}, {}, {Verb::call, Verb::poll, Verb::update}}};
  const auto joined = node.activate(narrow_capsule(node.file, block, node.fleet.holder_key), key);
  REQUIRE(joined.code() == Code::ok);
  node.as = joined->chain;
  CHECK(node.seen(node.task, node.call).state == CallState::waiting);
  // A chain of the maker's own that goes on from the first has the same line.
  CHECK(node.went_on() == (delegate ? Code::handle_unknown : Code::ok));
}

TEST_CASE("no other chain of its maker's key answers a call", "[authority][R43][R45]") {
  HandleNode node;
  const Bytes file = sign_capsule(node.fleet, node.capsule_with_all());
  const auto whole = node.activate(file);
  REQUIRE(whole.code() == Code::ok);
  capsules::Block block;
  block.holder = node.fleet.holder_key.public_key();
  block.grants = {{"less", "read-logs", {}, {}}};
  const auto narrowed =
      node.activate(narrow_capsule(file, block, node.fleet.holder_key), node.fleet.holder_key);
  REQUIRE(narrowed.code() == Code::ok);
  node.as = narrowed->chain;
  const CallId call = node.made(whole->task);
  node.settle(call, CallState::waiting);
  node.as = whole->chain;  // wider than the chain that made it
  CHECK(node.seen(whole->task, call).state == CallState::waiting);
  CHECK(node.refused_access(whole->task, call, Verb::update) == Code::handle_unknown);
}

TEST_CASE("the id of a call that waits is its own", "[authority][R43]") {
  Waiting node([](capsules::Capsule& capsule) { capsule.grants[0].idempotency = "path"; });
  CHECK(node.refused(node.task, "file.read", kPump) == Code::idempotency_reused);
  CHECK(node.went_on() == Code::ok);
  CHECK(node.refused(node.task, "file.read", kPump) == Code::idempotency_reused);
}

TEST_CASE("a record that waits without a handle is none", "[authority][R43]") {
  authority::CallRecord record;
  record.state = CallState::waiting;
  CHECK(authority::decode_call(authority::encode_call(record)).code() == Code::store_corrupt);
  record.handle.emplace().arguments = kAsked;
  CHECK(authority::decode_call(authority::encode_call(record)).ok());
  record.state = CallState::done;
  CHECK(authority::decode_call(authority::encode_call(record)).code() == Code::store_corrupt);
}

}  // namespace
}  // namespace taper::testing
