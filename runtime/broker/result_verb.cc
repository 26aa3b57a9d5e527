#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "store/results.h"

namespace taper::broker {

Result<TaskResult> task_result(const ResultQuery& query) {
  const SystemClock clock;
  TAPER_TRY(const OwnedState owned, own_state(query.state, "", clock.now()));
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
            authority.read_result(request, clock.now(), at_hand));
  TAPER_CHECK(owned.store->sync_marker());
  return TaskResult{readable.call, readable.step, std::string(as_text(json)), readable.reads_left};
}

Status erase_read_result(const std::string& state, const TaskId& task, const TaskResult& result) {
  if (result.reads_left != 0) return success();
  return store::ResultFiles(state).erase(task, result.call);
}

}  // namespace taper::broker
