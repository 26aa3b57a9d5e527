// What the owner of a state says on control.sock.
#include <algorithm>

#include "runtime/broker/control_wire.h"
#include "runtime/broker/messages.h"

namespace taper::broker {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

// An escaped stderr is longer than what it was made of.
constexpr std::size_t kErrBytesMax = 8 * limits::kStderrShownBytes;

Offset<flatbuffers::String> put_text(FlatBufferBuilder& builder, const std::string& text,
                                     std::size_t bytes_max = limits::kControlDetailBytesMax) {
  return builder.CreateString(text.data(), std::min(text.size(), bytes_max));
}

Result<std::string> detail_of(const flatbuffers::String* text) {
  return text_of(text, limits::kControlDetailBytesMax);
}

Result<Code> code_of(flatbuffers::Optional<std::uint16_t> number) {
  if (!number) return malformed("a code");
  const Code code = static_cast<Code>(describe_number(*number).number);
  if (static_cast<std::uint16_t>(code) != *number) return malformed("a known code");
  return code;
}

Offset<wire::ControlReply> put_reply(FlatBufferBuilder& builder, const ControlReply& reply) {
  const auto field = put_text(builder, reply.detail.field);
  const auto expected = put_text(builder, reply.detail.expected);
  const auto got = put_text(builder, reply.detail.got);
  const auto fix = put_text(builder, reply.detail.fix);
  return wire::CreateControlReply(builder, static_cast<std::uint16_t>(reply.code), field, expected,
                                  got, fix);
}

Result<ControlReply> take(const wire::ControlReply& body) {
  ControlReply reply;
  TAPER_TRY(reply.code, code_of(body.code()));
  TAPER_TRY(reply.detail.field, detail_of(body.field()));
  TAPER_TRY(reply.detail.expected, detail_of(body.expected()));
  TAPER_TRY(reply.detail.got, detail_of(body.got()));
  TAPER_TRY(reply.detail.fix, detail_of(body.fix()));
  return reply;
}

Result<ControlChallenge> take(const wire::ControlChallenge& body) {
  ControlChallenge answer;
  TAPER_TRY(answer.fleet, id_of<Hash>(body.fleet(), "a fleet of 32 bytes"));
  TAPER_TRY(answer.challenge, id_of<Nonce>(body.challenge(), "a challenge of 32 bytes"));
  return answer;
}

Result<Imported> take(const wire::ControlImported& body) {
  if (!body.root() || !body.first()) return malformed("a root's version");
  Imported answer{.version = *body.root(), .fleet = {}, .first = *body.first()};
  TAPER_TRY(answer.fleet, id_of<Hash>(body.fleet(), "a fleet of 32 bytes"));
  return answer;
}

Result<ControlReadable> take(const wire::ControlReadable& body) {
  ControlReadable answer;
  TAPER_TRY(answer.call, id_of<CallId>(body.call(), "a call of 16 bytes"));
  TAPER_TRY(answer.step, text_of(body.step(), limits::kTextBytesMax));
  if (!body.reads_left() || !body.bytes()) return malformed("numbers of reads and bytes");
  if (*body.bytes() > limits::kResultBytesMax) return malformed("a result of at most 8 MiB");
  answer.reads_left = *body.reads_left();
  answer.bytes = *body.bytes();
  return answer;
}

Result<ControlPart> take(const wire::ControlPart& body) {
  const ByteSpan bytes = span_of(body.bytes());
  if (bytes.empty() || bytes.size() > limits::kControlPartBytes) return malformed("a part");
  return ControlPart{to_bytes(bytes)};
}

Result<RunBegun> take(const wire::ControlBegun& body) {
  if (!body.resumed() || !body.joined()) return malformed("how the run began");
  RunBegun answer{.task = {}, .resumed = *body.resumed(), .joined = *body.joined()};
  TAPER_TRY(answer.task, id_of<TaskId>(body.task(), "a task of 16 bytes"));
  return answer;
}

Result<Ordered> take(const wire::ControlOrdered& body) {
  if (!body.over()) return malformed("what became of the order");
  Ordered answer{.task = {}, .over = *body.over()};
  TAPER_TRY(answer.task, id_of<TaskId>(body.task(), "a task of 16 bytes"));
  return answer;
}

Result<StepReport> take(const wire::ControlStep& body) {
  StepReport answer;
  TAPER_TRY(answer.id, detail_of(body.id()));
  TAPER_TRY(answer.tool, detail_of(body.tool()));
  TAPER_TRY(answer.decision, id_of<DecisionId>(body.decision(), "a decision of 8 bytes"));
  TAPER_TRY(answer.verdict, detail_of(body.verdict()));
  TAPER_TRY(answer.code, code_of(body.code()));
  TAPER_TRY(answer.outcome, detail_of(body.outcome()));
  if (body.error() == nullptr) return malformed("a step's error");
  TAPER_TRY(const ControlReply error, take(*body.error()));
  answer.error = Error(error.code, error.detail);
  TAPER_TRY(answer.result, text_of(body.result(), limits::kStepResultShownBytes));
  TAPER_TRY(answer.err, text_of(body.err(), kErrBytesMax));
  return answer;
}

Result<RunEnded> take(const wire::ControlEnded& body) {
  const auto state = body.state();
  const auto reason = body.reason();
  if (!state || *state > static_cast<std::uint8_t>(authority::TaskState::exhausted))
    return malformed("a task's state");
  if (!reason || *reason > static_cast<std::uint8_t>(authority::EndReason::revocation))
    return malformed("a reason");
  RunEnded answer{.state = static_cast<authority::TaskState>(*state),
                  .reason = static_cast<authority::EndReason>(*reason)};
  TAPER_TRY(answer.code, code_of(body.code()));
  return answer;
}

// Each answer in its own table.
struct Writer {
  FlatBufferBuilder builder;

