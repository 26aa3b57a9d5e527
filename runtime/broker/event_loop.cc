#include "runtime/broker/event_loop.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <limits>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/broker/agent_server.h"
#include "runtime/broker/control_server.h"

namespace taper::broker {

namespace asio = boost::asio;
using authority::EndReason;
using boost::system::error_code;

namespace {

constexpr auto kReadable = asio::posix::descriptor_base::wait_read;

Result<Fd> make_timer(clockid_t clock) {
  Fd timer(::timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer) return os_error("timerfd_create", errno);
  return timer;
}

// Readable when the wall clock is set: the timer itself lies beyond any date.
Status arm_clock_watch(int fd) {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<std::int32_t>::max() * std::int64_t{1000};
  if (::timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) != 0)
    return os_error("timerfd_settime", errno);
  return success();
}

void arm_boot_timer(int fd, std::int64_t boot_ms) {
  itimerspec at{};
  at.it_value.tv_sec = boot_ms / 1000;
  at.it_value.tv_nsec = boot_ms % 1000 * 1'000'000;
  const int armed = ::timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, nullptr);
  TAPER_ASSERT(armed == 0);
}

void drain_timer(int fd) {
  std::uint64_t count = 0;
  // Fails with ECANCELED when the clock was set, with EAGAIN when nothing was due: both are fine.
  [[maybe_unused]] const ssize_t length = ::read(fd, &count, sizeof(count));
}

}  // namespace

struct EventLoop::State final : ControlServer::Host {
  State()
      : io(1),
        signals(io),
        boot(io),
        wall(io),
        reports(io),
        stop(io),
        beat(io),
        persist(io),
        alive(io) {}

  Status prepare(const std::string& state);
  Status drive(TaskHost& task_host, Guest& its_guest, Heard its_heard);
  Status start(TaskHost& task_host, Guest& its_guest);
  void settle_down();  // after every event
  void rest_later();
  void take_step();
  void look_at_time();
  void await_signal();
  void await_boot();
  void await_wall();
  void await_report();
  void await_beat();
  void await_persist();
  void await_stop();
  void await_alive();
  void hand_out_last();
  ControlReply occupied() const;
  void take(ControlServer::Peer& peer, ControlRequest request) override;
  void gone(ControlServer::Peer& peer) override;

  asio::io_context io;
  asio::signal_set signals;
  asio::posix::stream_descriptor boot, wall, reports, stop;
  asio::steady_timer beat, persist, alive;
  std::unique_ptr<ControlServer> server;
  std::vector<std::unique_ptr<AgentServer>> agents;
  TaskHost* host = nullptr;
  Guest* guest = nullptr;
  ControlServer::Host* desk = nullptr;
  Heard heard;
  std::function<void()> reload;
  bool step_posted = false, beating = false, tending = false;
};

Status EventLoop::State::prepare(const std::string& state) {
  signals.add(SIGINT);
  signals.add(SIGTERM);
  TAPER_TRY(Fd boot_fd, make_timer(CLOCK_BOOTTIME));
  boot.assign(boot_fd.release());
  TAPER_TRY(Fd wall_fd, make_timer(CLOCK_REALTIME));
  TAPER_CHECK(arm_clock_watch(wall_fd.get()));
  wall.assign(wall_fd.release());
  TAPER_TRY(server, ControlServer::listen(io, state));
  return success();
}

Status EventLoop::State::start(TaskHost& task_host, Guest& its_guest) {
  host = &task_host;
  guest = &its_guest;
  // A copy: the descriptor itself belongs to the spawner.
  Fd watched(::dup(host->parts().spawner.wait_fd()));
  if (!watched) return os_error("dup", errno);
  reports.assign(watched.release());
  await_signal();
  await_boot();
  await_wall();
  await_report();
  server->serve(*this, [this] { settle_down(); });
  for (const auto& one : agents) one->serve({.after = [this] { settle_down(); }});
  if (stop.is_open()) await_stop();
  host->look_at_time();
  settle_down();
  return success();
}

