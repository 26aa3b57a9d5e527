#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::EndReason;
using capsules::Capsule;
using store::LeafType;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr auto kWrite = R"({"content":"x","path":"/srv/reports/today.md"})";

TEST_CASE("an allowed call carries the whole of what was allowed", "[authority][R35]") {
  Node node;
  const TaskId task = node.activated();
  const auto read = node.allowed(task, "file.read", kRead);
  const authority::PermitFacts& facts = read.permit.facts();
  CHECK(facts.task == task);
  CHECK(facts.call == read.call);
  CHECK(facts.grant == 0);
  CHECK_FALSE(facts.writes);
  REQUIRE(facts.trees.size() == 1);
  CHECK(facts.trees[0] == authority::GrantedTree{"/var/log/plant", true, false});
  CHECK(facts.deadline_boot_ms == node.clock.now().boot_ms + 900'000);
  REQUIRE(facts.inputs.size() == 1);
  CHECK(std::get<std::string>(facts.inputs[0].value) == "/var/log/plant/pump-07.log");

  const auto write = node.allowed(task, "file.write", kWrite);
  CHECK(write.permit.facts().writes);
  REQUIRE(write.permit.facts().trees.size() == 1);
  CHECK(write.permit.facts().trees[0] == authority::GrantedTree{"/srv/reports", true, true});
}

TEST_CASE("each question of a call has its own number", "[authority][R29][R35]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 100;
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "file.append", kWrite) == Code::tool_not_granted);
  CHECK(node.refused(task, "file.read", kRead, capsules::Verb::retry) == Code::verb_not_granted);
  CHECK(node.refused(task, "file.read", R"({"path":"/etc/shadow"})") == Code::argument_refused);
  CHECK(node.refused(task, "file.read", R"({"path":"/var/log/plant2"})") == Code::argument_refused);
  CHECK(node.refused(task, "file.read", R"({"path":"/var/log/plant/../x"})") ==
        Code::path_malformed);
  const std::string long_path = "/var/log/plant/" + std::string(limits::kTextBytesMax, 'x');
  CHECK(node.refused(task, "file.read", "{\"path\":\"" + long_path + "\"}") ==
        Code::path_malformed);
  CHECK(node.refused(task, "file.read", R"({})") == Code::argument_missing);
  CHECK(node.refused(task, "file.read", R"({"path":"/var/log/plant","offset":1})") ==
        Code::argument_unknown);
  CHECK(node.refused(task, "file.read", R"({"path":"/var/log/plant",})") ==
        Code::arguments_malformed);
  CHECK(node.refused(task, "file.read", R"({"max_bytes":2000000,"path":"/var/log/plant/a"})") ==
        Code::argument_refused);
  for (int i = 0; i < 5; ++i) CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_calls);
  CHECK(node.refused(task, "file.write", kWrite) == Code::ok);
  CHECK(node.refused(task, "file.write", kWrite) == Code::budget_calls);
}

TEST_CASE("the first question that fails is the answer, and the path is kept", "[authority][R59]") {
  Node node;
  const TaskId task = node.activated();
  const auto denial = node.denied(task, "file.read", R"({"path":"/etc/shadow"})");
  const auto view = authority::explain_decision(*node.store, denial.decision);
  REQUIRE(view.code() == Code::ok);
  std::vector<std::string> asked;
  for (const authority::Answer& answer : view->answers) asked.push_back(answer.question);
  CHECK(asked == std::vector<std::string>{"task live", "time", "revocation", "node policy", "grant",
                                          "tool digest", "arguments"});
  CHECK(view->answers.front().passed);
  CHECK_FALSE(view->answers.back().passed);
  CHECK(view->answers.back().expected == "path: under /var/log/plant");
  CHECK(view->answers.back().got == "a string of 13 bytes as JSON, not logged");
  CHECK(member(view->record, "number") == "504");

  const auto allowed = node.allowed(task, "file.read", kRead);
  const auto path = authority::explain_decision(*node.store, allowed.decision);
  REQUIRE(path.code() == Code::ok);
  CHECK(path->answers.size() == 11);
  CHECK(path->answers.back().question == "log quota");
  CHECK(authority::explain_decision(*node.store, DecisionId{}).code() == Code::unknown_decision);
}

