#include "runtime/authority/node_policy.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/base/text.h"

namespace taper::authority {
namespace {

Error refused(std::string expected, std::string got) {
  return Error(Code::node_policy, {"node.toml", std::move(expected), std::move(got), ""});
}

bool is_or_has(const std::string& denied, const std::string& tool) {
  return tool.starts_with(denied) && (tool.size() == denied.size() || tool[denied.size()] == '.');
}

}  // namespace

Hash policy_hash(ByteSpan file) { return crypto::hash(file); }

NodePolicy nothing_at_all() {
  return {.denied_tools = {},
          .most_effect = capsules::Effect::unset,
          .most_ttl_ms = 0,
          .hash = crypto::hash(as_bytes("="))};  // of what no readable file is
}

Status check_policy(const NodePolicy& policy, const Tool& tool) {
  const bool denied =
      std::any_of(policy.denied_tools.begin(), policy.denied_tools.end(),
                  [&tool](const std::string& name) { return is_or_has(name, tool.name); });
  if (denied) return refused("a tool that deny.tools does not name", tool.name);
  if (tool.effect > policy.most_effect) return refused("an effect within most.effect", tool.name);
  return success();
}

Status check_policy(const NodePolicy& policy, std::int64_t ttl_ms) {
  if (ttl_ms <= policy.most_ttl_ms) return success();
  return refused("a lease of at most " + format_duration_ms(policy.most_ttl_ms),
                 format_duration_ms(ttl_ms));
}

}  // namespace taper::authority
