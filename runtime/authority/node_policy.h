// What a node refuses by itself, whatever a capsule grants. It can only deny. Part of a task's
// terms from its activation on: another policy is drift.
#pragma once

#include <string>
#include <vector>

#include "runtime/authority/tool.h"
#include "runtime/base/limits.h"

namespace taper::authority {

struct NodePolicy {
  // Names of tools; the name of a server stands for all of its tools.
  std::vector<std::string> denied_tools;
  capsules::Effect most_effect = capsules::Effect::irreversible;  // of a tool, as its file says
  std::int64_t most_ttl_ms = limits::kLeaseTtlMaxMs;              // of a lease
  Hash hash;  // BLAKE2b-256 of the file's bytes; zero: the node has none
};

Hash policy_hash(ByteSpan file);
// Of a node whose policy cannot be read: no tool, no activation.
NodePolicy nothing_at_all();

// Whether a tool may be called at all. Error: node_policy.
Status check_policy(const NodePolicy& policy, const Tool& tool);
// Whether a lease may be as long. Error: node_policy.
Status check_policy(const NodePolicy& policy, std::int64_t ttl_ms);

}  // namespace taper::authority
