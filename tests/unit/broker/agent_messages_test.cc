// Messages of a session: only byte-exact ones of a known kind pass.
#include "runtime/broker/agent_messages.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "runtime/broker/session_messages.h"

namespace taper::broker {
namespace {

template <class IdType>
IdType some_id(std::uint8_t first) {
  IdType id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i)
    id.bytes[i] = static_cast<std::uint8_t>(first + i);
  return id;
}

std::vector<Bytes> envelopes() {
  Challenge challenge;
  challenge.fleet = some_id<Hash>(1);
  challenge.node = some_id<PublicKey>(2);
  challenge.incarnation = some_id<Incarnation>(3);
  challenge.challenge = some_id<Nonce>(4);
  Open open;
  open.capsule = to_bytes(as_bytes("TPC1 and so on"));
  open.exchange = some_id<SealKey>(5);
  open.signature.fill(6);
  Opened opened;
  opened.answer.task = some_id<TaskId>(7);
  opened.answer.resumed = true;
  opened.answer.exchange = some_id<SealKey>(8);
  opened.signature.fill(9);
  return {encode(AgentMessage(Hello{})),
          encode(AgentMessage(challenge)),
          encode(AgentMessage(open)),
          encode(AgentMessage(opened)),
          encode(AgentMessage(Refused{Code::proof_wrong, "no"})),
          encode(AgentMessage(Tagged{some_id<crypto::Tag>(10), to_bytes(as_bytes("body"))}))};
}

std::vector<SessionMessage> bodies() {
  std::vector<SessionMessage> out;
  for (auto ask = static_cast<int>(Ask::describe); ask <= static_cast<int>(Ask::close); ++ask) {
    SessionRequest request;
    request.ask = static_cast<Ask>(ask);
    request.tool = "file.read";
    request.arguments = to_bytes(as_bytes(R"({"path":"/x"})"));
    request.call = some_id<CallId>(1);
    request.request = 7;
    request.ttl_ms = 60'000;
    out.emplace_back(request);
    request.progress = true;
    request.trace = {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b", "k=v"};
    if (request.ask == Ask::call) out.emplace_back(request);
  }
  out.emplace_back(SessionReply{3, Code::argument_refused, R"({"a":1})"});
  out.emplace_back(SessionEvent{some_id<CallId>(2), "{}"});
  out.emplace_back(SessionEvent{some_id<CallId>(2), "{}", 7});
  return out;
}

TEST_CASE("every kind of message comes back as it was", "[broker][session]") {
  std::size_t kind = 0;
  for (const Bytes& bytes : envelopes()) {
    const Result<AgentMessage> back = decode_agent_message(bytes);
    REQUIRE(back.ok());
    CHECK(back->index() == kind++);
    CHECK(encode(*back) == bytes);
  }
  const Result<AgentMessage> tagged = decode_agent_message(envelopes().back());
  REQUIRE(tagged.ok());
  CHECK(as_text(std::get<Tagged>(*tagged).body) == "body");
  for (const SessionMessage& message : bodies()) {
    const Result<SessionMessage> back = decode_session_message(encode(message));
    REQUIRE(back.ok());
    CHECK(back->index() == message.index());
    CHECK(encode(*back) == encode(message));
  }
}

TEST_CASE("what a request does not use is not carried", "[broker][session]") {
  SessionRequest request;
  request.ask = Ask::poll;
  request.tool = "file.read";
  request.call = some_id<CallId>(1);
  const Result<SessionMessage> back = decode_session_message(encode(SessionMessage(request)));
  REQUIRE(back.ok());
  CHECK(std::get<SessionRequest>(*back).tool.empty());
  CHECK(std::get<SessionRequest>(*back).call == request.call);
}

TEST_CASE("a call that goes on carries its answers, and what can be answered",
          "[broker][session][R43]") {
  SessionRequest request;
  request.ask = Ask::call;
  request.tool = "a.b";
  request.input = authority::Input::urls;
  request.responses = {1, 2};
  const auto back = [&] {
    const auto read = decode_session_message(encode(SessionMessage(request)));
    REQUIRE(read.ok());
    return std::get<SessionRequest>(*read);
  };
  CHECK(back().input == authority::Input::urls);
  CHECK(back().responses.empty());
  request.call = some_id<CallId>(1);
  CHECK(back().call == request.call);
  CHECK(back().responses == request.responses);
  // The same with no id where one stands is no new call.
  Bytes bytes = encode(SessionMessage(request));
  const auto id = std::ranges::search(bytes, request.call.bytes);
  REQUIRE_FALSE(id.empty());
  std::ranges::fill(id, std::uint8_t{0});
  CHECK(decode_session_message(bytes).code() == Code::message_malformed);
  request.ask = Ask::create;
  CHECK(back().call.is_zero());
  CHECK(back().responses.empty());
}

// Cuts, additions and flipped bits: refused, or another message that is whole in itself.
template <class Decode>
void attack(const Bytes& whole, const Decode& decode) {
  for (std::size_t length = 0; length < whole.size(); ++length)
    CHECK(decode(ByteSpan(whole).first(length)).code() == Code::message_malformed);
  for (std::size_t more : {1u, 4u, 16u}) {
    Bytes longer = whole;
    longer.resize(whole.size() + more);
    CHECK(decode(longer).code() == Code::message_malformed);
  }
  for (std::size_t at = 0; at < whole.size() * 8; ++at) {
    Bytes flipped = whole;
    flipped[at / 8] = static_cast<std::uint8_t>(flipped[at / 8] ^ (1u << (at % 8)));
    const auto read = decode(flipped);
    if (read.ok()) {
      CHECK(encode(*read) == flipped);
    } else {
      CHECK(read.code() == Code::message_malformed);
    }
  }
}

TEST_CASE("cut, lengthened and flipped messages are refused", "[broker][session]") {
  for (const Bytes& whole : envelopes()) attack(whole, decode_agent_message);
  for (const SessionMessage& message : bodies()) attack(encode(message), decode_session_message);
}

TEST_CASE("an unknown request and an envelope in a body are refused", "[broker][session]") {
  CHECK(decode_session_message(encode(SessionMessage(SessionRequest{}))).code() ==
        Code::message_malformed);
  for (const Bytes& envelope : envelopes())
    CHECK(decode_session_message(envelope).code() == Code::message_malformed);
  CHECK(decode_agent_message(Bytes(limits::kAgentMessageBytesMax + 1)).code() ==
        Code::message_malformed);
}

}  // namespace
}  // namespace taper::broker
