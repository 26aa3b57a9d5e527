// Two halves of a session in one process: nobody is called from within the other.
#include "runtime/broker/local_link.h"

#include <catch2/catch.hpp>

#include "tests/unit/broker/session_fakes.h"

namespace taper::broker {
namespace {

// Whether one half is at work, which the other must never see.
struct WatchedHost : FakeHost {
  explicit WatchedHost(bool& holder_works) : holder_works_(holder_works) {}
  void ask(Session& session, std::uint64_t number, SessionRequest request) override {
    CHECK_FALSE(holder_works_);
    FakeHost::ask(session, number, std::move(request));
  }
  bool& holder_works_;
};

struct Linked {
  bool holder_works = false;
  WatchedHost host{holder_works};
  int wakes = 0, opened = 0;
  std::vector<Code> answers, ended;
  std::optional<LocalLink> link;

  Linked() {
    link.emplace(host, host.holder(),
                 SessionClient::Listener{
                     .opened = [this](const Opened&) { ++opened; },
                     .happened = nullptr,
                     .over = [this](const Error& error) { ended.push_back(error.code()); }},
                 [this] { ++wakes; });
  }
  // As the loop does: as often as it was woken.
  void run() {
    for (int i = 0; wakes > 0 && i < 100; ++i) {
      --wakes;
      link->pump();
    }
  }
  void ask(int more = 0) {
    SessionRequest request;
    request.ask = Ask::describe;
    link->client().ask(request, [this, more](const Result<SessionReply>& reply) {
      answers.push_back(reply.code());
      holder_works = true;
      if (more > 0 && reply.ok()) ask(more - 1);
      link->pump();  // from within: nothing
      holder_works = false;
    });
  }
  void open() {
    link->client().start();
    run();
    REQUIRE(link->client().live());
    REQUIRE(link->session().live());
    CHECK(wakes == 0);
  }
};

TEST_CASE("a linked client opens, asks, and asks again from an answer", "[broker][session]") {
  Linked linked;
  linked.open();
  CHECK(linked.opened == 1);
  linked.ask(5);
  CHECK(linked.answers.empty());
  CHECK(linked.wakes == 1);
  linked.run();
  CHECK(linked.answers == std::vector<Code>(6, Code::ok));
  CHECK(linked.host.misuses.empty());
}

TEST_CASE("many requests wait in their order and wake once", "[broker][session]") {
  Linked linked;
  linked.open();
  for (int i = 0; i < 10; ++i) linked.ask();
  CHECK(linked.wakes == 1);
  linked.run();
  CHECK(linked.answers.size() == 10);
  CHECK(linked.ended.empty());
}

TEST_CASE("a host that ends a linked session tells its client", "[broker][session]") {
  Linked linked;
  linked.open();
  linked.host.answers_at_once = false;
  linked.ask();
  linked.run();
  linked.link->session().end(Code::lease_ended);
  linked.run();
  CHECK(linked.answers == std::vector<Code>{Code::lease_ended});
  CHECK(linked.ended == std::vector<Code>{Code::lease_ended});
  CHECK(linked.host.departures == 0);
  linked.link.reset();
  CHECK(linked.host.departures == 1);
}

TEST_CASE("a link that goes before it is open gives its challenge back", "[broker][session]") {
  Linked linked;
  linked.link->client().start();
  linked.link->pump();
  CHECK(linked.link->session().asked().has_value());
  const Nonce challenge = linked.host.asked.challenge;
  linked.link.reset();
  CHECK(linked.host.withdrawn == std::vector<Nonce>{challenge});
}

}  // namespace
}  // namespace taper::broker
