// The signed grants are the only boundary: whatever is done to the plan, to its inputs or to the
// node's tools, nothing beyond the grants is ever allowed. What is allowed is judged here by words
// of this test's own.
#include <random>

#include "runtime/broker/arguments.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::Allowed;
using authority::CallState;
using capsules::Value;
using capsules::Verb;

constexpr int kRounds = 80;  // each on a node of its own, whose store stays small
constexpr int kCasesPerRound = 25;
constexpr int kCases = kRounds * kCasesPerRound;

using Chance = std::mt19937_64;
std::size_t below(Chance& chance, std::size_t count) {
  return std::uniform_int_distribution<std::size_t>(0, count - 1)(chance);
}
template <class List>
const auto& one_of(Chance& chance, const List& list) {
  return list[below(chance, list.size())];
}

const std::vector<std::string> kTools = {"file.read", "file.write",   "file.append", "file.list",
                                         "file.stat", "http.request", "time.now",    "nothing"};
const std::vector<std::string> kNames = {"path",   "content",     "max_bytes",
                                         "offset", "max_entries", "extra"};
const std::vector<std::string> kValues = {R"("/var/log/plant/pump-07.log")",
                                          R"("/var/log/plant")",
                                          R"("/var/log/plantation")",
                                          R"("/var/log/plant/../../x")",
                                          R"("/srv/reports/today.md")",
                                          R"("/srv/reports/today.md/")",
                                          R"("/etc/shadow")",
                                          R"("/")",
                                          R"("")",
                                          R"("text")",
                                          "1",
                                          "1048576",
                                          "1048577",
                                          "-1",
                                          "true",
                                          "null",
                                          "[]",
                                          R"({"path":"/etc/shadow"})",
                                          R"({"$input":"in"})",
                                          R"({"$item":true})",
                                          R"({"$step":"s0","at":"/text"})",
                                          R"({"$step":"s0","at":""})",
                                          R"("/var/log/plant/\u0000")"};
const std::vector<std::string> kInputs = {"/var/log/plant/a", "/etc/passwd", "[\"/etc/passwd\"]",
                                          "/srv/reports/today.md", ""};

// Half of the paths are good ones, and most calls name nothing strange: enough must be allowed.
std::string random_args(Chance& chance) {
  const std::vector<std::string> good = {R"("/var/log/plant/pump-07.log")",
                                         R"("/srv/reports/today.md")"};
  capsules::Object args;
  for (const std::string& name : kNames) {
    const bool path = name == "path";
    const std::size_t odds = path ? 1 : name == "content" ? 3 : 12;
    if (below(chance, odds) != 0) continue;
    const bool well = path && below(chance, 2) == 0;
    const auto value = capsules::parse_value(as_bytes(one_of(chance, well ? good : kValues)), 1000);
    if (value) args.emplace_back(name, *value);
  }
  return capsules::write_canonical(Value(std::move(args)));
}

capsules::Plan random_plan(Chance& chance) {
  capsules::Plan plan;
  plan.inputs = {"in"};
  const std::size_t steps = 1 + below(chance, 8);
  for (std::size_t i = 0; i < steps; ++i) {
    capsules::Step step;
    step.id = "s" + std::to_string(i);
    step.tool = below(chance, 3) == 0 ? one_of(chance, kTools) : kTools[below(chance, 2)];
    step.args = random_args(chance);
    if (below(chance, 3) == 0) {
      step.on_error = capsules::OnError::retry;
      step.retries = 2;
    }
    if (below(chance, 3) == 0) {
      step.for_each =
          one_of(chance, std::vector<std::string>{R"(["/var/log/plant/a","/etc/shadow"])",
                                                  R"({"$input":"in"})",
                                                  R"(["/srv/reports/today.md"])", "[]", "[1,2,3]"});
      step.for_each_max = 2;
    }
    plan.steps.push_back(step);
  }
  return plan;
}

// The node's tools, as anyone who may write there could have left them.
authority::Tools random_tools(Chance& chance) {
  authority::Tools tools = authority::builtin_tools();
  for (auto& [name, tool] : tools) {
    switch (below(chance, 40)) {
      case 0: tool.digest.bytes[0] ^= 1U; break;
      case 1: tool.effect = capsules::Effect::read; break;
      case 2: tool.effect = capsules::Effect::irreversible; break;
      case 3: tool.inputs.clear(); break;
      case 4: tool.inputs.push_back({"extra", capsules::InputType::json, true}); break;
      default: break;
    }
  }
  if (below(chance, 4) == 0) tools.erase(one_of(chance, kTools));
  return tools;
}

