#include "runtime/broker/messages.h"

#include <algorithm>

#include "messages_generated.h"
#include "runtime/broker/wire.h"

namespace taper::broker {
namespace {

constexpr std::uint32_t kVersion = 1;

Bytes finish(flatbuffers::FlatBufferBuilder& builder, wire::Body kind,
             flatbuffers::Offset<void> body) {
  wire::FinishControlMessageBuffer(builder, wire::CreateControlMessage(builder, kind, body));
  return built(builder);
}

Result<ControlVerb> verb_of(flatbuffers::Optional<wire::Request> request) {
  if (!request) return malformed("a request kind");
  switch (*request) {
    case wire::Request::show: return ControlVerb::show;
    case wire::Request::cancel: return ControlVerb::cancel;
    case wire::Request::none: break;
  }
  return malformed("a known request kind");
}

}  // namespace

Bytes encode(const ControlRequest& request) {
  flatbuffers::FlatBufferBuilder builder;
  const auto task = builder.CreateVector(request.task.bytes.data(), request.task.bytes.size());
  const wire::Request kind = request.verb == ControlVerb::show     ? wire::Request::show
                             : request.verb == ControlVerb::cancel ? wire::Request::cancel
                                                                   : wire::Request::none;
  const auto body = wire::CreateControlRequest(builder, kVersion, kind, task);
  return finish(builder, wire::Body::ControlRequest, body.Union());
}

Bytes encode(const ControlReply& reply) {
  flatbuffers::FlatBufferBuilder builder;
  const std::size_t length = std::min(reply.detail.size(), limits::kControlDetailBytesMax);
  const auto detail = builder.CreateString(reply.detail.data(), length);
  const auto body =
      wire::CreateControlReply(builder, kVersion, static_cast<std::uint16_t>(reply.code), detail);
  return finish(builder, wire::Body::ControlReply, body.Union());
}

Result<ControlRequest> decode_request(ByteSpan message) {
  const Bytes copy = to_bytes(message);
  TAPER_TRY(const wire::ControlMessage* root,
            verified<wire::ControlMessage>(copy, wire::ControlMessageIdentifier(),
                                           limits::kControlMessageBytesMax));
  const wire::ControlRequest* body = root->body_as_ControlRequest();
  if (body == nullptr) return malformed("a request");
  if (body->version() != kVersion) return malformed("version 1");
  ControlRequest request;
  TAPER_TRY(request.verb, verb_of(body->request()));
  if (body->task() == nullptr) return malformed("a task");
  const std::optional<TaskId> task = TaskId::from({body->task()->data(), body->task()->size()});
  if (!task) return malformed("a task of 16 bytes");
  request.task = *task;
  if (encode(request) != copy) return malformed("the one encoding of this request");
  return request;
}

Result<ControlReply> decode_reply(ByteSpan message) {
  const Bytes copy = to_bytes(message);
  TAPER_TRY(const wire::ControlMessage* root,
            verified<wire::ControlMessage>(copy, wire::ControlMessageIdentifier(),
                                           limits::kControlMessageBytesMax));
  const wire::ControlReply* body = root->body_as_ControlReply();
  if (body == nullptr) return malformed("a reply");
  if (body->version() != kVersion) return malformed("version 1");
  if (!body->code() || body->detail() == nullptr) return malformed("a code and a detail");
  if (body->detail()->size() > limits::kControlDetailBytesMax) return malformed("a shorter detail");
  ControlReply reply;
  reply.code = static_cast<Code>(describe_number(*body->code()).number);
  if (static_cast<std::uint16_t>(reply.code) != *body->code()) return malformed("a known code");
  reply.detail = body->detail()->str();
  if (encode(reply) != copy) return malformed("the one encoding of this reply");
  return reply;
}

}  // namespace taper::broker
