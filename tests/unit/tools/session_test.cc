// A session over a socket that comes and goes.
#include "tools/taper/connect/session.h"

#include <chrono>

#include "tests/unit/tools/served_node.h"

namespace taper::tools {
namespace {

using broker::Ask;

struct Life {
  boost::asio::io_context io{1};
  ServedNode node{io};
  SystemClock clock;
  bool room = true;
  std::optional<Code> fails;
  int reopened = 0;
  int ended = 0;
  int drained = 0;
  std::vector<std::string> events;
  std::vector<Asker::Ticket> progressed;
  std::vector<Replied> told;
  SessionKeeper keeper{
      io,
      clock,
      {.handshake = [this] { return node.holder(); },
       .link = [this](authority::HolderHandshake handshake,
                      SessionKeeper::Listener listener) -> Result<std::unique_ptr<SessionLink>> {
         if (fails) return Error(*fails);
         return connect(io, node.path(), std::move(handshake), std::move(listener),
                        {.may_read = [this] { return room; }, .drained = [this] { ++drained; }});
       }},
      {.happened = [this](const broker::SessionEvent& event) { events.push_back(event.body); },
       .reopened = [this] { ++reopened; },
       .ended = [this](const Error&) { ++ended; },
       .progressed = [this](Asker::Ticket ticket,
                            const broker::SessionEvent&) { progressed.push_back(ticket); }}};
  Asker::Ticket last = 0;

