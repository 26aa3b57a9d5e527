#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "store/results.h"

namespace taper::broker {

namespace {

Result<TaskResult> read_alone(const OwnedState& owned, const ResultQuery& query) {
  authority::Authority& authority = *owned.authority;
  if (authority.root() == nullptr) return Error(Code::result_refused);
  authority::ResultRequest request{.task = query.task,
                                   .step = query.step,
                                   .reader = query.reader,
                                   .challenge = authority.challenge(),
                                   .proof = {}};
  request.proof = query.prove(authority::result_statement(
      authority.root()->fleet(), owned.facts.node, owned.facts.incarnation, request));
  Bytes json;
  const auto at_hand = [&](const authority::ReadableResult& asked) -> Status {
    TAPER_TRY(json, store::ResultFiles(query.state).read(query.task, asked.call, asked.result));
    return query.prepare ? query.prepare(json.size()) : success();
  };
  TAPER_TRY(const authority::ReadableResult readable,
            authority.read_result(request, SystemClock().now(), at_hand));
  TAPER_CHECK(owned.store->sync_marker());
  return TaskResult{readable.call, readable.step, std::string(as_text(json)), readable.reads_left};
}

// Proves the reader to the owner, who has counted the read when its size comes; where that is more
// than `room`, he has not.
Result<ControlReadable> ask_for(const ControlTalk& talk, const ResultQuery& query,
                                const authority::NodeRecord& node, std::uint64_t room) {
  TAPER_CHECK(talk.send({.verb = ControlVerb::challenge}));
  TAPER_TRY(const ControlChallenge given, talk.expect<ControlChallenge>());
  ControlRequest asked{.verb = ControlVerb::result,
                       .task = query.task,
                       .challenge = given.challenge,
                       .reader = query.reader,
                       .step = query.step,
                       .room = room};
  asked.proof = query.prove(authority::result_statement(given.fleet, node.sign, node.incarnation,
                                                        {.task = query.task,
                                                         .step = query.step,
                                                         .reader = query.reader,
                                                         .challenge = given.challenge,
                                                         .proof = {}}));
  TAPER_CHECK(talk.send(asked));
  return talk.expect<ControlReadable>(limits::kControlWorkMs);
}

Result<TaskResult> read_through(const ControlTalk& talk, const ResultQuery& query) {
  TAPER_TRY(const authority::NodeRecord node, authority::read_node(query.state));
  std::uint64_t room = query.prepare ? 0 : limits::kResultBytesMax;
  TAPER_TRY(ControlReadable readable, ask_for(talk, query, node, room));
  if (readable.bytes > room) {
    room = readable.bytes;
    if (query.prepare) TAPER_CHECK(query.prepare(room));
    TAPER_TRY(readable, ask_for(talk, query, node, room));
  }
  std::string json;
  while (json.size() < readable.bytes) {
    TAPER_TRY(const ControlPart part, talk.expect<ControlPart>());
    json += as_text(part.bytes);
  }
  if (json.size() != readable.bytes) return Error(Code::message_malformed);
  return TaskResult{readable.call, readable.step, std::move(json), readable.reads_left};
}

}  // namespace

Result<TaskResult> task_result(const ResultQuery& query) {
  TAPER_TRY(const auto reached, own_or_reach(query.state, ""));
  if (const auto* owned = std::get_if<OwnedState>(&reached)) return read_alone(*owned, query);
  return read_through(std::get<ControlTalk>(reached), query);
}

Status erase_read_result(const std::string& state, const TaskId& task, const TaskResult& result) {
  if (result.reads_left != 0) return success();
  return store::ResultFiles(state).erase(task, result.call);
}

}  // namespace taper::broker
