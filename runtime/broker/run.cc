#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/plan_entry.h"
#include "runtime/broker/run_through.h"
#include "runtime/broker/task_run.h"

namespace taper::broker {
namespace {

// Builds what the holder signs and activates. A capsule that does not open is handed on without a
// proof: the authority says what is wrong with it and counts it.
Result<authority::Activation> activate(const OwnedState& owned, const RunOptions& options,
                                       Bytes file, ToolShelf& shelf, const Clock& clock) {
  authority::Authority& authority = *owned.authority;
  authority::ActivationRequest request;
  request.challenge = authority.challenge();
  request.inputs = options.inputs;
  request.capsule_file = std::move(file);
  if (authority.root() != nullptr) {
    const Result<capsules::VerifiedCapsule> opened =
        capsules::open(request.capsule_file, *authority.root());
    if (opened.ok()) {
      TAPER_CHECK(prepare_run(opened->root(), shelf));
      request.proof = options.prove(authority::activation_statement(
          authority.root()->fleet(), owned.facts.node, owned.facts.incarnation, opened->chain(),
          request.challenge, options.inputs));
    }
  }
  return authority.activate(request, shelf.tools(), clock.now());
}

Result<RunReport> run_alone(const OwnedState& owned, const RunOptions& options, Bytes file,
                            const std::string& spawnd) {
  const SystemClock clock;
  TAPER_CHECK(check_key_links(options.state));
  TAPER_TRY(const auto loop, EventLoop::create(options.state));
  TAPER_TRY(const auto spawner, sandbox::Spawner::launch(spawnd));
  store::ResultFiles results(options.state);
  ToolShelf shelf(tool_directories(options.state));
  TAPER_TRY(const authority::Activation activation,
            activate(owned, options, std::move(file), shelf, clock));
  TaskHost host({.authority = *owned.authority,
                 .spawner = *spawner,
                 .store = *owned.store,
                 .results = results,
                 .tools = shelf,
                 .clock = clock});
  const auto serve = [&loop](Fd channel, Session::Host& sessions, const TaskId& task) {
    return loop->serve_channel(std::move(channel), sessions, task);
  };
  const std::unique_ptr<TaskRun> carried =
      begin_run(owned, host, activation, serve, options.on_step);
  TAPER_CHECK(loop->drive(host, *carried));
  Result<RunReport> report = carried->take_report();
  const Status synced = owned.store->sync_marker();
  if (report.ok() && !synced.ok()) return synced.error();
  return report;
}

}  // namespace

Result<RunReport> run(const RunOptions& options) {
  TAPER_CHECK(check_boot_clock());
  TAPER_TRY(Bytes file, read_file(options.capsule_path, limits::kCapsuleBytesMax));
  TAPER_TRY(const std::string spawnd, sibling_program("taper-spawnd"));
  TAPER_TRY(const auto reached, own_or_reach(options.state, options.holder_key_path));
  if (const auto* owned = std::get_if<OwnedState>(&reached))
    return run_alone(*owned, options, std::move(file), spawnd);
  return run_through(std::get<ControlTalk>(reached), options, std::move(file));
}

}  // namespace taper::broker