  Asker::Ticket ask(Ask what) {
    broker::SessionRequest request;
    request.ask = what;
    if (what == Ask::call) request.tool = "t";
    keeper.ask(++last, request, [this](const Replied& replied) { told.push_back(replied); });
    return last;
  }
  // Runs until `done`, or for as long as no test may take.
  void run_until(const std::function<bool()>& done) {
    io.restart();
    for (int i = 0; i < 3000 && !done(); ++i) io.run_for(std::chrono::milliseconds(5));
    REQUIRE(done());
  }
  void await(std::size_t count) {
    run_until([&] { return told.size() >= count; });
    CHECK(told.size() == count);
  }
  Code code(std::size_t index) const {
    const auto* reply = std::get_if<broker::SessionReply>(&told.at(index));
    REQUIRE(reply != nullptr);
    return reply->code;
  }
  const Unanswered& unanswered(std::size_t index) const {
    const auto* found = std::get_if<Unanswered>(&told.at(index));
    REQUIRE(found != nullptr);
    return *found;
  }
};

TEST_CASE("The first question opens the session, later ones share it", "[tools][connect]") {
  Life life;
  life.node.answers[Ask::call] = "{}";
  life.node.up();
  life.ask(Ask::call);
  life.ask(Ask::call);
  life.await(2);
  life.ask(Ask::call);
  life.await(3);
  CHECK(life.node.admissions == 1);
  CHECK(life.reopened == 0);
}

TEST_CASE("An absent node is told at once before the first session", "[tools][connect]") {
  Life life;
  life.ask(Ask::call);
  REQUIRE(life.told.size() == 1);
  CHECK(life.unanswered(0).when == Unanswered::When::unsent);
  CHECK(life.unanswered(0).why.code() == Code::control_unreachable);
  CHECK(life.unanswered(0).why.detail().fix.find("taperd") != std::string::npos);
}

TEST_CASE("An event of a request goes to whoever asked it, while it is unanswered",
          "[tools][connect]") {
  Life life;
  life.node.answers[Ask::describe] = "{}";
  life.node.tells = {{}, "{}", 0};  // with the answer to it: of the first request
  life.node.up();
  const Asker::Ticket call = life.ask(Ask::call);
  life.run_until([&] { return life.node.seen.size() == 1; });
  life.ask(Ask::describe);
  life.await(1);
  CHECK(life.progressed == std::vector<Asker::Ticket>{call});
  CHECK(life.events.empty());
  // Of one that nobody waits for, and of none.
  life.keeper.abandon(call);
  life.ask(Ask::describe);
  life.await(2);
  life.node.tells->request.reset();
  life.ask(Ask::describe);
  life.await(3);
  CHECK(life.progressed.size() == 1);
  CHECK(life.events.size() == 1);
}

TEST_CASE("A state that was just taken is waited for, also at first", "[tools][connect]") {
  Life life;
  life.fails = Code::state_locked;
  life.node.answers[Ask::call] = "{}";
  life.node.up();
  life.ask(Ask::call);
  life.io.restart();
  life.io.run_for(std::chrono::milliseconds(200));
  CHECK(life.told.empty());
  life.fails.reset();
  life.await(1);
  CHECK(life.code(0) == Code::ok);
  CHECK(life.reopened == 0);
}

TEST_CASE("A node that refuses is not asked again", "[tools][connect]") {
  Life life;
  life.node.refuses = Code::task_terminal;
  life.node.up();
  life.ask(Ask::call);
  life.await(1);
  CHECK(life.unanswered(0).why.code() == Code::task_terminal);
  CHECK(life.unanswered(0).when == Unanswered::When::unsent);
}

TEST_CASE("When the task has ended, that is told and no other is begun", "[tools][connect][R11]") {
  Life life;
  life.node.up();
  life.node.ends = Code::idle_ended;
  life.ask(Ask::call);
  life.await(1);
  CHECK(life.unanswered(0).when == Unanswered::When::in_flight);
  CHECK(life.unanswered(0).why.code() == Code::idle_ended);
  life.node.ends.reset();
  life.node.answers[Ask::call] = "{}";
  life.ask(Ask::call);
  life.await(2);
  CHECK(life.unanswered(1).when == Unanswered::When::ended);
  CHECK(life.unanswered(1).why.code() == Code::idle_ended);
  CHECK(life.ended == 1);
  CHECK(life.node.admissions == 1);
}

TEST_CASE("What was in flight when the node went is told so, and not asked again",
          "[tools][connect]") {
  Life life;
  life.node.up();
  life.ask(Ask::call);
  life.run_until([&] { return life.node.seen.size() == 1; });
  life.node.down();
  life.await(1);
  CHECK(life.unanswered(0).when == Unanswered::When::in_flight);
  life.node.answers[Ask::poll] = "{}";
  life.node.up();
  life.ask(Ask::describe);
  life.run_until([&] { return life.node.seen.size() == 2; });
  CHECK(life.node.seen.back() == Ask::describe);
  CHECK(life.reopened == 1);
}

TEST_CASE("A question asked while the node restarts waits for it", "[tools][connect]") {
  Life life;
  life.node.answers[Ask::call] = "{}";
  life.node.up();
  life.ask(Ask::call);
  life.await(1);
  life.node.down();
  life.ask(Ask::call);
  life.io.restart();
  life.io.run_for(std::chrono::milliseconds(300));
  // It met the end of the old session, or found nobody and waits.
  const std::size_t lost = life.told.size() - 1;
  REQUIRE(lost <= 1);
  if (lost == 1) life.ask(Ask::call);
  life.node.up();
  life.await(2 + lost);
  CHECK(life.code(1 + lost) == Code::ok);
  CHECK(life.reopened == 1);
}

TEST_CASE("An abandoned question is told the node and nobody else", "[tools][connect]") {
  Life life;
  life.node.up();
  const Asker::Ticket ticket = life.ask(Ask::call);
  const Asker::Ticket early = life.ask(Ask::describe);
  life.keeper.abandon(early);  // before it was sent
  life.run_until([&] { return life.node.seen.size() == 1; });
  life.keeper.abandon(ticket);
  life.keeper.abandon(ticket);
  life.node.answers[Ask::poll] = "{}";
  life.run_until([&] { return life.node.seen.size() == 2; });
  CHECK(life.node.seen == std::vector{Ask::call, Ask::abandon});
  life.node.down();
  life.io.run_for(std::chrono::milliseconds(50));
  CHECK(life.told.empty());
}

TEST_CASE("Nothing is read while there is no room for it", "[tools][connect]") {
  Life life;
  life.node.answers[Ask::call] = "{}";
  life.node.up();
  life.ask(Ask::call);
  life.await(1);
  life.room = false;
  life.ask(Ask::call);  // the read that is under way still brings one answer
  life.await(2);
  life.ask(Ask::call);
  life.io.restart();
  life.io.run_for(std::chrono::milliseconds(100));
  CHECK(life.told.size() == 2);
  life.room = true;
  life.keeper.resume();
  life.await(3);
  CHECK(life.drained > 0);
}

}  // namespace
}  // namespace taper::tools
