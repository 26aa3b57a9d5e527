// The inside of a Spawner. Private to the folder.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "runtime/sandbox/running.h"
#include "runtime/sandbox/spawnd_link.h"
#include "runtime/sandbox/spawner.h"

namespace taper::sandbox {

// A cell that spawnd was asked to start and has not reported gone.
struct BrokerCell {
  TaskId task;
  bool kill_asked = false;
  bool kill_all = false;  // with every call that waits in its queue
  bool over_cap = false;
  bool overdue = false;  // upstreams: a call took longer than it may
  Fd timer;              // upstreams: for the call under way
  CallId timed;
  BuiltinQueue::Progress progress = BuiltinQueue::Progress::open;
  Fd pidfd;                                     // once it started
  std::optional<authority::PermitFacts> facts;  // of a resident cell, its first call's
  std::optional<CommandOutput> output;          // commands
  std::optional<BuiltinQueue> queue;            // resident cells
};

struct Spawner::State {
  enum class Health : std::uint8_t { alive, lost, told };
  struct Unsent {
    std::uint64_t cell = 0;  // 0: of no cell
    Bytes bytes;
    std::vector<Fd> fds;
  };

  State(SpawndLink started, std::string folder)
      : link(std::move(started)), helper_folder(std::move(folder)) {}

  SpawndLink link;
  std::string helper_folder;      // where the helpers are, with a slash at its end
  std::optional<Program> helper;  // of servers, once one was needed
  Fd epoll;
  Fd wake;  // readable while `ready` holds reports
  std::map<std::uint64_t, BrokerCell> cells;
  std::uint64_t next_cell = 1;
  std::deque<Unsent> unsent;
  std::vector<RunReport> ready;
  std::vector<ProgressReport> progress;
  Health health = Health::alive;

  Status open();
  Status make_room(const TaskId& task);  // error: sandbox_setup "cells"
  Status start_command(authority::PermitFacts facts, const Program& program,
                       const std::vector<authority::CallSecret>& secrets);
  Result<Fd> start_agent(authority::PermitFacts facts, const Program& program, const Copies& entry);
  Status start_resident(authority::PermitFacts facts, const Program* program,
                        const std::vector<authority::CallSecret>& secrets, const Copies& entry);
  Status run_resident(authority::PermitFacts facts, const Program* program,
                      const std::vector<authority::CallSecret>& secrets, const Copies& entry);

  // Which descriptor of a cell an event is about.
  enum class Channel : std::uint8_t { out, err, socket, spawnd, wake, timer };
  void watch(std::uint64_t cell, Channel channel, int fd, bool writing);
  void handle(std::uint64_t cell, Channel channel);
  void hear();
  void on_news(News news, std::vector<Fd> fds);
  void on_gone(CellGone gone);
  void lose();
  void send(Unsent message);
  void flush();
  void kill(const std::vector<std::uint64_t>& ids);
  void move_queue(std::uint64_t id, BrokerCell& cell);
  void time_call(BrokerCell& cell);
  void on_resident_gone(BrokerCell& cell, CellGone gone);
  void add_ready(RunReport report);
};

}  // namespace taper::sandbox
