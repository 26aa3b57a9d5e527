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
  TAPER_TRY(const authority::ReadableResult readable, authority.read_result(request, clock.now()));
  store::ResultFiles files(query.state);
  TAPER_TRY(const Bytes json, files.read(query.task, readable.call));
  if (readable.reads_left == 0) TAPER_CHECK(files.erase(query.task, readable.call));
  TAPER_CHECK(owned.store->sync_marker());
  return TaskResult{readable.step, std::string(as_text(json)), readable.reads_left};
}

}  // namespace taper::broker
