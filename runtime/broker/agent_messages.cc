#include "runtime/broker/agent_messages.h"

#include <algorithm>

#include "agent_generated.h"
#include "runtime/broker/wire.h"

namespace taper::broker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using wire::AgentBody;

constexpr std::uint32_t kVersion = 1;

struct Body {
  AgentBody kind;
  flatbuffers::Offset<void> at;
};

Body write(Builder& builder, const Hello&) {
  return {AgentBody::Hello, wire::CreateHello(builder, kVersion).Union()};
}

Body write(Builder& builder, const Challenge& challenge) {
  const auto fleet = put(builder, challenge.fleet.bytes);
  const auto node = put(builder, challenge.node.bytes);
  const auto incarnation = put(builder, challenge.incarnation.bytes);
  const auto nonce = put(builder, challenge.challenge.bytes);
  return {AgentBody::Challenge,
          wire::CreateChallenge(builder, kVersion, fleet, node, incarnation, nonce).Union()};
}

Body write(Builder& builder, const Open& open) {
  const auto capsule = put(builder, open.capsule);
  const auto exchange = put(builder, open.exchange.bytes);
  const auto signature = put(builder, open.signature);
  return {AgentBody::Open, wire::CreateOpen(builder, capsule, exchange, signature).Union()};
}

Body write(Builder& builder, const Opened& opened) {
  const auto task = put(builder, opened.answer.task.bytes);
  const auto exchange = put(builder, opened.answer.exchange.bytes);
  const auto signature = put(builder, opened.signature);
  return {AgentBody::Opened,
          wire::CreateOpened(builder, task, opened.answer.resumed, exchange, signature).Union()};
}

Body write(Builder& builder, const Refused& refused) {
  const std::size_t length = std::min(refused.detail.size(), limits::kControlDetailBytesMax);
  const auto detail = builder.CreateString(refused.detail.data(), length);
  return {AgentBody::Refused,
          wire::CreateRefused(builder, static_cast<std::uint16_t>(refused.code), detail).Union()};
}

Body write(Builder& builder, const Tagged& tagged) {
  const auto tag = put(builder, tagged.tag.bytes);
  const auto body = put(builder, tagged.body);
  return {AgentBody::Tagged, wire::CreateTagged(builder, tag, body).Union()};
}

Result<crypto::Signature> signature_of(const WireBytes* bytes) {
  crypto::Signature signature;
  if (span_of(bytes).size() != signature.size()) return malformed("a signature of 64 bytes");
  std::ranges::copy(span_of(bytes), signature.begin());
  return signature;
}

Result<AgentMessage> read(const wire::Hello& body) {
  if (body.version() != kVersion) return malformed("version 1");
  return AgentMessage(Hello{});
}

Result<AgentMessage> read(const wire::Challenge& body) {
  if (body.version() != kVersion) return malformed("version 1");
  Challenge challenge;
  TAPER_TRY(challenge.fleet, id_of<Hash>(body.fleet(), "a fleet of 32 bytes"));
  TAPER_TRY(challenge.node, id_of<PublicKey>(body.node(), "a node key of 32 bytes"));
  TAPER_TRY(challenge.incarnation,
            id_of<Incarnation>(body.incarnation(), "an incarnation of 16 bytes"));
  TAPER_TRY(challenge.challenge, id_of<Nonce>(body.challenge(), "a challenge of 32 bytes"));
  return AgentMessage(challenge);
}

Result<AgentMessage> read(const wire::Open& body) {
  Open open;
  if (body.capsule() == nullptr || body.capsule()->size() > limits::kCapsuleBytesMax)
    return malformed("a capsule of at most 64 KiB");
  open.capsule = to_bytes(span_of(body.capsule()));
  TAPER_TRY(open.exchange, id_of<SealKey>(body.exchange(), "an exchange key of 32 bytes"));
  TAPER_TRY(open.signature, signature_of(body.signature()));
  return AgentMessage(std::move(open));
}

Result<AgentMessage> read(const wire::Opened& body) {
  Opened opened;
  if (!body.resumed()) return malformed("whether the task was resumed");
  opened.answer.resumed = *body.resumed();
  TAPER_TRY(opened.answer.task, id_of<TaskId>(body.task(), "a task of 16 bytes"));
  TAPER_TRY(opened.answer.exchange, id_of<SealKey>(body.exchange(), "an exchange key of 32 bytes"));
  TAPER_TRY(opened.signature, signature_of(body.signature()));
  return AgentMessage(opened);
}

Result<AgentMessage> read(const wire::Refused& body) {
  if (!body.code() || body.detail() == nullptr) return malformed("a code and a detail");
  if (body.detail()->size() > limits::kControlDetailBytesMax) return malformed("a shorter detail");
  Refused refused;
  refused.code = static_cast<Code>(describe_number(*body.code()).number);
  if (static_cast<std::uint16_t>(refused.code) != *body.code()) return malformed("a known code");
  refused.detail = body.detail()->str();
  return AgentMessage(std::move(refused));
}

Result<AgentMessage> read(const wire::Tagged& body) {
  Tagged tagged;
  TAPER_TRY(tagged.tag, id_of<crypto::Tag>(body.tag(), "a tag of 32 bytes"));
  if (body.body() == nullptr || body.body()->size() > limits::kSessionBodyBytesMax)
    return malformed("a body within its limit");
  tagged.body = to_bytes(span_of(body.body()));
  return AgentMessage(std::move(tagged));
}

Result<AgentMessage> read_body(const wire::AgentMessage& root) {
  if (root.body() == nullptr) return malformed("a body");
  switch (root.body_type()) {
    case AgentBody::Hello: return read(*root.body_as_Hello());
    case AgentBody::Challenge: return read(*root.body_as_Challenge());
    case AgentBody::Open: return read(*root.body_as_Open());
    case AgentBody::Opened: return read(*root.body_as_Opened());
    case AgentBody::Refused: return read(*root.body_as_Refused());
    case AgentBody::Tagged: return read(*root.body_as_Tagged());
    case AgentBody::NONE: break;
  }
  return malformed("a known kind of message");
}

}  // namespace

Bytes encode(const AgentMessage& message) {
  Builder builder;
  const Body body =
      std::visit([&builder](const auto& one) { return write(builder, one); }, message);
  wire::FinishAgentMessageBuffer(builder, wire::CreateAgentMessage(builder, body.kind, body.at));
  return built(builder);
}

Result<AgentMessage> decode_agent_message(ByteSpan message) {
  if (message.size() > limits::kAgentMessageBytesMax) return malformed("a smaller message");
  const Bytes copy = to_bytes(message);
  TAPER_TRY(const wire::AgentMessage* root,
            verified<wire::AgentMessage>(copy, wire::AgentMessageIdentifier(),
                                         limits::kAgentMessageBytesMax));
  TAPER_TRY(AgentMessage read, read_body(*root));
  if (encode(read) != copy) return malformed("the one encoding of this message");
  return read;
}

}  // namespace taper::broker
