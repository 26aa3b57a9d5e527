// What a session or an agent's run asks of the authority, without either: calls with handles and
// all the verbs about them, the start of a program, up to the end of the task.
#include <fstream>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/owned_state.h"
#include "tests/crash/sweep/scenario.h"
#include "tests/support/child_process.h"

namespace taper::crash {
namespace {

using authority::Authority;
using authority::CallState;
using capsules::Verb;

constexpr std::int64_t kLongTtlMs = 3'600'000;
constexpr std::int64_t kShortTtlMs = 1;
constexpr const char* kParked = "parked";

Result<authority::Activation> activate(World& world, const broker::OwnedState& owned,
                                       const authority::Tools& tools, const Now& now) {
  Authority& authority = *owned.authority;
  authority::ActivationRequest request;
  TAPER_TRY(request.capsule_file, read_file(world.capsule(), limits::kCapsuleBytesMax));
  request.challenge = authority.challenge();
  TAPER_TRY(const auto opened, capsules::open(request.capsule_file, *authority.root()));
  request.proof = world.options(world.capsule())
                      .prove(authority::activation_statement(
                          authority.root()->fleet(), owned.facts.node, owned.facts.incarnation,
                          opened.chain(), request.challenge, {}));
  return authority.activate(request, tools, now);
}

Result<CallId> create(Authority& authority, authority::CallRequest request, std::int64_t ttl_ms,
                      const authority::Tools& tools, const Now& now) {
  request.handle_ttl_ms = ttl_ms;
  TAPER_TRY(const auto decision, authority.authorise(request, tools, now));
  const auto* allowed = std::get_if<authority::Allowed>(&decision);
  if (allowed == nullptr) return std::get<authority::Denial>(decision).error;
  return allowed->call;
}

Status settle(Authority& authority, const CallId& call, CallState state, const Now& now) {
  authority::Outcome outcome;
  outcome.state = state;
  outcome.result = crypto::hash(as_bytes("result"));
  TAPER_CHECK(authority.settle(call, outcome, now));
  return success();
}

authority::CallRequest parked_call(const World& world, const TaskId& task, const Hash& chain) {
  const std::string arguments = R"({"content":"","path":")" + world.effects_file() + "\"}";
  return {task, chain, Verb::call, "file.append", to_bytes(as_bytes(arguments)), kParked};
}

// Its effect comes after the answer alone. A call that was cut off meanwhile waits no more.
Status answer(World& world, Authority& authority, const authority::CallRequest& call,
              const CallId& waits, const authority::Tools& tools, const Now& now) {
  const Hash digest = crypto::hash(as_bytes("{}"));
  TAPER_CHECK(authority.access({call.task, call.chain, Verb::update, waits, digest}, now));
  authority::CallRequest next = call;
  next.goes_on = {waits, digest, "{}", std::nullopt};
  TAPER_TRY(const auto decision, authority.authorise(next, tools, now));
  if (!std::holds_alternative<authority::Allowed>(decision)) return Error(Code::internal);
  std::ofstream(world.effects_file(), std::ios::app) << kParked << '\n';
  return settle(authority, waits, CallState::done, now);
}

authority::Tool program() {
  authority::Tool tool;
  tool.name = "planner";
  tool.kind = authority::ToolKind::agent;
  tool.effect = capsules::Effect::read;
  tool.argv = {{"/usr/bin/true", "", false, {}}};
  define_tool(tool);
  return tool;
}

}  // namespace

// A call waits when everything stops.
void park_call(World& world) {
  use_handles(world);
  world.shared().plan.kind = fault_none;
  world.shared().plan.at = 0;
  const Ended parked = world.run([&world]() -> Status {
    const SystemClock clock;
    TAPER_TRY(const broker::OwnedState owned, broker::own_state(world.state(), "", clock.now()));
    const authority::Tools tools = authority::builtin_tools();
    TAPER_TRY(const auto activation, activate(world, owned, tools, clock.now()));
    const auto request = parked_call(world, activation.task, activation.chain);
    TAPER_TRY(const CallId call, create(*owned.authority, request, kLongTtlMs, tools, clock.now()));
    return settle(*owned.authority, call, CallState::waiting, clock.now());
  });
  TAPER_ASSERT(parked.status == 0);
}

