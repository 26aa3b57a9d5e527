#include "runtime/broker/messages.h"

#include "messages_generated.h"
#include "runtime/broker/control_wire.h"

namespace taper::broker {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

wire::Request kind_of(ControlVerb verb) {
  switch (verb) {
    case ControlVerb::show: return wire::Request::show;
    case ControlVerb::cancel: return wire::Request::cancel;
    case ControlVerb::challenge: return wire::Request::challenge;
    case ControlVerb::import_root: return wire::Request::import_root;
    case ControlVerb::result: return wire::Request::result;
    case ControlVerb::run: return wire::Request::run;
    case ControlVerb::time_challenge: return wire::Request::time_challenge;
    case ControlVerb::import_time: return wire::Request::import_time;
    case ControlVerb::kill: return wire::Request::kill;
    case ControlVerb::import_order: return wire::Request::import_order;
    case ControlVerb::import_release: return wire::Request::import_release;
    case ControlVerb::policy: return wire::Request::policy;
    case ControlVerb::unset: break;
  }
  return wire::Request::none;
}

Result<ControlVerb> verb_of(flatbuffers::Optional<wire::Request> request) {
  if (!request) return malformed("a request kind");
  switch (*request) {
    case wire::Request::show: return ControlVerb::show;
    case wire::Request::cancel: return ControlVerb::cancel;
    case wire::Request::challenge: return ControlVerb::challenge;
    case wire::Request::import_root: return ControlVerb::import_root;
    case wire::Request::result: return ControlVerb::result;
    case wire::Request::run: return ControlVerb::run;
    case wire::Request::time_challenge: return ControlVerb::time_challenge;
    case wire::Request::import_time: return ControlVerb::import_time;
    case wire::Request::kill: return ControlVerb::kill;
    case wire::Request::import_order: return ControlVerb::import_order;
    case wire::Request::import_release: return ControlVerb::import_release;
    case wire::Request::policy: return ControlVerb::policy;
    case wire::Request::none: break;
  }
  return malformed("a known request kind");
}

bool has_task(ControlVerb verb) {
  return verb == ControlVerb::show || verb == ControlVerb::cancel || verb == ControlVerb::kill ||
         verb == ControlVerb::result;
}
bool has_file(ControlVerb verb) {
  return verb == ControlVerb::import_root || verb == ControlVerb::run ||
         verb == ControlVerb::import_time || verb == ControlVerb::import_order ||
         verb == ControlVerb::import_release;
}
bool has_proof(ControlVerb verb) { return verb == ControlVerb::result || verb == ControlVerb::run; }

using Inputs = flatbuffers::Vector<Offset<wire::ControlInput>>;
using Texts = flatbuffers::Vector<Offset<flatbuffers::String>>;

Offset<Inputs> put_inputs(FlatBufferBuilder& builder, const ControlRequest& request) {
  std::vector<Offset<wire::ControlInput>> inputs;
  for (const auto& [name, value] : request.inputs) {
    const auto its_name = builder.CreateString(name);
    inputs.push_back(wire::CreateControlInput(builder, its_name, builder.CreateString(value)));
  }
  return builder.CreateVector(inputs);
}

Status take_inputs(const Inputs* inputs, ControlRequest& request) {
  if (inputs == nullptr || inputs->size() > limits::kInputsMax) return malformed("inputs");
  for (const wire::ControlInput* input : *inputs) {
    if (input->name() == nullptr || input->value() == nullptr) return malformed("a whole input");
    request.inputs[input->name()->str()] = input->value()->str();
  }
  return success();
}

Status take_keys(const Texts* keys, ControlRequest& request) {
  if (keys == nullptr || keys->size() > limits::kControlKeysMax) return malformed("keys");
  for (const flatbuffers::String* key : *keys) {
    if (key->size() > limits::kTextBytesMax || !key->str().starts_with("/"))
      return malformed("absolute paths of keys");
    request.keys.push_back(key->str());
  }
  return success();
}

Status take_proof(const wire::ControlRequest& body, ControlRequest& request) {
  TAPER_TRY(request.challenge, id_of<Nonce>(body.challenge(), "a challenge of 32 bytes"));
  const ByteSpan proof = span_of(body.proof());
  if (proof.size() != request.proof.size()) return malformed("a signature of 64 bytes");
  std::copy(proof.begin(), proof.end(), request.proof.begin());
  return success();
}

// What does not belong to the verb is left out here, and shows when it is encoded again.
Result<ControlRequest> take_request(const wire::ControlRequest& body) {
  ControlRequest request;
  TAPER_TRY(request.verb, verb_of(body.request()));
  if (has_task(request.verb)) {
    TAPER_TRY(request.task, id_of<TaskId>(body.task(), "a task of 16 bytes"));
  }
  if (has_file(request.verb)) {
    if (body.file() == nullptr || body.file()->size() > limits::kCapsuleBytesMax)
      return malformed("a file of at most 64 KiB");
    request.file = to_bytes(span_of(body.file()));
  }
  if (request.verb == ControlVerb::import_root && body.fleet() != nullptr) {
    TAPER_TRY(request.fleet, id_of<Hash>(body.fleet(), "a fleet of 32 bytes"));
  }
  if (has_proof(request.verb)) TAPER_CHECK(take_proof(body, request));
  if (request.verb == ControlVerb::result) {
    TAPER_TRY(request.reader, id_of<PublicKey>(body.reader(), "a reader of 32 bytes"));
    TAPER_TRY(request.step, text_of(body.step(), limits::kTextBytesMax));
    if (!body.room()) return malformed("room");
    request.room = *body.room();
  }
  if (request.verb == ControlVerb::run) {
    TAPER_CHECK(take_inputs(body.inputs(), request));
    TAPER_CHECK(take_keys(body.keys(), request));
  }
  return request;
}

}  // namespace

