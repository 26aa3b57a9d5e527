// What a session is told of its task and of its tools, as JSON: the bodies of `describe`,
// `discover` and of what remains, in docs/formats/session.md. Equal input gives equal bytes. What
// comes from a capsule or from a tool's file stands in them as it is: whoever shows it escapes it.
#pragma once

#include <string>
#include <vector>

#include "runtime/authority/authority.h"

namespace taper::broker {

// {"lease_ms", "idle_ms", "not_after_s"}, and of a grant's budget what it names: "calls", "rate",
// "bytes", "cpu_ms", "sum". No member is negative.
capsules::Value remaining_body(const authority::Remaining& remaining);

struct TaskFacts {
  TaskId task;
  std::string purpose, requester, agent, tenant, node;
  std::int64_t lease_ms = 0, idle_ms = 0;  // of the chain: what it was given, not what is left
  std::int64_t not_after_s = 0;
  capsules::EndOn end_on;
};
// {"task", "purpose", "requester", "agent", "tenant", "node", "lease_ms", "idle_ms", "not_after_s",
// "end_on", "grants": [{"id", "tool", "effect", "verbs", "remaining"}], "remaining"}
std::string describe_body(const TaskFacts& facts,
                          const std::vector<authority::DiscoveredGrant>& grants,
                          const authority::Remaining& remaining);

// {"tools": [{"name", "title", "description", "input_schema", "output_schema", "annotations",
// "task"}], "fresh_ms", "remaining"}: each tool once, by name; `title`, `description` and
// `output_schema` (a server's, as it was pinned) where there are any; `task` is
// "may" where a call of what is no builtin can be asked about later by the same grant, else
// "never". `fresh_ms`, how long the list may be kept, is cut to what is left of the lease.
std::string discover_body(const std::vector<authority::DiscoveredGrant>& grants,
                          const authority::Remaining& remaining);

}  // namespace taper::broker