// It is answered in another life, beside calls that wait until they are cancelled or their task
// ends.
Status answer_call(World& world) {
  const SystemClock clock;
  TAPER_TRY(const broker::OwnedState owned, broker::own_state(world.state(), "", clock.now()));
  Authority& authority = *owned.authority;
  const authority::Tools tools = authority::builtin_tools();
  const auto activation = activate(world, owned, tools, clock.now());
  if (activation.code() == Code::activations_spent) return success();  // by an earlier life
  if (!activation) return activation.error();
  const auto& [task, chain, holder, resumed, joined] = *activation;
  const auto request = parked_call(world, task, chain);
  for (const authority::PastCall& call : authority.past_calls(task)) {
    if (call.state == CallState::waiting && call.step == kParked)
      TAPER_CHECK(answer(world, authority, request, call.call, tools, clock.now()));
  }
  const std::string path = R"({"path":")" + world.effects_file() + "\"}";
  authority::CallRequest read = request;
  read.tool = "file.read";
  read.arguments = to_bytes(as_bytes(path));
  read.step = "";
  for (const bool cancelled : {true, false}) {
    TAPER_TRY(const CallId call, create(authority, read, kLongTtlMs, tools, clock.now()));
    TAPER_CHECK(settle(authority, call, CallState::waiting, clock.now()));
    if (cancelled) TAPER_CHECK(authority.access({task, chain, Verb::cancel, call}, clock.now()));
  }
  TAPER_CHECK(authority.begin_ending(task, authority::EndReason::completion, clock.now()));
  TAPER_CHECK(authority.finish(task, clock.now()));
  return success();
}

void use_handles(World& world) {
  capsules::Capsule capsule = sample_plan(world.node());
  for (capsules::Grant& grant : capsule.grants)
    grant.verbs = {Verb::discover, Verb::call,   Verb::poll,
                   Verb::result,   Verb::update, Verb::cancel};
  world.use(capsule);
}

Status ask_about_calls(World& world) {
  const SystemClock clock;
  TAPER_TRY(const broker::OwnedState owned, broker::own_state(world.state(), "", clock.now()));
  Authority& authority = *owned.authority;
  const authority::Tools tools = authority::builtin_tools();
  const auto activation = activate(world, owned, tools, clock.now());
  if (activation.code() == Code::activations_spent) return success();  // by an earlier life
  if (!activation) return activation.error();
  const TaskId task = activation->task;
  const Hash chain = activation->chain;
  const std::string path = R"({"path":")" + world.effects_file() + "\"}";
  const authority::CallRequest read{task, chain, Verb::call, "file.read", to_bytes(as_bytes(path)),
                                    ""};
  TAPER_CHECK(authority.discover(task, chain, tools, clock.now()));
  TAPER_TRY(const CallId cancelled, create(authority, read, kLongTtlMs, tools, clock.now()));
  TAPER_TRY(const CallId brief, create(authority, read, kShortTtlMs, tools, clock.now()));
  for (const Verb verb : {Verb::poll, Verb::result, Verb::update, Verb::cancel})
    TAPER_CHECK(authority.access({task, chain, verb, cancelled}, clock.now()));
  authority::Outcome done;
  done.state = CallState::done;
  done.result = crypto::hash(as_bytes("result"));
  for (const CallId& call : {cancelled, brief})
    TAPER_CHECK(authority.settle(call, done, clock.now()));
  testing::pause_ms(2 * static_cast<int>(kShortTtlMs));
  for (const CallId& over : authority.handles_due(task, clock.now()).over)
    TAPER_CHECK(authority.forget_handle(task, over, clock.now()));
  TAPER_CHECK(authority.begin_ending(task, authority::EndReason::completion, clock.now()));
  TAPER_CHECK(authority.finish(task, clock.now()));
  return success();
}

void use_program(World& world) {
  capsules::Capsule capsule = sample_plan(world.node());
  capsule.entry = capsules::EntryKind::agent;
  capsule.plan = {};
  capsule.agent_entry = {.program = "planner", .digest = program().digest, .cell = {}};
  world.use(capsule);
}

// The program starts in each life that finds its task live, and ends before the task does.
Status run_program(World& world) {
  const SystemClock clock;
  TAPER_TRY(const broker::OwnedState owned, broker::own_state(world.state(), "", clock.now()));
  Authority& authority = *owned.authority;
  authority::Tools tools = authority::builtin_tools();
  tools.emplace("planner", program());
  const auto activation = activate(world, owned, tools, clock.now());
  if (activation.code() == Code::activations_spent) return success();  // by an earlier life
  if (!activation) return activation.error();
  const TaskId task = activation->task;
  TAPER_TRY(const auto started, authority.start_agent(task, activation->chain, tools, clock.now()));
  const auto* start = std::get_if<authority::AgentStart>(&started);
  if (start == nullptr) return Error(Code::internal);
  authority::Outcome outcome;
  outcome.state = CallState::done;
  TAPER_CHECK(authority.agent_over(task, activation->chain, start->decision, outcome, clock.now()));
  TAPER_CHECK(authority.begin_ending(task, authority::EndReason::completion, clock.now()));
  TAPER_CHECK(authority.finish(task, clock.now()));
  return success();
}

}  // namespace taper::crash
