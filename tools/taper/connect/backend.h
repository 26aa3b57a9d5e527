// What the codec asks, as requests of a session: which request answers which question, and what the
// answers mean to a client. Decides nothing; the node does.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/edge/mcp/server.h"
#include "tools/taper/connect/answers.h"

namespace taper::tools {

// A request that says nothing more.
broker::SessionRequest plain(broker::Ask ask);

// A session, opened anew when it must be.
class Asker {
 public:
  using Ticket = std::uint64_t;  // of the caller's choice, never used twice
  using Told = std::function<void(const Replied&)>;
  virtual ~Asker() = default;
  // `told` is called once, perhaps before this returns; not after `abandon`.
  virtual void ask(Ticket ticket, broker::SessionRequest request, Told told) = 0;
  // Nothing for a ticket that was answered.
  virtual void abandon(Ticket ticket) = 0;
};

class ConnectBackend final : public mcp::Backend {
 public:
  // For the holder's own eyes: one line.
  using Note = std::function<void(const std::string& line)>;
  // All must outlive the backend.
  ConnectBackend(Asker& asker, const Clock& clock, Note note);

  // Whom to tell what happens without being asked. Once, before the first question.
  void serve(mcp::Server& server) { server_ = &server; }
  void happened(const broker::SessionEvent& event);
  // A call that is unanswered says how far it is.
  void progressed(Asker::Ticket ticket, const broker::SessionEvent& event);
  // Another session took the place of the one before: what was kept of it may be wrong.
  void reopened();

  void list_tools(mcp::Number number, mcp::Done<mcp::Listed<mcp::Tool>> done) override;
  void call_tool(mcp::Number number, mcp::ToolCall call, mcp::Done<mcp::Called> done) override;
  void list_resources(mcp::Number number, mcp::Done<mcp::Listed<mcp::Resource>> done) override;
  void list_templates(mcp::Number number, mcp::Done<mcp::Listed<mcp::Resource>> done) override;
  void read_resource(mcp::Number number, std::string uri,
                     mcp::Done<mcp::ReadResource> done) override;
  void get_task(mcp::Number number, std::string task, mcp::TaskView view,
                mcp::Done<mcp::TaskRecord> done) override;
  void await_task(mcp::Number number, std::string task, mcp::Done<mcp::TaskRecord> done) override;
  void update_task(mcp::Number number, std::string task, std::string responses, mcp::Input input,
                   mcp::Done<std::monostate> done) override;
  void cancel_task(mcp::Number number, std::string task, mcp::Done<mcp::TaskRecord> done) override;
  void subscribe(mcp::Number number, mcp::Interests wanted,
                 mcp::Done<mcp::Interests> done) override;
  void unsubscribe(mcp::Number number) override { subscriptions_.erase(number); }
  void cancel(mcp::Number number) override;

 private:
  using Tools = mcp::Outcome<mcp::Listed<mcp::Tool>>;
  using Take = std::function<void(const Answer&)>;
  struct Kept {
    mcp::Listed<mcp::Tool> listed;
    std::int64_t until_ms = 0;  // of the boot clock
  };
  struct Subscribing;

  // For a client's question, which it may cancel; for nobody's in particular.
  void ask(mcp::Number number, broker::SessionRequest request, Take take);
  void ask(broker::SessionRequest request, Take take);
  void note(const broker::SessionRequest& request, const Replied& replied) const;
  void with_tools(std::function<void(const Tools&)> use);
  void start(mcp::Number number, broker::Ask ask, const mcp::ToolCall& call,
             mcp::Done<mcp::Called> done);
  void look_up(mcp::Number number, const std::string& task,
               const std::shared_ptr<Subscribing>& asked);
  bool remember_cancelled(const std::string& task);  // whether it is new
  bool is_subscribed(const std::string& task) const;
  void tell(const mcp::TaskRecord& task);

  Asker& asker_;
  const Clock& clock_;
  Note note_;
  mcp::Server* server_ = nullptr;
  Asker::Ticket last_ticket_ = 0;
  std::map<mcp::Number, Asker::Ticket> tickets_;  // unanswered
  std::set<mcp::Number> undecided_;               // calls that wait for the list of tools
  std::optional<Kept> tools_;
  std::vector<std::function<void(const Tools&)>> want_tools_;
  std::map<mcp::Number, mcp::Interests> subscriptions_;
  std::set<std::string> cancelled_;  // tasks, by an answer on this connection
};

}  // namespace taper::tools
