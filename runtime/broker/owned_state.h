// A state that this process owns: locked, recovered, ready to decide.
#pragma once

#include <memory>
#include <string>

#include "runtime/authority/authority.h"
#include "runtime/authority/node.h"
#include "store/results.h"
#include "store/store.h"

namespace taper::broker {

// What the authority is told about this host. The paths never given to a tool are the real ones of
// the state, both tools.d, `holder_key` and every other *.key beside it, and those at which bind
// mounts show the same. `holder_key` may be empty. Errors: os_failure, those of read_file.
Result<authority::NodeFacts> node_facts(const std::string& state,
                                        const authority::NodeRecord& record,
                                        const std::string& holder_key);

struct OwnedState {
  authority::NodeFacts facts;
  std::unique_ptr<store::Store> store;  // outlives the authority
  std::unique_ptr<authority::Authority> authority;
  // The node's signing key, which answers sessions. Null until it is taken.
  std::shared_ptr<const crypto::SigningKey> signer;
};

// Takes the lock, lets the authority recover, and erases the results of tasks that are neither live
// nor kept for readers.
// Errors: not_a_state, node_record_malformed, those of store::open_state and Authority::start.
Result<OwnedState> own_state(const std::string& state, const std::string& holder_key,
                             const Now& now);

// Fills `owned.signer`, for whoever serves sessions. Errors: those of authority::read_signing_key.
Status take_signer(OwnedState& owned, const std::string& state);

// That no key of the state has a second name, which could lie in a granted tree. Asked by whatever
// runs tools; ending a task never needs it. Errors: key_file_exposed, os_failure.
Status check_key_links(const std::string& state);

// Erases the results of a task that is about to end, unless its capsule keeps them for readers.
Status end_results(const authority::Authority& authority, store::ResultFiles& results,
                   const TaskId& task);

}  // namespace taper::broker
