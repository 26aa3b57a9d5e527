#include "runtime/broker/embedded.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/service_manager.h"
#include "runtime/broker/session_host.h"

namespace taper::broker {

Status serve(ServeOptions options) {
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
  TAPER_CHECK(loop->serve_agents(options.state + "/agent.sock", sessions));
  if (options.stop) TAPER_CHECK(loop->stop_with(std::move(options.stop)));
  Status driven = loop->drive(tasks, sessions,
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