TEST_CASE("every question is asked in its fixed order", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 100;
  capsule.end_on.tool_drift = false;
  capsule.grants[0].budget.calls = 0;
  capsule.grants[0].digest_kind = capsules::DigestKind::pinned;
  capsule.grants[0].digest = Hash{};
  capsule.grants[0].digest.bytes[0] = 1;
  const TaskId task = node.activated(capsule);
  constexpr auto kBad = R"({"path":"/etc/shadow"})";
  CHECK(node.refused(task, "no.such", kBad) == Code::tool_not_granted);
  CHECK(node.refused(task, "file.read", kBad) == Code::tool_digest);
  node.tools.at("file.read").digest = capsule.grants[0].digest;
  CHECK(node.refused(task, "file.read", kBad) == Code::argument_refused);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_calls);
  node.clock.advance_ms(120'000);
  CHECK(node.refused(task, "no.such", kBad) == Code::lease_over);
  REQUIRE(node.authority->begin_ending(task, EndReason::idle, node.clock.now()).ok());
  CHECK(node.refused(task, "no.such", kBad) == Code::task_not_live);
}

TEST_CASE("grants for one tool are ordered alternatives without fall-through", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 100;
  capsules::Grant second = capsule.grants[0];
  second.id = "read-more";
  second.args[0].all = {capsules::Under{"/var/log"}};
  second.budget.calls = 100;
  capsule.grants[0].budget.calls = 1;
  capsule.grants.insert(capsule.grants.begin() + 1, second);
  const TaskId task = node.activated(capsule);
  CHECK(node.allowed(task, "file.read", kRead).permit.facts().grant == 0);
  // The first that matches is chosen for good: its budget is the answer.
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_calls);
  const auto other = node.allowed(task, "file.read", R"({"path":"/var/log/syslog"})");
  CHECK(other.permit.facts().grant == 1);
  CHECK(node.refused(task, "file.read", R"({"path":"/etc/x"})") == Code::argument_refused);
}

TEST_CASE("a tool that changed ends the task", "[authority][R25]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  const Hash digest = node.tools.at("file.read").digest;
  capsule.grants[0].digest_kind = capsules::DigestKind::pinned;
  capsule.grants[0].digest = digest;
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  node.tools.at("file.read").digest.bytes[0] ^= 1U;
  const auto denial = node.denied(task, "file.read", kRead);
  CHECK(denial.error.code() == Code::tool_digest);
  CHECK(denial.ends_task == EndReason::drift);
  CHECK(node.refused(task, "file.write", kWrite) == Code::task_not_live);
  CHECK(node.end(task, denial.ends_task) == authority::TaskState::revoked);
}

TEST_CASE("a tool that does more than its grant says is refused", "[authority][R65]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.grants[0].digest_kind = capsules::DigestKind::unpinned;
  const TaskId task = node.activated(capsule);
  node.tools.at("file.read").effect = capsules::Effect::irreversible;
  CHECK(node.refused(task, "file.read", kRead) == Code::effect_exceeds);
  node.tools.erase("file.read");
  CHECK(node.refused(task, "file.read", kRead) == Code::tool_missing);
}

TEST_CASE("so many refused calls end the task", "[authority][R19]") {
  Node node;
  const TaskId task = node.activated();
  CHECK(node.denied(task, "rm", "{}").ends_task == EndReason::none);
  CHECK(node.denied(task, "rm", "{}").ends_task == EndReason::none);
  CHECK(node.denied(task, "rm", "{}").ends_task == EndReason::denials);
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);

  SECTION("also when nobody heard of the last") {
    node.restart();
    CHECK(node.show(task).state == authority::TaskState::revoked);
    CHECK(node.show(task).reason == EndReason::denials);
  }
}

