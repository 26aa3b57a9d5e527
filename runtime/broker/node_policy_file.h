// STATE/node.toml: what the node's operator refuses whatever a capsule grants. docs/formats/node.md
#pragma once

#include <string>
#include <string_view>

#include "runtime/authority/node_policy.h"
#include "runtime/base/result.h"
#include "runtime/broker/embedded.h"

namespace taper::broker {

// Error: tool_file_malformed with the key in `field`.
Result<authority::NodePolicy> parse_node_policy(std::string_view toml);
// By its file. No file is no policy. It must be a regular file of root's or ours that others cannot
// write; else `unread` is tool_file_malformed naming the file, or os_failure.
OwnPolicy read_policy(const std::string& state);

}  // namespace taper::broker
