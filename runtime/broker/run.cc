#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/plan_run.h"

namespace taper::broker {
namespace {

// Refused before anything is consumed: another kind of entry would end as an empty plan.
Status check_entry(const capsules::Capsule& capsule) {
  if (capsule.entry == capsules::EntryKind::plan) return success();
  return Error(Code::entry_other,
               {.field = "entry", .expected = "a plan", .got = "a session", .fix = ""});
}

// The tools that the capsule names and this node describes. One whose file is wrong refuses the
// whole run, before anything is consumed.
Status load_tools(ToolShelf& shelf, const capsules::Capsule& capsule) {
  for (const capsules::Grant& grant : capsule.grants) TAPER_CHECK(shelf.load(grant.tool));
  return success();
}

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
      TAPER_CHECK(check_entry(opened->root()));
      TAPER_CHECK(load_tools(shelf, opened->root()));
      request.proof = options.prove(authority::activation_statement(
          authority.root()->fleet(), owned.facts.node, owned.facts.incarnation, opened->chain(),
          request.challenge, options.inputs));
    }
  }
  return authority.activate(request, shelf.tools(), clock.now());
}

}  // namespace

Result<RunReport> run(const RunOptions& options) {
  TAPER_CHECK(check_boot_clock());
  TAPER_TRY(Bytes file, read_file(options.capsule_path, limits::kCapsuleBytesMax));
  TAPER_TRY(const std::string spawnd, sibling_program("taper-spawnd"));
  const SystemClock clock;
  TAPER_TRY(const OwnedState owned, own_state(options.state, options.holder_key_path, clock.now()));
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
  PlanRun plan(host.life(activation.task), activation, options.on_step);
  TAPER_CHECK(loop->drive(host, plan));
  Result<RunReport> report = plan.take_report();
  const Status synced = owned.store->sync_marker();
  if (report.ok() && !synced.ok()) return synced.error();
  return report;
}

}  // namespace taper::broker
