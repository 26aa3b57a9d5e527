// What a session asks of the authority, without the session: calls with handles, and all the verbs
// about them, up to the end of the task.
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

}  // namespace

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

}  // namespace taper::crash
