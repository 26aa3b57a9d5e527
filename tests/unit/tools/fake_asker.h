// A session that remembers what it was asked and replies when the test says so.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "tools/taper/connect/backend.h"

namespace taper::tools {

class FakeAsker : public Asker {
 public:
  struct Asked {
    Ticket ticket = 0;
    broker::SessionRequest request;
    Told told;
  };
  std::vector<Asked> asked;
  std::vector<Ticket> abandoned;

  void ask(Ticket ticket, broker::SessionRequest request, Told told) override {
    asked.push_back({ticket, std::move(request), std::move(told)});
  }
  void abandon(Ticket ticket) override { abandoned.push_back(ticket); }

  const broker::SessionRequest& last() const {
    REQUIRE(!asked.empty());
    return asked.back().request;
  }
  // Answers the `index`th question, counted from the first.
  void reply(std::size_t index, Code code, std::string body) {
    REQUIRE(index < asked.size());
    broker::SessionReply reply;
    reply.code = code;
    reply.body = std::move(body);
    const Told told = asked[index].told;
    told(reply);
  }
  void reply(std::string body) { reply(asked.size() - 1, Code::ok, std::move(body)); }
  void refuse(Code code, std::string body = "{}") {
    reply(asked.size() - 1, code, std::move(body));
  }
  void lose(Unanswered::When when) {
    const Told told = asked.back().told;
    told(Unanswered{when, Error(Code::control_unreachable)});
  }
};

inline mcp::Json json(std::string_view text) {
  const std::optional<mcp::Json> value = mcp::Json::parse(text);
  REQUIRE(value);
  return *value;
}

inline constexpr std::string_view kCall = "00112233445566778899aabbccddeeff";

// The body of a task's answer; `more` are members without braces.
inline std::string task_body(std::string_view status, std::string_view more = {}) {
  return R"({"call":")" + std::string(kCall) + R"(","status":")" + std::string(status) +
         R"(","created_s":1700000000,"updated_s":1700000005,"ttl_ms":60000,"poll_ms":500)" +
         (more.empty() ? "" : ",") + std::string(more) + "}";
}

}  // namespace taper::tools
