// A broker that serves sessions, and holders who ask in them, in one process and in an order of the
// test's own.
#pragma once

#include <poll.h>

#include <list>

#include "capsules/value.h"
#include "runtime/broker/session_host.h"
#include "tests/support/local_link.h"
#include "tests/unit/broker/broker_life.h"

namespace taper::broker {

// The body of a reply, and what stands in it: empty, or -1, where it is of another kind.
inline capsules::Value json(const std::string& body) {
  return must(capsules::parse_value(as_bytes(body), limits::kResultBytesMax));
}
inline std::string text_at(const capsules::Value& value, std::string_view pointer) {
  const capsules::Value* found = value.at_pointer(pointer);
  return found != nullptr && found->text() != nullptr ? *found->text() : "";
}
inline std::int64_t number_at(const capsules::Value& value, std::string_view pointer) {
  const capsules::Value* found = value.at_pointer(pointer);
  return found != nullptr && found->integer() != nullptr ? *found->integer() : -1;
}

// One holder's program. Its session may end and be opened anew.
struct Agent {
  std::unique_ptr<testing::LocalLink> link;
  std::vector<SessionEvent> events;
  std::optional<Opened> opened;
  std::optional<Code> ended;
};

struct SessionLife {
  explicit SessionLife(const testing::NodeForTests& its_node) : node(its_node) {
    owned = must(own_state(node.state(), node.folder() + "/agent.key", clock.now()));
    REQUIRE(take_signer(owned, node.state()).ok());
    spawner = must(sandbox::Spawner::launch(must(sibling_program("taper-spawnd"))));
    results.emplace(node.state());
    shelf.emplace(tool_directories(node.state()));
    tasks.emplace(TaskLife::Parts{.authority = *owned.authority,
                                  .spawner = *spawner,
                                  .store = *owned.store,
                                  .results = *results,
                                  .tools = *shelf,
                                  .clock = clock});
    host.emplace(owned, *tasks);
  }
  ~SessionLife() { agents.clear(); }

  Agent& open(const std::string& file,
              testing::NodeForTests::As as = testing::NodeForTests::As::holder) {
    Agent& agent = agents.emplace_back();
    const SessionClient::Listener listener{
        .opened = [&agent](const Opened& opened) { agent.opened = opened; },
        .happened = [&agent](const SessionEvent& event) { agent.events.push_back(event); },
        .over = [&agent](const Error& error) { agent.ended = error.code(); }};
    agent.link =
        std::make_unique<testing::LocalLink>(*host, node.opening(file, as), listener, [] {});
    agent.link->client().start();
    until([&agent] { return agent.opened || agent.ended; });
    return agent;
  }

  // As the event loop does: whatever there is to do, until `done` or ten seconds are over.
  void until(const std::function<bool()>& done) {
    const std::int64_t end = clock.now().boot_ms + 10'000;
    while (!done() && clock.now().boot_ms < end) {
      for (Agent& agent : agents) agent.link->pump();
      pollfd news{spawner->wait_fd(), POLLIN, 0};
      if (::poll(&news, 1, tasks->ready() ? 0 : 1) > 0) tasks->spawner_reported();
      if (tasks->ready()) tasks->advance();
      const auto due = [&](const std::optional<std::int64_t>& wake) {
        return wake && *wake <= clock.now().boot_ms;
      };
      if (due(tasks->wake_boot_ms())) tasks->look_at_time();
      if (due(host->wake_boot_ms())) host->look_at_time();
      if (host->ready()) host->advance();
    }
    CHECK(done());
  }

  SessionReply ask(Agent& agent, SessionRequest request) {
    std::optional<Result<SessionReply>> reply;
    agent.link->client().ask(request,
                             [&reply](Result<SessionReply> got) { reply = std::move(got); });
    until([&reply] { return reply.has_value(); });
    if (reply && reply->ok()) return std::move(**reply);
    return {.code = Code::internal, .body = ""};
  }
  SessionReply call(Agent& agent, const std::string& tool, const std::string& arguments,
                    Ask kind = Ask::call) {
    SessionRequest request;
    request.ask = kind;
    request.tool = tool;
    request.arguments = to_bytes(as_bytes(arguments));
    return ask(agent, std::move(request));
  }
  SessionReply about(Agent& agent, Ask kind, const CallId& handle = {}) {
    SessionRequest request;
    request.ask = kind;
    request.call = handle;
    return ask(agent, std::move(request));
  }

  const testing::NodeForTests& node;
  const SystemClock clock;
  OwnedState owned;
  std::unique_ptr<sandbox::Spawner> spawner;
  std::optional<store::ResultFiles> results;
  std::optional<ToolShelf> shelf;
  std::optional<TaskHost> tasks;
  std::optional<SessionHost> host;
  std::list<Agent> agents;
};

}  // namespace taper::broker