TEST_CASE("bytes are reserved with the permit and settled downward", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 100;
  capsule.grants[0].budget.bytes = 1000;
  capsule.grants[0].budget.calls.reset();
  capsule.grants[0].cell.output_bytes = 600;
  const TaskId task = node.activated(capsule);
  const auto bytes_left = [&] { return node.show(task).grants[0].left.bytes; };
  const auto first = node.allowed(task, "file.read", kRead);
  CHECK(first.permit.facts().caps.output_bytes == 600);
  CHECK(bytes_left() == 400);
  const auto second = node.allowed(task, "file.read", kRead);
  CHECK(second.permit.facts().caps.output_bytes == 400);  // what is left
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_bytes);
  node.settle(first.call, authority::CallState::done, Code::ok, 100);
  CHECK(bytes_left() == 500);
  // More than was reserved cannot be charged back below nothing.
  node.settle(second.call, authority::CallState::done, Code::ok, 100'000);
  CHECK(bytes_left() == 500);
  // An unknown outcome stays charged.
  const auto third = node.allowed(task, "file.read", kRead);
  node.settle(third.call, authority::CallState::interrupted, Code::call_interrupted, 0);
  CHECK(bytes_left() == 0);
}

TEST_CASE("a task that fills its log quota ends", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.log_quota_bytes = 3000;
  capsule.end_on.denials = 100;
  capsule.grants[0].budget.calls = 100;
  const TaskId task = node.activated(capsule);
  Code code = Code::ok;
  for (int i = 0; i < 20 && code == Code::ok; ++i) code = node.refused(task, "file.read", kRead);
  CHECK(code == Code::log_quota);
  CHECK(node.end(task, EndReason::log_quota) == authority::TaskState::exhausted);
}

TEST_CASE("a record says who, what, under which grant and why", "[authority][R61][R62][R63]") {
  Node node;
  const Capsule capsule = sample_capsule(node.fleet);
  const TaskId task = node.activated(capsule);
  const auto allowed = node.allowed(task, "file.read", kRead);
  node.settle(allowed.call, authority::CallState::done, Code::ok, 123);
  const std::string decision = node.store->records(LeafType::decision).at(0);
  CHECK(member(decision, "verb") == "call");
  CHECK(member(decision, "verdict") == "allow");
  CHECK(member(decision, "grant") == "read-logs");
  CHECK(member(decision, "requester") == capsule.requester);
  CHECK(member(decision, "agent") == capsule.agent);
  CHECK(member(decision, "purpose") == capsule.purpose);
  CHECK(member(decision, "tenant") == "plant");
  CHECK(member(decision, "holder") == capsule.holder.hex());
  CHECK(member(decision, "serial") == "1");
  CHECK(member(decision, "root_version") == "1");
  CHECK(member(decision, "step") == "step-1");
  CHECK(member(decision, "arguments_digest") == crypto::hash(as_bytes(kRead)).hex());
  CHECK(member(decision, "arguments") == "(none)");
  CHECK(parsed(decision).at_pointer("/matched/path/0") != nullptr);
  // The outcome joins by call, decision, task, requester and agent.
  const std::string outcome = node.store->records(LeafType::outcome).at(0);
  for (const auto* key : {"call", "decision", "task", "requester", "agent", "capsule", "tool"}) {
    CHECK(member(outcome, key) == member(decision, key));
  }
  CHECK(member(outcome, "outcome") == "done");
  CHECK(member(outcome, "result_bytes") == "123");
}

TEST_CASE("arguments stand whole in the log only where the capsule says so", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.log_all_arguments = true;
  const TaskId task = node.activated(capsule);
  node.allowed(task, "file.read", kRead);
  CHECK(member(node.store->records(LeafType::decision).at(0), "arguments") == kRead);
}

TEST_CASE("a refused value stays out of the log unless the capsule logs arguments", "[authority]") {
  const bool whole = GENERATE(false, true);
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.log_all_arguments = whole;
  const TaskId task = node.activated(capsule);
  const authority::Denial denial = node.denied(task, "file.read", R"({"path":"/etc/hunter2"})");
  // Whoever asked hears it; the log, and what `why` reads, do not.
  CHECK(denial.error.detail().got == R"("/etc/hunter2")");
  const std::string record = node.store->records(LeafType::decision).at(0);
  CHECK((record.find("hunter2") != std::string::npos) == whole);
  const auto view = authority::explain_decision(*node.store, denial.decision);
  REQUIRE(view.ok());
  CHECK((view->record.find("hunter2") != std::string::npos) == whole);
  CHECK((view->answers.back().got.find("hunter2") != std::string::npos) == whole);
}

