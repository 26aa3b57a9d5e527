// node.toml: what it may say, and that a wrong one is no policy at all.
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/node_policy_file.h"
#include "tests/support/scratch_directory.h"

namespace taper::testing {
namespace {

TEST_CASE("a node's policy is read from TOML", "[broker]") {
  const auto policy = broker::parse_node_policy(
      "[deny]\ntools = [\"http.request\", \"meters\"]\n[most]\neffect = \"write\"\nttl_s = 900\n");
  REQUIRE(policy.ok());
  CHECK(policy->denied_tools == std::vector<std::string>{"http.request", "meters"});
  CHECK(policy->most_effect == capsules::Effect::write);
  CHECK(policy->most_ttl_ms == 900'000);
  CHECK(!policy->hash.is_zero());
  const auto empty = broker::parse_node_policy("");
  REQUIRE(empty.ok());
  CHECK(empty->most_effect == capsules::Effect::irreversible);
  CHECK(empty->hash != policy->hash);
}

TEST_CASE("a policy that says what nobody knows is refused", "[broker]") {
  const auto field = [](std::string_view toml) {
    const auto policy = broker::parse_node_policy(toml);
    REQUIRE(policy.code() == Code::tool_file_malformed);
    return policy.error().detail().field;
  };
  CHECK(field("allow = 1") == "allow");
  CHECK(field("deny = 1") == "deny");
  CHECK(field("[deny]\ntool = []") == "deny.tool");
  CHECK(field("[deny]\ntools = \"x\"") == "deny.tools");
  CHECK(field("[deny]\ntools = [\"x\", \"x\"]") == "deny.tools");
  CHECK(field("[most]\neffect = \"some\"") == "most.effect");
  CHECK(field("[most]\nttl_s = 0") == "most.ttl_s");
  CHECK(field("[most]\nttl_s = 9223372036854775807") == "most.ttl_s");
  CHECK(field("[most]\nttl_s = \"15m\"") == "most.ttl_s");
  CHECK(field("[most") == "line 1");
}

TEST_CASE("a policy that others can write is none", "[broker]") {
  const ScratchDirectory folder;
  const std::string path = folder.path() + "/node.toml";
  const auto none = broker::read_policy(folder.path());
  REQUIRE_FALSE(none.unread);
  CHECK(none.policy.hash.is_zero());
  REQUIRE(create_file(path, as_bytes("[most]\nttl_s = 60\n"), 0644).ok());
  const auto own = broker::read_policy(folder.path());
  REQUIRE_FALSE(own.unread);
  CHECK(own.policy.most_ttl_ms == 60'000);
  CHECK(own.text == "[most]\nttl_s = 60\n");
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  const auto loose = broker::read_policy(folder.path());
  REQUIRE(loose.unread);
  CHECK(loose.unread->code() == Code::tool_file_malformed);
  CHECK(loose.unread->detail().field.find(path) != std::string::npos);
  CHECK(loose.policy.hash == authority::nothing_at_all().hash);
}

}  // namespace
}  // namespace taper::testing