void EventLoop::State::settle_down() {
  if (guest->over()) {
    server->stop();
    for (const auto& one : agents) one->stop();
    io.stop();
    return;
  }
  std::optional<std::int64_t> wake = host->wake_boot_ms();
  const std::optional<std::int64_t> guests = guest->wake_boot_ms();
  if (guests) wake = std::min(wake.value_or(*guests), *guests);
  if (wake)
    arm_boot_timer(boot.native_handle(), std::max(*wake, host->parts().clock.now().boot_ms + 1));
  await_beat();
  await_persist();
  if (!guest->ready() && !host->ready()) return rest_later();
  if (std::exchange(step_posted, true)) return;
  asio::post(io, std::bind_front(&State::take_step, this));
}

// After what is to be written by now.
void EventLoop::State::rest_later() {
  store::Store& store = host->parts().store;
  if (store.owes_rest()) asio::post(io, [&store] { store.rest(); });
}

// One step, then whatever else has happened meanwhile.
void EventLoop::State::take_step() {
  step_posted = false;
  if (host->ready()) host->advance();
  if (guest->ready()) guest->advance();
  settle_down();
}

void EventLoop::State::look_at_time() {
  host->look_at_time();
  guest->look_at_time();
}

void EventLoop::State::await_signal() {
  signals.async_wait([this](const error_code& error, int number) {
    if (error) return;
    number == SIGHUP ? reload() : guest->interrupted();
    await_signal();
    settle_down();
  });
}

void EventLoop::State::await_stop() {
  stop.async_wait(kReadable, [this](const error_code& error) {
    if (error) return;
    guest->interrupted();
    settle_down();
  });
}

void EventLoop::State::await_alive() {
  if (!heard.alive || !heard.alive_every_ms) return;
  alive.expires_after(std::chrono::milliseconds(*heard.alive_every_ms));
  alive.async_wait([this](const error_code& error) {
    if (error) return;
    heard.alive();
    await_alive();
  });
}

void EventLoop::State::await_boot() {
  boot.async_wait(kReadable, [this](const error_code& error) {
    if (error) return;
    drain_timer(boot.native_handle());
    look_at_time();
    await_boot();
    settle_down();
  });
}

void EventLoop::State::await_wall() {
  wall.async_wait(kReadable, [this](const error_code& error) {
    if (error) return;
    drain_timer(wall.native_handle());
    look_at_time();
    const Status armed = arm_clock_watch(wall.native_handle());
    if (!armed.ok()) guest->fail(armed.error());
    await_wall();
    settle_down();
  });
}

void EventLoop::State::await_report() {
  reports.async_wait(kReadable, [this](const error_code& error) {
    if (error) return;
    host->spawner_reported();
    await_report();
    settle_down();
  });
}

// Neither wakes a process of which nothing runs.
void EventLoop::State::await_beat() {
  if (beating || !host->parts().spawner.has_cells()) return;
  beating = true;
  beat.expires_after(std::chrono::milliseconds(limits::kBrokerBeatMs));
  beat.async_wait([this](const error_code& error) {
    if (error) return;
    beating = false;
    if (!host->parts().spawner.beat().ok()) host->spawner_reported();
    settle_down();
  });
}

void EventLoop::State::await_persist() {
  if (tending || host->idle()) return;
  tending = true;
  persist.expires_after(std::chrono::milliseconds(limits::kPersistIntervalMs));
  persist.async_wait([this](const error_code& error) {
    if (error) return;
    tending = false;
    const Status kept = host->tend();
    if (!kept.ok()) guest->fail(kept.error());
    settle_down();
  });
}

// Of an owner that does nothing for others.
ControlReply EventLoop::State::occupied() const {
  const std::vector<TaskId> live = host->parts().authority.live_tasks();
  if (live.empty()) return ControlReply{Code::state_locked};
  const std::string task = live.front().hex();
  return reply_of(
      Error(Code::state_locked, {.field = "task " + task,
                                 .expected = "an owner that serves others",
                                 .got = "one that runs this task for itself",
                                 .fix = "look at it with 'taper task show " + task +
                                        " --state DIR'; wait for its end, end it with 'taper task "
                                        "cancel', or have 'taper serve' own the state"}));
}

