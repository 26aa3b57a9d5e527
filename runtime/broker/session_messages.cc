#include "runtime/broker/session_messages.h"

#include "runtime/base/text.h"
#include "runtime/broker/wire.h"
#include "session_generated.h"

namespace taper::broker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using wire::SessionBody;

static_assert(static_cast<int>(Ask::close) == static_cast<int>(wire::Ask::close));

struct Body {
  SessionBody kind;
  flatbuffers::Offset<void> at;
};

bool names_tool(Ask ask) { return ask == Ask::call || ask == Ask::create; }
bool has_arguments(Ask ask) { return names_tool(ask) || ask == Ask::update; }
bool names_call(Ask ask) {
  return ask == Ask::poll || ask == Ask::result || ask == Ask::update || ask == Ask::cancel;
}

bool names_call(const SessionRequest& request) {
  return names_call(request.ask) || (request.ask == Ask::call && !request.call.is_zero());
}

// Only what the ask uses is written, so that what it does not use cannot differ.
Body write(Builder& builder, const SessionRequest& request) {
  flatbuffers::Offset<flatbuffers::String> tool;
  flatbuffers::Offset<WireBytes> arguments, call, responses;
  if (names_tool(request.ask)) tool = builder.CreateString(request.tool);
  if (has_arguments(request.ask)) arguments = put(builder, request.arguments);
  if (names_call(request)) call = put(builder, request.call.bytes);
  if (names_call(request) && request.ask == Ask::call) responses = put(builder, request.responses);
  const auto text = [&builder, &request](const std::string& value) {
    return !names_tool(request.ask) || value.empty() ? flatbuffers::Offset<flatbuffers::String>()
                                                     : builder.CreateString(value);
  };
  const auto parent = text(request.trace.parent), state = text(request.trace.state),
             baggage = text(request.trace.baggage);
  wire::SessionRequestBuilder body(builder);
  if (names_tool(request.ask) && request.progress) body.add_progress(true);
  if (!parent.IsNull()) body.add_traceparent(parent);
  if (!state.IsNull()) body.add_tracestate(state);
  if (!baggage.IsNull()) body.add_baggage(baggage);
  if (request.ask == Ask::create && request.ttl_ms) body.add_ttl_ms(*request.ttl_ms);
  if (request.ask == Ask::abandon) body.add_request(request.request);
  if (has_arguments(request.ask) && request.input != authority::Input::none)
    body.add_input(static_cast<std::uint8_t>(request.input));
  if (!responses.IsNull()) body.add_responses(responses);
  if (!call.IsNull()) body.add_call(call);
  if (!arguments.IsNull()) body.add_arguments(arguments);
  if (!tool.IsNull()) body.add_tool(tool);
  body.add_ask(static_cast<wire::Ask>(request.ask));
  return {SessionBody::SessionRequest, body.Finish().Union()};
}

Body write(Builder& builder, const SessionReply& reply) {
  const auto text = builder.CreateString(reply.body);
  const auto code = static_cast<std::uint16_t>(reply.code);
  return {SessionBody::SessionReply,
          wire::CreateSessionReply(builder, reply.answers, code, text).Union()};
}

Body write(Builder& builder, const SessionEvent& event) {
  const auto call = put(builder, event.call.bytes);
  const auto text = builder.CreateString(event.body);
  wire::SessionEventBuilder body(builder);
  if (event.request) body.add_request(*event.request);
  body.add_body(text);
  body.add_call(call);
  return {SessionBody::SessionEvent, body.Finish().Union()};
}

std::string text_of(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }
Status read_input(const wire::SessionRequest& body, SessionRequest& request) {
  if (has_arguments(request.ask) && body.input()) {
    if (*body.input() > static_cast<std::uint8_t>(authority::Input::urls))
      return malformed("a known kind of input");
    request.input = static_cast<authority::Input>(*body.input());
  }
  if (request.ask != Ask::call || body.call() == nullptr) return success();
  TAPER_TRY(request.call, id_of<CallId>(body.call(), "a call's id"));
  if (request.call.is_zero() || body.responses() == nullptr)
    return malformed("a call's id and responses");
  request.responses = to_bytes(span_of(body.responses()));
  return success();
}

