// A state that this process owns: locked, recovered, ready to decide.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "runtime/authority/authority.h"
#include "runtime/authority/node.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"
#include "store/results.h"
#include "store/store.h"

namespace taper::broker {

// The real path of the holder's key, and those of every other *.key beside it; none for "".
// Error: os_failure.
Result<std::vector<std::string>> keys_of_holder(const std::string& holder_key);

// Fills in the paths never given to a tool, which are the real ones of the state, both tools.d and
// `keys`, and those at which bind mounts show the same; and the mount points. Errors: os_failure,
// those of read_file.
Status look_at_host(const std::string& state, const std::vector<std::string>& keys,
                    authority::NodeFacts& facts);

// What the authority is told about this host. `holder_key` may be empty. Errors: those of both.
Result<authority::NodeFacts> node_facts(const std::string& state,
                                        const authority::NodeRecord& record,
                                        const std::string& holder_key, const OwnPolicy& own);

// Beside whoever owns it. Errors: not_a_state, node_record_malformed, those of store::open_state.
Result<std::unique_ptr<store::Store>> open_for_reading(const std::string& state);

struct OwnedState {
  authority::NodeFacts facts;
  OwnPolicy own;                        // as it was read at the start
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

// As own_state, with its twin in `twins`; "": whatever twin it has is not asked. For renewals.
Result<OwnedState> own_state_at(const std::string& state, const std::string& holder_key,
                                const Now& now, const std::string& twins);

// Fills `owned.signer`, for whoever serves sessions. Errors: those of authority::read_signing_key.
Status take_signer(OwnedState& owned, const std::string& state);

// The same, or a conversation with the owner where another process has the state and can be
// reached; he may come or go, so it is tried for a moment.
Result<std::variant<OwnedState, ControlTalk>> own_or_reach(const std::string& state,
                                                           const std::string& holder_key);

// Imports a trust root into it; durable on success. Errors: those of Authority::import_root.
Result<Imported> take_in_root(const OwnedState& owned, ByteSpan file,
                              const std::optional<Hash>& fleet, const Now& now);

// A challenge for signed time, and a signed time taken in; durable on success. Errors: those of
// Authority::time_challenge and import_time; boot_clock_shifted.
Result<Bytes> ask_for_time(const OwnedState& owned, const Now& now);
Status take_in_time(const OwnedState& owned, ByteSpan file, const Now& now);

// Ends a task of it whose cells died with their owner; durable on success. Errors: unknown_task,
// task_terminal, the store's.
Status end_task(const OwnedState& owned, const std::string& state, const TaskId& task,
                authority::EndReason reason, const authority::EndedBy& by, const Now& now);
// A release of the log taken in, durably; Authority::prune then forgets. Errors: those of
// Authority::import_release.
Status take_in_release(const OwnedState& owned, ByteSpan file, const Now& now);

// That no key of the state has a second name, which could lie in a granted tree. Asked by whatever
// runs tools; ending a task never needs it. Errors: key_file_exposed, os_failure.
Status check_key_links(const std::string& state);

// Erases the results of a task that is about to end, unless its capsule keeps them for readers.
Status end_results(const authority::Authority& authority, store::ResultFiles& results,
                   const TaskId& task);

}  // namespace taper::broker