void EventLoop::State::take(ControlServer::Peer& peer, ControlRequest request) {
  if (request.verb == ControlVerb::show) {
    peer.end(ControlReply{host->knows(request.task) ? Code::ok : Code::unknown_task});
  } else if (request.verb == ControlVerb::cancel || request.verb == ControlVerb::kill) {
    const Status ended = host->end(
        request.task,
        request.verb == ControlVerb::kill ? EndReason::operator_kill : EndReason::cancelled,
        {.uid = peer.uid()});
    peer.end(ended.ok() ? ControlReply{Code::ok} : reply_of(ended.error()));
  } else if (request.verb == ControlVerb::import_order) {
    const Result<Ordered> ordered = host->obey(request.file, peer.uid());
    ordered.ok() ? peer.end(*ordered) : peer.end(reply_of(ordered.error()));
  } else if (desk != nullptr) {
    desk->take(peer, std::move(request));
  } else {
    peer.end(occupied());
  }
}

void EventLoop::State::gone(ControlServer::Peer& peer) {
  if (desk != nullptr) desk->gone(peer);
}

EventLoop::EventLoop(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventLoop::~EventLoop() = default;

Result<std::unique_ptr<EventLoop>> EventLoop::create(const std::string& state) {
  try {
    auto made = std::make_unique<State>();
    TAPER_CHECK(made->prepare(state));
    return std::unique_ptr<EventLoop>(new EventLoop(std::move(made)));
  } catch (const boost::system::system_error& error) {
    return os_error("watch", error.code().value());
  }
}

Status EventLoop::State::drive(TaskHost& task_host, Guest& its_guest, Heard its_heard) {
  TAPER_CHECK(start(task_host, its_guest));
  heard = std::move(its_heard);
  if (heard.started) heard.started();
  await_alive();
  io.run();
  TAPER_ASSERT(guest->over());
  hand_out_last();
  return success();
}

// What was answered last is still to be written. Who asks goes before those who are asked.
void EventLoop::State::hand_out_last() {
  constexpr int kRounds = 64;
  for (int round = 0; round < kRounds; ++round) {
    io.restart();
    if (io.poll() == 0) return;
  }
}

Status EventLoop::serve_agents(const std::string& path, Session::Host& sessions) {
  TAPER_ASSERT(state_->agents.size() < limits::kAgentSocketsMax);
  TAPER_TRY(auto listening, AgentServer::listen(state_->io, path, sessions));
  state_->agents.push_back(std::move(listening));
  return success();
}

Result<std::unique_ptr<AgentServer>> EventLoop::serve_channel(Fd channel, Session::Host& host,
                                                              const TaskId& task) {
  State& state = *state_;
  try {
    return AgentServer::over(state.io, std::move(channel), host, task,
                             [&state] { state.settle_down(); });
  } catch (const boost::system::system_error& error) {
    return os_error("watch", error.code().value());
  }
}

void EventLoop::serve_operators(ControlServer::Host& desk) { state_->desk = &desk; }

Status EventLoop::reload_with(std::function<void()> reload) {
  boost::system::error_code error;
  state_->reload = std::move(reload);
  state_->signals.add(SIGHUP, error);
  return error ? Status(os_error("watch", error.value())) : success();
}

Status EventLoop::stop_with(Fd pipe) {
  boost::system::error_code error;
  state_->signals.clear(error);
  if (!error) state_->stop.assign(pipe.release(), error);
  return error ? Status(os_error("watch", error.value())) : success();
}

Status EventLoop::drive(TaskHost& host, Guest& guest, Heard heard) {
  Status driven = success();
  try {
    driven = state_->drive(host, guest, std::move(heard));
  } catch (const boost::system::system_error& error) {
    driven = os_error("watch", error.code().value());
  }
  state_->agents.clear();
  state_->server.reset();
  return driven;
}

}  // namespace taper::broker
