// From a grant's path rules to the trees its cell sees. Pure: nothing is opened here; the sandbox
// refuses what is not there or passes a symbolic link.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capsules/capsule.h"
#include "runtime/authority/permit.h"
#include "runtime/authority/tool.h"
#include "runtime/base/result.h"

namespace taper::authority {

// One tree for each path argument: `equals` and `one_of` give the files themselves (their parents,
// writable, for builtins that write; the directory for file.list), else `under` gives the tree.
// Writable only where the tool writes. Before them an upstream's files. Error tree_refused: a path
// argument without one of these; a tree that is, holds or lies in one of `forbidden`, /proc, /sys
// or /dev; a writable tree that holds or lies in one of the files; more than limits::kTreesMax.
Result<std::vector<GrantedTree>> compile_trees(const std::vector<capsules::ArgRule>& args,
                                               const Tool& tool,
                                               const std::vector<std::string>& forbidden);

// Error tree_refused where a directory has a mount point strictly below it.
Status check_mounts(const std::vector<GrantedTree>& trees,
                    const std::vector<std::string>& mount_points);

// A narrowing block may only take mounts away: each of `trees` lies in one of `granted` that may do
// as much. Error tree_refused.
Status check_within(const std::vector<GrantedTree>& trees, const std::vector<GrantedTree>& granted);

// What the cell of a capsule's agent sees: the files of its program, which is there as it was
// pinned. `granted`: what its tools see. Errors: tool_missing, tool_digest; tree_refused, also
// where one of them may write there.
using GrantedTrees = std::vector<std::optional<std::vector<GrantedTree>>>;
Result<std::vector<GrantedTree>> agent_trees(const capsules::AgentEntry& agent, const Tools& tools,
                                             const GrantedTrees& granted,
                                             const std::vector<std::string>& forbidden,
                                             const std::vector<std::string>& mount_points);

// The caps of a grant's cell: its own where smaller than limits.h.
CellCaps cell_caps(const capsules::CellLimits& limits);

// To whom the first holder handed the capsule, however far it went on from there and however often
// it was narrowed before; the first holder where to nobody else.
PublicKey branch_holder(const capsules::Capsule& root, const std::vector<capsules::Block>& blocks);

}  // namespace taper::authority
