// Watches everything that can happen to the tasks of a state and tells their host: reports of the
// spawner, the lease's clock, steps of the wall clock, signals, control.sock. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "runtime/broker/control_server.h"
#include "runtime/broker/session.h"
#include "runtime/broker/task_host.h"

namespace taper::broker {

class AgentServer;

// For whom the loop runs: it is over when its guest is.
class Guest {
 public:
  virtual ~Guest() = default;
  virtual bool ready() const = 0;  // `advance` has something to do
  virtual void advance() = 0;      // one step; the loop looks around before the next
  virtual void look_at_time() = 0;
  // When to look at the time again, on the boot clock.
  virtual std::optional<std::int64_t> wake_boot_ms() const = 0;
  virtual void interrupted() = 0;             // SIGINT, SIGTERM
  virtual void fail(const Error& error) = 0;  // the store or this host cannot go on
  virtual bool over() const = 0;
};

// What somebody outside wants to hear of a loop; each may be empty.
struct Heard {
  std::function<void()> started = {};  // everything is watched
  std::function<void()> alive = {};    // it goes round
  std::optional<std::int64_t> alive_every_ms = {};
};

class EventLoop {
 public:
  // Binds control.sock and takes SIGINT and SIGTERM, which from here on wait for `drive`. The
  // caller owns the state's lock. Error: os_failure.
  static Result<std::unique_ptr<EventLoop>> create(const std::string& state);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Binds a socket for agents at `path`; who connects is served by `sessions` from `drive` on. Each
  // path has room of its own. Errors: those of AgentServer::listen.
  Status serve_agents(const std::string& path, Session::Host& sessions);
  // Serves one channel from now on; whoever has the server ends it, before the loop goes.
  // Error: os_failure.
  Result<std::unique_ptr<AgentServer>> serve_channel(Fd channel, Session::Host& host,
                                                     const TaskId& task);
  // What control.sock asks beyond showing and cancelling is for `desk`; without one it is answered
  // with state_locked. Before `drive`, which it outlives.
  void serve_operators(ControlServer::Host& desk);
  // From here on SIGHUP, which is death otherwise, is told to `reload`, by `drive`.
  Status reload_with(std::function<void()> reload);
  // The guest is interrupted when the other end of this pipe is closed, and no more by signals:
  // those are for whoever has that end.
  Status stop_with(Fd pipe);
  // Returns when the guest is over. Error: os_failure, when watching itself failed; the tasks stay
  // as the store has them then.
  Status drive(TaskHost& host, Guest& guest, Heard heard = {});

 private:
  struct State;
  explicit EventLoop(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace taper::broker
