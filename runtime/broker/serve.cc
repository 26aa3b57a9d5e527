#include <csignal>
#include <filesystem>

#include "runtime/broker/diagnostics.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/guests.h"
#include "runtime/broker/operator_desk.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/service_manager.h"
#include "runtime/broker/session_host.h"

namespace taper::broker {
namespace {

// A SIGHUP before the loop takes them: it must neither end the daemon nor be forgotten. (A handler
// does not pass to programs that are started, unlike a signal that is blocked or ignored.)
volatile std::sig_atomic_t asked_early = 0;
void ask_early(int) { asked_early = 1; }

// Every call reads its tool anew, so there is nothing to take over: a file that is wrong is told of
// now, and not first by the call that needs it. A policy that is wrong leaves the one before. Kept
// results whose time is over go.
void look_again(const std::string& state, OperatorDesk& desk) {
  const Status followed = desk.follow_policy();
  if (!followed.ok()) warn(to_line(followed.error()));
  const auto tools = tools_list(state);
  if (!tools.ok()) warn(to_line(tools.error()));
  const Status erased = desk.erase_over();
  if (!erased.ok()) warn(to_line(erased.error()));
}

// The state's own sockets must not be replaced by it.
Status check_apart(const std::string& agents, const std::string& state) {
  const auto folder_of = [](const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::weakly_canonical(path, error);
  };
  if (folder_of(std::filesystem::absolute(agents).parent_path()) != folder_of(state))
    return success();
  return Error(Code::file_exists, {.field = "--agents",
                                   .expected = "a path outside the state",
                                   .got = agents,
                                   .fix = "put it in a folder of its own"});
}

}  // namespace

Status serve(ServeOptions options) {
  if (!options.stop) std::signal(SIGHUP, ask_early);
  const ServiceManager manager = ServiceManager::from_environment();
  TAPER_CHECK(check_boot_clock());
  TAPER_TRY(const std::string spawnd, sibling_program("taper-spawnd"));
  const SystemClock clock;
  TAPER_TRY(OwnedState owned, own_state(options.state, options.holder_key_path, clock.now()));
  TAPER_CHECK(check_key_links(options.state));
  TAPER_CHECK(take_signer(owned, options.state));
  TAPER_TRY(const auto loop, EventLoop::create(options.state));
  TAPER_TRY(const auto spawner, sandbox::Spawner::launch(spawnd));
  store::ResultFiles results(options.state);
  ToolShelf shelf(tool_directories(options.state));
  TaskHost tasks({.authority = *owned.authority,
                  .spawner = *spawner,
                  .store = *owned.store,
                  .results = results,
                  .tools = shelf,
                  .clock = clock});
  SessionHost sessions(owned, tasks);
  OperatorDesk desk(owned, tasks, options.state,
                    [&loop](Fd channel, Session::Host& host, const TaskId& task) {
                      return loop->serve_channel(std::move(channel), host, task);
                    });
  Guests both({&desk, &sessions});
  TAPER_CHECK(loop->serve_agents(options.state + "/agent.sock", sessions));
  if (!options.agents.empty()) {
    TAPER_CHECK(check_apart(options.agents, options.state));
    TAPER_CHECK(loop->serve_agents(options.agents, sessions));
  }
  // A node inside somebody's program goes when that does, and takes no plan of others along.
  if (!options.stop) loop->serve_operators(desk);
  if (options.stop) {
    TAPER_CHECK(loop->stop_with(std::move(options.stop)));
  } else {
    TAPER_CHECK(loop->reload_with([&] {
      manager.reloading();
      look_again(options.state, desk);
      manager.ready();
    }));
    if (asked_early != 0) look_again(options.state, desk);
  }
  Status driven = loop->drive(tasks, both,
                              {.started =
                                   [&] {
                                     manager.ready();
                                     if (options.on_ready) options.on_ready();
                                   },
                               .alive = [&] { manager.alive(); },
                               .alive_every_ms = manager.alive_every_ms()});
  manager.stopping();
  Status synced = owned.store->sync_marker();
  if (tasks.lost()) return Error(*tasks.lost());
  return driven.ok() ? std::move(synced) : std::move(driven);
}

}  // namespace taper::broker
