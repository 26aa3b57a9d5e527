#include "capsules/author/author.h"

namespace taper::capsules {

std::string source_template() {
  return R"(# What a task may do. Check it with 'taper capsule lint', sign it with 'taper capsule sign'.
# The whole language: docs/CAPSULES.md. What is not written here is not allowed.

[capsule]
purpose   = "Say in one sentence why this task runs"
requester = "user:you@example"        # on whose behalf; stands in every record of the log
agent     = "my-agent"                # which agent or script acts
window    = { for = "24h" }           # when it may be started; counts from signing without 'from'
lease     = { ttl = "15m" }           # how long it may act, counted from its start
# tenant    = "default"
# activations = 1                     # how often it may be started
# freshness = { max_revocation_age = "7d", time = "bounded" }
# end_on    = { denials = 3, failure = false }
# log       = { arguments = "digest" }          # or "all"

# Each [[grant]] allows one tool. An argument that is not named is refused.
[[grant]]
tool   = "file.read"
args   = { path = { equals = "/usr/lib/os-release" } }     # or { under = "/var/log" }: a whole tree
budget = { calls = 20, bytes = 1000000 }

[[grant]]
tool   = "file.write"
args   = { path = { equals = "/var/tmp/taper-first-report.txt" }, content = "any" }
budget = { calls = 1 }

# The steps, in order; without [plan] it is a session, for 'taper connect'. A value may come from an earlier step, whole.
[plan]
steps = [
  { id = "read",  tool = "file.read",  args = { path = "/usr/lib/os-release" } },
  { id = "write", tool = "file.write", needs = ["read"], args = { path = "/var/tmp/taper-first-report.txt", content = { "$step" = "read", at = "/text" } } },
]
)";
}

}  // namespace taper::capsules