TEST_CASE("one task has a record of each kind", "[authority][R59]") {
  Node node;
  const TaskId task = node.activated();
  const auto allowed = node.allowed(task, "file.read", kRead);
  node.settle(allowed.call, authority::CallState::done);
  node.end(task, EndReason::cancelled);
  std::vector<std::string> verbs;
  for (const MapStore::Leaf& leaf : node.store->disk().log) {
    if (member(leaf.body, "task") == task.hex()) verbs.push_back(member(leaf.body, "verb"));
  }
  CHECK(verbs == std::vector<std::string>{"activate", "call", "outcome", "cancel", "ended"});
}

TEST_CASE("knowing a task's id gives nothing", "[authority][R8]") {
  Node node;
  const TaskId task = node.activated();
  node.restart();
  // The holder has not proved possession to this process.
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  TaskId other = task;
  other.bytes[0] ^= 1U;
  const authority::CallRequest request{other,       node.caller(task),         capsules::Verb::call,
                                       "file.read", to_bytes(as_bytes(kRead)), ""};
  CHECK(node.authority->authorise(request, node.tools, node.clock.now()).code() ==
        Code::unknown_task);
}

TEST_CASE("nothing a client sends widens what is allowed", "[authority][R7]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 100'000;
  capsule.log_quota_bytes = 1'000'000'000;
  capsule.grants[0].budget.calls.reset();
  const TaskId task = node.activated(capsule);
  const std::string base = R"({"max_bytes":100,"path":"/var/log/plant/pump-07.log"})";
  for (std::size_t at = 0; at < base.size(); ++at) {
    for (const char byte : {'/', '.', '"', '}', '9', '\0', '\xff'}) {
      std::string changed = base;
      changed[at] = byte;
      auto decision = node.call(task, "file.read", changed);
      const auto* allowed = std::get_if<authority::Allowed>(&decision);
      if (allowed == nullptr) continue;
      for (const authority::InputValue& input : allowed->permit.facts().inputs) {
        if (input.name == "path")
          CHECK(capsules::is_under(std::get<std::string>(input.value), "/var/log/plant"));
        if (input.name == "max_bytes") CHECK(std::get<std::int64_t>(input.value) <= 1'048'576);
      }
    }
  }
}

TEST_CASE("a narrowing block only takes away", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.max_depth = 2;
  capsule.end_on.denials = 100;
  const auto next_holder = crypto::SigningKey::generate();
  capsules::Block block;
  block.holder = next_holder.public_key();
  block.lease_ttl_ms = 60'000;
  block.grants = {{"read-one",
                   "read-logs",
                   {{"path", false, {capsules::Under{"/var/log/plant/a"}}}},
                   capsules::Budget{1, std::nullopt}}};
  const Bytes file =
      narrow_capsule(sign_capsule(node.fleet, capsule), block, node.fleet.holder_key);
  CHECK(node.activate(file).code() == Code::proof_wrong);  // the last holder must prove itself
  const auto activation =
      node.authority->activate(node.request(file, next_holder), node.tools, node.clock.now());
  REQUIRE(activation.code() == Code::ok);
  const TaskId task = activation->task;
  CHECK(node.refused(task, "file.read", kRead) == Code::argument_refused);
  CHECK(node.refused(task, "file.write", kWrite) == Code::tool_not_granted);
  const auto allowed = node.allowed(task, "file.read", R"({"path":"/var/log/plant/a/x"})");
  REQUIRE(allowed.permit.facts().trees.size() == 1);
  CHECK(allowed.permit.facts().trees[0].path == "/var/log/plant/a");
  CHECK(allowed.permit.facts().deadline_boot_ms == node.clock.now().boot_ms + 60'000);
  CHECK(node.refused(task, "file.read", R"({"path":"/var/log/plant/a/x"})") == Code::budget_calls);
  CHECK(node.show(task).grants[0].left.calls == 4);  // charged along the whole line
}

}  // namespace
}  // namespace taper::testing
