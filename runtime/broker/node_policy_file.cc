#include "runtime/broker/node_policy_file.h"

#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/messages.h"
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

OwnPolicy read_policy(const std::string& state) {
  const auto unread = [](Error why) {
    return OwnPolicy{authority::nothing_at_all(), "", std::move(why)};
  };
  auto text = read_owned_file(state, kFile, limits::kToolFileBytesMax);
  if (!text.ok()) return unread(text.error());
  if (!*text) return {};
  Result<authority::NodePolicy> policy = parse_node_policy(**text);
  if (policy.ok()) return {std::move(*policy), std::move(**text), std::nullopt};
  ErrorDetail detail = policy.error().detail();
  detail.fix =
      "mend the node's policy; a daemon that has read another goes by that, and else nothing runs";
  detail.field = state + "/" + kFile + (detail.field.empty() ? "" : ": " + detail.field);
  return unread(Error(policy.error().code(), std::move(detail)));
}

OwnPolicy own_policy(const std::string& state) {
  OwnPolicy file = read_policy(state);
  const Result<ControlTalk> owner = ControlTalk::with_owner(state);
  if (!owner.ok() || !owner->send({.verb = ControlVerb::policy}).ok()) return file;
  const Result<ControlAnswer> answer = owner->next(limits::kOwnerLookMs);
  if (!answer.ok()) return file;
  OwnPolicy in_force;
  if (const auto* part = std::get_if<ControlPart>(&*answer)) {
    in_force.text = as_text(part->bytes);
    Result<authority::NodePolicy> policy = parse_node_policy(in_force.text);
    if (!policy.ok()) return file;
    in_force.policy = std::move(*policy);
  } else if (const auto* reply = std::get_if<ControlReply>(&*answer);
             reply == nullptr || reply->code == Code::state_locked) {
    return file;  // no daemon: it has read the file just now
  } else if (reply->code != Code::ok) {
    in_force.policy = authority::nothing_at_all();
    in_force.unread = Error(reply->code, reply->detail);
  }
  in_force.waits =
      file.text != in_force.text || file.unread.has_value() != in_force.unread.has_value();
  return in_force;
}

}  // namespace taper::broker
