// What holders ask in their sessions, put to the authority and to the lives of their tasks. Every
// answer stands on a decision of its own, durable before it is given; each session has its own
// chain's grants and sees its own holder's calls.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/authority/live_task.h"
#include "runtime/broker/discover_body.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/session.h"
#include "runtime/broker/task_host.h"

namespace taper::broker {

class SessionHost final : public Session::Host, public Guest {
 public:
  // All outlive it. `tasks` are those of `owned`, which has its signer before a session is
  // admitted.
  SessionHost(const OwnedState& owned, TaskHost& tasks);

  // Takes a session that needs no opening: the channel to the agent of that task, for a chain that
  // is attached to it. Before its first request.
  void attach(Session& session, std::shared_ptr<TaskLife> life, const Hash& chain);
  void said(Session& session, std::string words) override;
  const std::string& words() const { return words_; }  // that were said last, as they came
  // How such a session stands: its other end has gone, or did not keep to the protocol.
  enum class Attached : std::uint8_t { open, gone, misused };
  Attached attached() const { return attached_; }

  Challenge challenge() override;
  Result<authority::NodeAnswer> admit(Session& session, const Challenge& challenge,
                                      const Open& open) override;
  void ask(Session& session, std::uint64_t number, SessionRequest request) override;
  void misused(Session& session, const Error& error) override;
  void gone(Session& session) override;

  bool ready() const override;
  void advance() override;  // tells those concerned that calls or tasks are over
  void look_at_time() override;
  std::optional<std::int64_t> wake_boot_ms() const override;
  // Parks every task: what runs is killed and settled, nothing more is begun, and `over` when no
  // call runs any more.
  void interrupted() override;
  void fail(const Error& error) override;
  bool over() const override;  // also when the spawner is lost: a new owner starts another

  std::size_t peers() const { return peers_.size(); }

 private:
  // Who shares places with whom.
  struct Branch {
    Hash capsule;      // id of the root payload
    PublicKey first;   // its first holder
    PublicKey holder;  // to whom that one handed it, or that one
  };
  static Branch branch_of(const capsules::VerifiedCapsule& capsule);
  struct Peer {
    Hash chain;
    Branch branch;
    authority::Terms terms;  // of its blocks
    std::shared_ptr<TaskLife> life;
    bool attached = false;
  };
  // A request that has no answer yet.
  struct Asked {
    Session* session = nullptr;
    std::uint64_t number = 0;
    Ask ask = Ask::unset;
    CallId call = {};                       // that it waits for
    std::optional<std::size_t> grant = {};  // of a call that was made
    bool abandoned = false;                 // a plain call that nobody waits for
  };
  struct Begun {
    Branch branch;  // whose it is
    std::shared_ptr<TaskLife> life;
    bool plain = false;  // nobody asks by its handle
  };
  struct Held {
    Asked asked;
    std::int64_t until_boot_ms = 0;
  };
  struct Over {
    CallId call;
    Result<CallEnd> end;
  };

  authority::Authority& authority() const { return *owned_.authority; }
  Now now() const { return tasks_.parts().clock.now(); }
  bool has_room(const Branch& branch) const;
  bool may_call(const Peer& peer) const;
  bool may_ask(const Peer& peer, const SessionRequest& request) const;
  // Those that its grants name. A file that went bad is told last.
  Status load_tools(const capsules::Capsule& root);
  static bool is_orphan(const Session& session, const Peer& peer);
  std::string remaining(const Peer& peer, std::optional<std::size_t> grant = {}) const;
  void deny(const Asked& asked, const authority::Denial& denial);
  void discover(const Asked& asked);
  TaskFacts facts_of(const Peer& peer, const capsules::Capsule& root) const;
  void call(const Asked& asked, SessionRequest&& request);
  void go_on(const Asked& asked, SessionRequest&& request);
  void begin(Asked asked, const authority::CallRequest& wanted, TaskLife::Progressed progressed,
             const CallPhase& phase);
  TaskLife::Progressed heard_by(const SessionRequest& request);
  void access(const Asked& asked);
  void poll(const Asked& asked);
  void hand_out(const Asked& asked, const authority::CallView& view);
  void ask_back(const Asked& asked, const CallEnd& end);
  Result<std::string> told(const Peer& peer, const authority::CallView& view,
                           const std::optional<std::string>& result,
                           std::string_view remaining) const;
  void tell_all(const CallId& call);
  void abandon(Session& session, std::uint64_t number);
  bool is_over(const Peer& peer, const CallId& call) const;
  void close(const Asked& asked);
  void call_over(const CallId& call, const Result<CallEnd>& end);
  void progressed(const CallId& call, const sandbox::ToolProgress& progress);

  const OwnedState& owned_;
  TaskHost& tasks_;
  std::map<Session*, Peer> peers_;
  std::multimap<CallId, Asked> waiting_;
  std::map<CallId, Begun> calls_;  // that run
  std::vector<Held> held_;
  std::map<std::pair<Hash, CallId>, std::int64_t>
      polled_;  // when a chain was last told, boot clock
  std::deque<Over> over_;
  bool parking_ = false;
  std::string words_;
  Attached attached_ = Attached::open;
};

}  // namespace taper::broker
