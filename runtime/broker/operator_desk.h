// What operators ask a daemon over control.sock: to take in a root, to read a kept result, to run a
// plan or an agent. Its runs are beside each other and beside the sessions, each a task of its own;
// whoever asked is told of the steps, and the run does not depend on him.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "runtime/broker/control_server.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/task_run.h"

namespace taper::broker {

class OperatorDesk final : public ControlServer::Host, public Guest {
 public:
  // All outlive it; `tasks` are those of `owned`, which is the state in the folder `state`.
  OperatorDesk(const OwnedState& owned, TaskHost& tasks, std::string state, ServeChannel serve);

  void take(ControlServer::Peer& peer, ControlRequest request) override;
  void gone(ControlServer::Peer& peer) override;
  // Erases the kept results whose retention is over. Error: the store's, os_failure.
  Status follow_policy();  // reads node.toml again; one that is wrong changes nothing
  Status erase_over();

  bool ready() const override;
  void advance() override;  // one step of the plan whose turn it is; tells of those that are over
  void look_at_time() override;
  std::optional<std::int64_t> wake_boot_ms() const override;
  // Every run is left as a crash would: its task stays live, and what ran is for the next owner to
  // find interrupted.
  void interrupted() override;
  void fail(const Error&) override {}  // a plan whose task cannot go on hears of it by itself
  bool over() const override { return !ready(); }

  std::size_t runs() const { return runs_.size(); }

 private:
  struct Run {
    Hash capsule;
    std::shared_ptr<TaskLife> life;
    std::unique_ptr<TaskRun> carried;
    ControlServer::Peer* watcher = nullptr;  // null: he has gone
    bool told = false;
  };

  authority::Authority& authority() const { return *owned_.authority; }
  Now now() const { return tasks_.parts().clock.now(); }
  void challenge(ControlServer::Peer& peer);
  void import_root(ControlServer::Peer& peer, const ControlRequest& request);
  void time_challenge(ControlServer::Peer& peer);
  void import_time(ControlServer::Peer& peer, const ControlRequest& request);
  void import_release(ControlServer::Peer& peer, const ControlRequest& request);
  void tell_policy(ControlServer::Peer& peer);
  void read(ControlServer::Peer& peer, const ControlRequest& request);
  void run(ControlServer::Peer& peer, ControlRequest request);
  Result<authority::Activation> activate(ControlRequest request);
  Status may_begin(const capsules::VerifiedCapsule& capsule) const;
  void tell_end(Run& run);

  const OwnedState& owned_;
  TaskHost& tasks_;
  std::string state_;
  OwnPolicy own_;  // in force
  ServeChannel serve_;
  std::map<ControlServer::Peer*, Nonce> asked_;
  std::list<Run> runs_;  // the one whose turn is next first
  bool parking_ = false;
};

}  // namespace taper::broker