  Bytes operator()(const ControlReply& answer) {
    return done(wire::Body::ControlReply, put_reply(builder, answer));
  }
  Bytes operator()(const ControlChallenge& answer) {
    const auto fleet = put(builder, answer.fleet.bytes);
    return done(wire::Body::ControlChallenge,
                wire::CreateControlChallenge(builder, fleet, put(builder, answer.challenge.bytes)));
  }
  Bytes operator()(const Imported& answer) {
    return done(wire::Body::ControlImported,
                wire::CreateControlImported(builder, answer.version,
                                            put(builder, answer.fleet.bytes), answer.first));
  }
  Bytes operator()(const ControlReadable& answer) {
    const auto call = put(builder, answer.call.bytes);
    const auto step = put_text(builder, answer.step, limits::kTextBytesMax);
    return done(wire::Body::ControlReadable,
                wire::CreateControlReadable(builder, call, step, answer.reads_left, answer.bytes));
  }
  Bytes operator()(const ControlPart& answer) {
    return done(wire::Body::ControlPart,
                wire::CreateControlPart(builder, put(builder, answer.bytes)));
  }
  Bytes operator()(const RunBegun& answer) {
    return done(wire::Body::ControlBegun,
                wire::CreateControlBegun(builder, put(builder, answer.task.bytes), answer.resumed,
                                         answer.joined));
  }
  Bytes operator()(const StepReport& answer) {
    const auto id = put_text(builder, answer.id);
    const auto tool = put_text(builder, answer.tool);
    const auto decision = put(builder, answer.decision.bytes);
    const auto verdict = put_text(builder, answer.verdict);
    const auto outcome = put_text(builder, answer.outcome);
    const auto error = put_reply(builder, reply_of(answer.error));
    const auto result = put_text(builder, answer.result, limits::kStepResultShownBytes);
    const auto err = put_text(builder, answer.err, kErrBytesMax);
    return done(wire::Body::ControlStep,
                wire::CreateControlStep(builder, id, tool, decision, verdict,
                                        static_cast<std::uint16_t>(answer.code), outcome, error,
                                        result, err));
  }
  Bytes operator()(const RunEnded& answer) {
    return done(wire::Body::ControlEnded,
                wire::CreateControlEnded(builder, static_cast<std::uint8_t>(answer.state),
                                         static_cast<std::uint8_t>(answer.reason),
                                         static_cast<std::uint16_t>(answer.code)));
  }
  Bytes operator()(const Ordered& answer) {
    return done(wire::Body::ControlOrdered,
                wire::CreateControlOrdered(builder, put(builder, answer.task.bytes), answer.over));
  }

 private:
  template <class Table>
  Bytes done(wire::Body kind, Offset<Table> body) {
    return finish_control(builder, kind, body.Union());
  }
};

template <class Table>
Result<ControlAnswer> answer_of(const Table* body) {
  if (body == nullptr) return malformed("an answer of its kind");
  auto taken = take(*body);
  if (!taken.ok()) return taken.error();
  return ControlAnswer(std::move(*taken));
}

Result<ControlAnswer> take_body(const wire::ControlMessage& root) {
  switch (root.body_type()) {
    case wire::Body::ControlReply: return answer_of(root.body_as_ControlReply());
    case wire::Body::ControlChallenge: return answer_of(root.body_as_ControlChallenge());
    case wire::Body::ControlImported: return answer_of(root.body_as_ControlImported());
    case wire::Body::ControlReadable: return answer_of(root.body_as_ControlReadable());
    case wire::Body::ControlPart: return answer_of(root.body_as_ControlPart());
    case wire::Body::ControlBegun: return answer_of(root.body_as_ControlBegun());
    case wire::Body::ControlStep: return answer_of(root.body_as_ControlStep());
    case wire::Body::ControlEnded: return answer_of(root.body_as_ControlEnded());
    case wire::Body::ControlOrdered: return answer_of(root.body_as_ControlOrdered());
    case wire::Body::ControlRequest:
    case wire::Body::NONE: break;
  }
  return malformed("an answer");
}

}  // namespace

ControlReply reply_of(const Error& error) { return {error.code(), error.detail()}; }

Bytes encode(const ControlAnswer& answer) { return std::visit(Writer(), answer); }

Result<ControlAnswer> decode_answer(ByteSpan message) {
  const Bytes copy = to_bytes(message);
  TAPER_TRY(const wire::ControlMessage* root, control_message(copy));
  TAPER_TRY(ControlAnswer answer, take_body(*root));
  if (encode(answer) != copy) return malformed("the one encoding of this answer");
  return answer;
}

}  // namespace taper::broker