Result<SessionMessage> read(const wire::SessionRequest& body) {
  if (!body.ask() || *body.ask() == wire::Ask::none || *body.ask() > wire::Ask::close)
    return malformed("a known request");
  SessionRequest request;
  request.ask = static_cast<Ask>(*body.ask());
  if (names_tool(request.ask)) {
    if (body.tool() == nullptr || body.tool()->size() > limits::kNameBytesMax ||
        !is_utf8(body.tool()->string_view()))
      return malformed("a tool's name");
    request.tool = body.tool()->str();
  }
  if (has_arguments(request.ask)) {
    if (body.arguments() == nullptr) return malformed("arguments");
    request.arguments = to_bytes(span_of(body.arguments()));
  }
  if (names_call(request.ask)) {
    TAPER_TRY(request.call, id_of<CallId>(body.call(), "a call's id"));
  }
  TAPER_CHECK(read_input(body, request));
  if (request.ask == Ask::abandon) {
    if (!body.request()) return malformed("the number of a request");
    request.request = *body.request();
  }
  if (request.ask == Ask::create && body.ttl_ms()) {
    if (*body.ttl_ms() < 0) return malformed("a time that is not negative");
    request.ttl_ms = *body.ttl_ms();
  }
  if (names_tool(request.ask)) {
    request.progress = body.progress().value_or(false);
    request.trace = {text_of(body.traceparent()), text_of(body.tracestate()),
                     text_of(body.baggage())};
    if (fit(request.trace) != request.trace) return malformed("a trace context");
  }
  return SessionMessage(std::move(request));
}

Result<SessionMessage> read(const wire::SessionReply& body) {
  if (!body.answers() || !body.code() || body.body() == nullptr)
    return malformed("a number, a code and a body");
  SessionReply reply;
  reply.answers = *body.answers();
  reply.code = static_cast<Code>(describe_number(*body.code()).number);
  if (static_cast<std::uint16_t>(reply.code) != *body.code()) return malformed("a known code");
  reply.body = body.body()->str();
  return SessionMessage(std::move(reply));
}

Result<SessionMessage> read(const wire::SessionEvent& body) {
  SessionEvent event;
  TAPER_TRY(event.call, id_of<CallId>(body.call(), "a call's id"));
  if (body.body() == nullptr) return malformed("a body");
  event.body = body.body()->str();
  if (body.request()) event.request = *body.request();
  return SessionMessage(std::move(event));
}

Result<SessionMessage> read_body(const wire::SessionMessage& root) {
  if (root.body() == nullptr) return malformed("a body");
  switch (root.body_type()) {
    case SessionBody::SessionRequest: return read(*root.body_as_SessionRequest());
    case SessionBody::SessionReply: return read(*root.body_as_SessionReply());
    case SessionBody::SessionEvent: return read(*root.body_as_SessionEvent());
    case SessionBody::NONE: break;
  }
  return malformed("a known kind of message");
}

}  // namespace

Bytes encode(const SessionMessage& message) {
  Builder builder;
  const Body body =
      std::visit([&builder](const auto& one) { return write(builder, one); }, message);
  wire::FinishSessionMessageBuffer(builder,
                                   wire::CreateSessionMessage(builder, body.kind, body.at));
  return built(builder);
}

Result<SessionMessage> decode_session_message(ByteSpan message) {
  if (message.size() > limits::kSessionBodyBytesMax) return malformed("a smaller message");
  const Bytes copy = to_bytes(message);
  TAPER_TRY(const wire::SessionMessage* root,
            verified<wire::SessionMessage>(copy, wire::SessionMessageIdentifier(),
                                           limits::kSessionBodyBytesMax));
  TAPER_TRY(SessionMessage read, read_body(*root));
  if (encode(read) != copy) return malformed("the one encoding of this message");
  return read;
}

}  // namespace taper::broker
