#include "runtime/broker/node_policy_file.h"

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/tool_files.h"
#include "runtime/broker/tool_keys.h"

namespace taper::broker {
namespace {

constexpr const char* kFile = "node.toml";

// Null: the key is absent.
Result<const toml::table*> table_in(const toml::table& file, std::string_view key) {
  if (!file.contains(key)) return static_cast<const toml::table*>(nullptr);
  const toml::table* table = file[key].as_table();
  if (table == nullptr) return wrong_key(key, "a table");
  return table;
}

Status read_most(const toml::table& most, authority::NodePolicy& policy) {
  TAPER_CHECK(only_keys(most, "most.", {"effect", "ttl_s"}));
  if (most.contains("effect")) {
    TAPER_TRY(policy.most_effect, effect_in(most, "most."));
  }
  if (!most.contains("ttl_s")) return success();
  const toml::value<std::int64_t>* ttl = most["ttl_s"].as_integer();
  if (ttl == nullptr || ttl->get() < 1 || ttl->get() > limits::kLeaseTtlMaxMs / 1000)
    return wrong_key("most.ttl_s",
                     "1 to " + std::to_string(limits::kLeaseTtlMaxMs / 1000) + " seconds");
  policy.most_ttl_ms = ttl->get() * 1000;
  return success();
}

}  // namespace

Result<authority::NodePolicy> parse_node_policy(std::string_view toml) {
  TAPER_TRY(const toml::table file, read_toml(toml));
  TAPER_CHECK(only_keys(file, "", {"deny", "most"}));
  authority::NodePolicy policy;
  policy.hash = authority::policy_hash(as_bytes(toml));
  TAPER_TRY(const toml::table* deny, table_in(file, "deny"));
  if (deny != nullptr) {
    TAPER_CHECK(only_keys(*deny, "deny.", {"tools"}));
    TAPER_TRY(policy.denied_tools, words_in(*deny, "tools", limits::kToolsMax, "deny."));
  }
  TAPER_TRY(const toml::table* most, table_in(file, "most"));
  if (most != nullptr) TAPER_CHECK(read_most(*most, policy));
  return policy;
}

Result<authority::NodePolicy> load_node_policy(const std::string& state) {
  TAPER_TRY(const auto text, read_owned_file(state, kFile, limits::kToolFileBytesMax));
  if (!text) return authority::NodePolicy{};
  Result<authority::NodePolicy> policy = parse_node_policy(*text);
  if (policy.ok()) return policy;
  ErrorDetail detail = policy.error().detail();
  detail.fix = "mend the node's policy; until then nothing runs that has not begun";
  detail.field = state + "/" + kFile + (detail.field.empty() ? "" : ": " + detail.field);
  return Error(policy.error().code(), std::move(detail));
}

OwnPolicy own_policy(const std::string& state) {
  Result<authority::NodePolicy> policy = load_node_policy(state);
  if (policy.ok()) return {std::move(*policy), std::nullopt};
  return {authority::nothing_at_all(), policy.error()};
}

}  // namespace taper::broker