// What the two grants of the sample capsule say, once more.
bool granted(const std::string& tool, const std::string& args) {
  const auto value = capsules::parse_value(as_bytes(args), args.size());
  if (!value || value->object() == nullptr) return false;
  const Value* path = value->find("path");
  if (path == nullptr || path->text() == nullptr) return false;
  const std::string& text = *path->text();
  if (text.find("..") != text.npos || text.find('\0') != text.npos) return false;
  for (const auto& [name, member] : *value->object()) {
    const bool known = name == "path" || name == (tool == "file.read" ? "max_bytes" : "content");
    if (!known) return false;
    if (name == "max_bytes" && (member.integer() == nullptr || *member.integer() > 1'048'576))
      return false;
  }
  if (tool == "file.read") return text == "/var/log/plant" || text.starts_with("/var/log/plant/");
  return tool == "file.write" && text == "/srv/reports/today.md" &&
         value->find("content") != nullptr;
}

struct Tally {
  int calls = 0, allowed = 0, retries = 0;
  std::map<std::string, int> by_tool;
};

// One call; whether it was allowed. Every outcome is a failure, so that retries are asked for.
bool ask(Node& node, const TaskId& task, const std::string& tool, const Bytes& args, Verb verb,
         Tally& tally) {
  ++tally.calls;
  const authority::CallRequest request{task, node.caller(task), verb, tool, args, "s"};
  auto decision = node.authority->authorise(request, node.tools, node.clock.now());
  REQUIRE(decision.code() == Code::ok);
  auto* allowed = std::get_if<Allowed>(&*decision);
  if (allowed == nullptr) return false;
  INFO(tool << " " << as_text(args));
  CHECK(granted(tool, std::string(as_text(args))));
  ++tally.allowed;
  tally.retries += verb == Verb::retry ? 1 : 0;
  ++tally.by_tool[tool];
  node.settle(allowed->call, CallState::failed, Code::tool_failed);
  return true;
}

void run_step(Node& node, const TaskId& task, const capsules::Step& step,
              const std::map<std::string, std::string>& inputs, Tally& tally) {
  const auto result = [](std::string_view) {
    return std::optional<std::string>(R"({"text":"/etc/x"})");
  };
  std::vector<Value> items(1);
  if (!step.for_each.empty()) {
    auto found = broker::items_of(step, {inputs, result});
    if (!found) return;
    CHECK(found->size() <= step.for_each_max);
    items = std::move(*found);
  }
  for (const Value& item : items) {
    const auto args = broker::fill_arguments(
        step.args, {inputs, result, step.for_each.empty() ? nullptr : &item});
    if (!args) continue;
    if (!ask(node, task, step.tool, *args, Verb::call, tally)) continue;
    for (std::uint32_t i = 0; i < step.retries; ++i)
      ask(node, task, step.tool, *args, Verb::retry, tally);
  }
}

// One task of a plan, inputs and tools that nobody vouches for.
void run_case(Chance& chance, Node& node, Tally& all) {
  capsules::Capsule capsule = sample_capsule(node.fleet);
  const bool retries = below(chance, 2) == 0;
  if (retries) capsule.grants[0].verbs.push_back(Verb::retry);
  capsule.end_on.denials = 1'000'000;
  capsule.end_on.tool_drift = below(chance, 2) == 0;
  capsule.plan = random_plan(chance);
  const std::map<std::string, std::string> inputs = {{"in", one_of(chance, kInputs)}};
  node.tools = random_tools(chance);
  // A plan that does not decode is not run at all.
  const auto activation = node.authority->activate(
      node.request(sign_capsule(node.fleet, capsule), node.fleet.holder_key, inputs), node.tools,
      node.clock.now());
  if (!activation) return;
  if (below(chance, 3) == 0) node.tools = random_tools(chance);  // and changed under the task
  Tally tally;
  for (const capsules::Step& step : capsule.plan.steps)
    run_step(node, activation->task, step, inputs, tally);
  CHECK(tally.by_tool["file.read"] <= 5);
  CHECK(tally.by_tool["file.write"] <= 1);
  if (!retries) CHECK(tally.retries == 0);
  all.calls += tally.calls;
  all.allowed += tally.allowed;
  all.retries += tally.retries;
  node.end(activation->task, authority::EndReason::failure);
}

TEST_CASE("no change of plan, inputs or tools widens what is allowed", "[broker][R7][R29][R36]") {
  Chance chance(20'261'121);
  Tally all;
  for (int round = 0; round < kRounds; ++round) {
    Node node;
    for (int i = 0; i < kCasesPerRound; ++i) run_case(chance, node, all);
  }
  // The test sees something: calls of each kind were made and some were allowed.
  CAPTURE(all.calls, all.allowed, all.retries);
  CHECK(all.calls > kCases);
  CHECK(all.allowed > kCases / 20);
  CHECK(all.retries > 0);
}

}  // namespace
}  // namespace taper::testing
