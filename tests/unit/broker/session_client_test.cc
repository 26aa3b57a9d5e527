// The holder's side: it believes the node alone, and only what answers something it asked.
#include "runtime/broker/session_client.h"

#include <catch2/catch.hpp>
#include <deque>

#include "runtime/broker/task_life.h"
#include "tests/unit/broker/session_fakes.h"

namespace taper::broker {
namespace {

// Both ends; what each sent waits until it is carried over.
struct Line {
  FakeHost host;
  std::deque<Bytes> to_node, to_holder;
  std::vector<Code> ended;
  int opened = 0, happened = 0;
  Session session{host, [this](Bytes message) { to_holder.push_back(std::move(message)); }};
  SessionClient client{host.holder(),
                       [this](Bytes message) { to_node.push_back(std::move(message)); },
                       {.opened = [this](const Opened&) { ++opened; },
                        .happened = [this](const SessionEvent&) { ++happened; },
                        .over = [this](const Error& error) { ended.push_back(error.code()); }}};

  void carry() {
    while (!to_node.empty() || !to_holder.empty()) {
      if (!to_node.empty()) {
        const Bytes message = std::move(to_node.front());
        to_node.pop_front();
        session.take(message);
      }
      if (!to_holder.empty()) {
        const Bytes message = std::move(to_holder.front());
        to_holder.pop_front();
        client.take(message);
      }
    }
  }
  void open() {
    client.start();
    carry();
    REQUIRE(client.live());
  }
  std::vector<Code> answers;
  void ask() {
    SessionRequest request;
    request.ask = Ask::describe;
    client.ask(request,
               [this](const Result<SessionReply>& reply) { answers.push_back(reply.code()); });
  }
};

TEST_CASE("a client opens, asks, hears events, and is told each answer once", "[broker][session]") {
  Line line;
  line.open();
  CHECK(line.opened == 1);
  line.ask();
  line.ask();
  line.carry();
  CHECK(line.answers == std::vector<Code>{Code::ok, Code::ok});
  line.session.tell({});
  line.carry();
  CHECK(line.happened == 1);
  CHECK(line.ended.empty());
}

TEST_CASE("when the session ends every open request is told so", "[broker][session]") {
  Line line;
  line.open();
  line.host.answers_at_once = false;
  line.ask();
  line.ask();
  line.carry();
  line.session.end(Code::lease_ended);
  line.carry();
  CHECK(line.answers == std::vector<Code>{Code::lease_ended, Code::lease_ended});
  CHECK(line.ended == std::vector<Code>{Code::lease_ended});
  line.client.lost(Error(Code::os_failure));
  CHECK(line.ended.size() == 1);
}

TEST_CASE("a session that ends with its task says so by its code", "[broker][session]") {
  using authority::EndReason;
  for (int reason = 1; reason <= static_cast<int>(EndReason::revocation); ++reason) {
    const Code code = code_of(static_cast<EndReason>(reason));
    INFO(describe(code).name);
    CHECK(is_task_end(code));
  }
  for (const Code code : {Code::control_unreachable, Code::state_locked, Code::message_malformed,
                          Code::session_busy, Code::lease_over})
    CHECK_FALSE(is_task_end(code));
}

TEST_CASE("replies that are replayed, changed or posed end the session", "[broker][session][R9]") {
  Line line;
  line.open();
  line.ask();
  line.session.take(line.to_node.front());
  line.to_node.clear();
  const Bytes reply = line.to_holder.front();
  line.to_holder.clear();
  SECTION("replayed") {
    line.client.take(reply);
    line.client.take(reply);
    CHECK(line.answers == std::vector<Code>{Code::ok});
  }
  SECTION("changed") {
    Result<AgentMessage> message = decode_agent_message(reply);
    REQUIRE(message.ok());
    std::get<Tagged>(*message).body.back() ^= 1;
    line.client.take(encode(*message));
    CHECK(line.answers == std::vector<Code>{Code::signature_wrong});
  }
  SECTION("posed by a relay") {
    Tagged forged;
    forged.body = encode(SessionMessage(SessionReply{0, Code::ok, "{}"}));
    line.client.take(encode(AgentMessage(forged)));
    CHECK(line.answers == std::vector<Code>{Code::signature_wrong});
  }
  CHECK(line.ended == std::vector<Code>{Code::signature_wrong});
}

TEST_CASE("messages out of their turn end the session", "[broker][session]") {
  SECTION("an answer before the challenge") {
    Line line;
    line.client.start();
    line.client.take(encode(AgentMessage(Opened{})));
    CHECK(line.ended == std::vector<Code>{Code::session_unexpected});
  }
  SECTION("a second challenge is not signed") {
    Line line;
    line.client.start();
    line.client.take(encode(AgentMessage(line.host.challenge())));
    line.to_node.clear();
    line.client.take(encode(AgentMessage(line.host.challenge())));
    CHECK(line.ended == std::vector<Code>{Code::session_unexpected});
    CHECK(line.to_node.empty());
  }
  SECTION("a node that the capsule does not name") {
    Line line;
    line.client.start();
    line.to_node.clear();
    Challenge other = line.host.challenge();
    other.node = keys().stranger.public_key();
    line.client.take(encode(AgentMessage(other)));
    CHECK(line.ended == std::vector<Code>{Code::audience_other});
    CHECK(line.to_node.empty());
  }
}

}  // namespace
}  // namespace taper::broker
