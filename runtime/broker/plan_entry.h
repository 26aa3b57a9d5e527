// What is looked at before a plan's or an agent's capsule is activated, by whoever runs it.
#pragma once

#include <string>
#include <vector>

#include "runtime/broker/owned_state.h"
#include "runtime/broker/tool_shelf.h"

namespace taper::broker {

// That the capsule is one to run, and that each tool and program it names can be read where this
// node describes it: refused before anything is consumed, a session would end as an empty plan.
// Errors: entry_other, those of ToolShelf::load.
Status prepare_run(const capsules::Capsule& capsule, ToolShelf& shelf);

// That no grant of the chain, nor its agent's program, shows a cell one of `keys`, which are paths
// of files, nor the state, nor a mount point below: by what is mounted now. For a run in an owner
// that does not know whose key it is; the authority asks the same of what it knows. Error:
// tree_refused.
Status check_keys_hidden(const std::string& state, const capsules::VerifiedCapsule& capsule,
                         const authority::Tools& tools, const std::vector<std::string>& keys);

}  // namespace taper::broker
