// A node that serves sessions on a socket of its own and answers as the test says.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/broker/agent_server.h"
#include "tests/support/scratch_directory.h"
#include "tests/unit/broker/session_fakes.h"
#include "tools/taper/connect/socket_link.h"

namespace taper::tools {

class ServedNode : public broker::FakeHost {
 public:
  explicit ServedNode(boost::asio::io_context& io) : io_(io) {}

  std::string path() const { return folder_ / "agent.sock"; }
  void up() {
    auto made = broker::AgentServer::listen(io_, path(), *this);
    REQUIRE(made.ok());
    server_ = std::move(*made);
    server_->serve({});
  }
  void down() { server_.reset(); }

  // A question that no answer stands for waits.
  void ask(broker::Session& session, std::uint64_t number,
           broker::SessionRequest request) override {
    seen.push_back(request.ask);
    if (ends) return session.end(*ends);
    const auto found = answers.find(request.ask);
    if (request.ask == broker::Ask::abandon || found == answers.end()) return;
    if (tells) session.tell(*tells);
    session.reply(number, codes.contains(request.ask) ? codes.at(request.ask) : Code::ok,
                  found->second);
  }
  Result<broker::NodeAnswer> admit(broker::Session& session, const broker::Challenge& sent,
                                   const broker::Open& open) override {
    if (refuses) return Error(*refuses);
    return FakeHost::admit(session, sent, open);
  }

  std::map<broker::Ask, std::string> answers;
  std::map<broker::Ask, Code> codes;
  std::vector<broker::Ask> seen;
  std::optional<broker::SessionEvent> tells;  // before an answer
  std::optional<Code> refuses;
  std::optional<Code> ends;  // the session, in place of an answer

 private:
  testing::ScratchDirectory folder_;
  boost::asio::io_context& io_;
  std::unique_ptr<broker::AgentServer> server_;
};

inline Result<std::unique_ptr<SessionLink>> connect(boost::asio::io_context& io,
                                                    const std::string& path,
                                                    authority::HolderHandshake handshake,
                                                    SessionKeeper::Listener listener, Flow flow) {
  TAPER_TRY(Fd socket, open_socket(path));
  return link_over(io, std::move(socket), path, std::move(handshake), std::move(listener),
                   std::move(flow));
}

}  // namespace taper::tools
