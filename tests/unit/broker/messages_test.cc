// Only byte-exact messages of a known kind pass.
#include "runtime/broker/messages.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

TaskId some_task() {
  TaskId task;
  for (std::size_t i = 0; i < task.bytes.size(); ++i)
    task.bytes[i] = static_cast<std::uint8_t>(i + 1);
  return task;
}

TEST_CASE("a request comes back as it was", "[broker][messages]") {
  for (const ControlVerb verb : {ControlVerb::show, ControlVerb::cancel}) {
    const Result<ControlRequest> back = decode_request(encode({.verb = verb, .task = some_task()}));
    REQUIRE(back.ok());
    CHECK(back->verb == verb);
    CHECK(back->task == some_task());
  }
}

TEST_CASE("a reply comes back as it was, long details cut", "[broker][messages]") {
  const Result<ControlReply> back =
      decode_reply(encode(ControlReply{.code = Code::task_terminal, .detail = "completed"}));
  REQUIRE(back.ok());
  CHECK(back->code == Code::task_terminal);
  CHECK(back->detail == "completed");
  const std::string longer(limits::kControlDetailBytesMax + 100, 'x');
  const Result<ControlReply> cut =
      decode_reply(encode(ControlReply{.code = Code::ok, .detail = longer}));
  REQUIRE(cut.ok());
  CHECK(cut->detail.size() == limits::kControlDetailBytesMax);
}

TEST_CASE("every truncation and every trailing byte is refused", "[broker][messages]") {
  const Bytes whole = encode(ControlRequest{.verb = ControlVerb::cancel, .task = some_task()});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Result<ControlRequest> cut = decode_request(ByteSpan(whole).first(length));
    CHECK(cut.code() == Code::message_malformed);
  }
  for (std::size_t more : {1u, 4u, 16u, 4096u}) {
    Bytes longer = whole;
    longer.resize(whole.size() + more);
    CHECK(decode_request(longer).code() == Code::message_malformed);
  }
}

TEST_CASE("a flipped bit changes the task or is refused", "[broker][messages]") {
  const Bytes whole = encode(ControlRequest{.verb = ControlVerb::cancel, .task = some_task()});
  for (std::size_t at = 0; at < whole.size() * 8; ++at) {
    Bytes flipped = whole;
    flipped[at / 8] = static_cast<std::uint8_t>(flipped[at / 8] ^ (1u << (at % 8)));
    const Result<ControlRequest> read = decode_request(flipped);
    if (!read.ok()) {
      CHECK(read.code() == Code::message_malformed);
    } else {
      CHECK((read->task != some_task() || read->verb != ControlVerb::cancel));
      CHECK(encode(*read) == flipped);
    }
  }
}

TEST_CASE("a reply is no request and the other way round", "[broker][messages]") {
  CHECK(decode_request(encode(ControlReply{.code = Code::ok, .detail = ""})).code() ==
        Code::message_malformed);
  CHECK(
      decode_reply(encode(ControlRequest{.verb = ControlVerb::show, .task = some_task()})).code() ==
      Code::message_malformed);
  CHECK(decode_request(encode(ControlRequest{})).code() == Code::message_malformed);
}

TEST_CASE("a message above the cap is refused", "[broker][messages]") {
  CHECK(decode_request(Bytes(limits::kControlMessageBytesMax + 1)).code() ==
        Code::message_malformed);
}

}  // namespace
}  // namespace taper::broker