static_assert(limits::kRootBytesMax <= limits::kCapsuleBytesMax);

Bytes encode(const ControlRequest& request) {
  FlatBufferBuilder builder;
  const ControlVerb verb = request.verb;
  const bool reads = verb == ControlVerb::result;
  const bool runs = verb == ControlVerb::run;
  const auto task = has_task(verb) ? put(builder, request.task.bytes) : 0;
  const auto file = has_file(verb) ? put(builder, request.file) : 0;
  const bool names_fleet = verb == ControlVerb::import_root && request.fleet;
  const auto fleet = names_fleet ? put(builder, request.fleet->bytes) : 0;
  const auto challenge = has_proof(verb) ? put(builder, request.challenge.bytes) : 0;
  const auto proof = has_proof(verb) ? put(builder, request.proof) : 0;
  const auto reader = reads ? put(builder, request.reader.bytes) : 0;
  const auto step = reads ? builder.CreateString(request.step) : 0;
  const auto inputs = runs ? put_inputs(builder, request) : 0;
  const auto keys = runs ? builder.CreateVectorOfStrings(request.keys) : 0;
  flatbuffers::Optional<std::uint64_t> room;
  if (reads) room = request.room;
  const auto body = wire::CreateControlRequest(builder, kind_of(verb), task, file, fleet, challenge,
                                               proof, reader, step, room, inputs, keys);
  return finish_control(builder, wire::Body::ControlRequest, body.Union());
}

Result<ControlRequest> decode_request(ByteSpan message) {
  const Bytes copy = to_bytes(message);
  TAPER_TRY(const wire::ControlMessage* root, control_message(copy));
  const wire::ControlRequest* body = root->body_as_ControlRequest();
  if (body == nullptr) return malformed("a request");
  TAPER_TRY(ControlRequest request, take_request(*body));
  if (encode(request) != copy) return malformed("the one encoding of this request");
  return request;
}

}  // namespace taper::broker
