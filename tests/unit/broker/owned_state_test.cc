#include "runtime/broker/owned_state.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/authority/node.h"
#include "runtime/base/file.h"
#include "runtime/broker/embedded.h"
#include "tests/support/scratch_directory.h"

namespace taper {
namespace {

enum Answer : int { found_all, found_none, could_not };

// In a child with mounts of its own: are both second paths of the state forbidden?
Answer look(const std::string& state, const std::string& whole, const std::string& keys) {
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount(std::filesystem::path(state).parent_path().c_str(), whole.c_str(), nullptr, MS_BIND,
              nullptr) != 0 ||
      ::mount((state + "/keys").c_str(), keys.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return could_not;
  }
  const auto facts = broker::node_facts(state, {}, "", {});
  if (!facts.ok()) return could_not;
  const auto has = [&facts](const std::string& path) {
    return std::ranges::find(facts->forbidden_trees, path) != facts->forbidden_trees.end();
  };
  return has(state) && has(whole + "/state") && has(keys) ? found_all : found_none;
}

TEST_CASE("the state is forbidden at every path that shows it", "[broker]") {
  const testing::ScratchDirectory scratch;
  const std::filesystem::path base = std::filesystem::canonical(scratch.path());
  for (const char* name : {"a/state/keys", "whole mount", "keys"})
    std::filesystem::create_directories(base / name);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(look(base / "a/state", base / "whole mount", base / "keys"));
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == found_all << 8);
}

TEST_CASE("no tool is given what shows an old state, or what a renewal left",
          "[broker][R10][R21]") {
  const testing::ScratchDirectory scratch;
  const std::filesystem::path base = std::filesystem::canonical(scratch.path());
  for (const char* name : {"state", "boot", "state.ended-0011", "state.ended", "session", "run"})
    std::filesystem::create_directories(base / name);
  std::filesystem::create_directory_symlink(base / "boot", base / "to boot");
  ::setenv("TAPER_RUNTIME_DIR", (base / "to boot").c_str(), 1);
  ::setenv("XDG_RUNTIME_DIR", (base / "session").c_str(), 1);
  authority::NodeFacts facts;
  const Status looked = broker::look_at_host(base / "state", {}, facts);
  ::setenv("TAPER_RUNTIME_DIR", "", 1);
  ::unsetenv("XDG_RUNTIME_DIR");
  REQUIRE(looked.ok());
  const auto has = [&facts](const std::string& path) {
    return std::ranges::find(facts.forbidden_trees, path) != facts.forbidden_trees.end();
  };
  for (const char* name : {"state", "state.renewing", "state.renew-lock", "state.ended-0011",
                           "boot", "to boot", "session/taper"})
    CHECK(has(base / name));
  CHECK(has("/run/taper"));
  CHECK(has("/run/user/" + std::to_string(::geteuid()) + "/taper"));
  for (const char* name : {"session", "state.ended", "run", ""}) CHECK_FALSE(has(base / name));
  CHECK_FALSE(has("/run"));
}

TEST_CASE("another node's record beside the store is refused", "[broker][R8]") {
  REQUIRE(crypto::initialise().ok());
  const testing::ScratchDirectory scratch;
  const std::filesystem::path base = std::filesystem::canonical(scratch.path());
  REQUIRE(authority::create_node(base / "old", "n").ok());
  REQUIRE(authority::create_node(base / "new", "n").ok());
  ::setenv("TAPER_RUNTIME_DIR", "", 1);
  REQUIRE(broker::own_state(base / "new", "", Now{}).ok());
  std::filesystem::copy_file(base / "old/node.pub", base / "new/node.pub",
                             std::filesystem::copy_options::overwrite_existing);
  const auto owned = broker::own_state(base / "new", "", Now{});
  CHECK(owned.code() == Code::node_record_malformed);
}

TEST_CASE("a key of the state with a second name is seen", "[broker][R21]") {
  REQUIRE(crypto::initialise().ok());
  const testing::ScratchDirectory scratch;
  const std::filesystem::path base = std::filesystem::canonical(scratch.path());
  REQUIRE(authority::create_node(base / "state", "n").ok());
  CHECK(broker::check_key_links(base / "state").ok());
  for (const char* key : {"seal.key", "node.key"}) {
    std::filesystem::create_hard_link(base / "state/keys" / key, base / "alias");
    CHECK(broker::check_key_links(base / "state").code() == Code::key_file_exposed);
    std::filesystem::remove(base / "alias");
  }
  CHECK(broker::check_key_links(base / "state").ok());
}

TEST_CASE("the node's own key answers sessions, no other", "[broker][session]") {
  REQUIRE(crypto::initialise().ok());
  const testing::ScratchDirectory scratch;
  const std::filesystem::path base = std::filesystem::canonical(scratch.path());
  REQUIRE(authority::create_node(base / "state", "n").ok());
  REQUIRE(authority::create_node(base / "other", "n").ok());
  ::setenv("TAPER_RUNTIME_DIR", "", 1);
  Result<broker::OwnedState> owned = broker::own_state(base / "state", "", Now{});
  REQUIRE(owned.ok());
  CHECK(owned->signer == nullptr);
  REQUIRE(broker::take_signer(*owned, base / "state").ok());
  CHECK(owned->signer->public_key() == owned->facts.node);
  owned->signer = nullptr;
  std::filesystem::copy_file(base / "other/keys/node.key", base / "state/keys/node.key",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(broker::take_signer(*owned, base / "state").code() == Code::key_file_malformed);
  CHECK(owned->signer == nullptr);
}

TEST_CASE("no tool of a capsule may see its holder's key, not even by what cells see anyway",
          "[broker][R24]") {
  capsules::UntrustedCapsule capsule;
  const testing::ScratchDirectory folder;
  const std::string key = folder / "agent.key";
  REQUIRE(create_file(key, {}, 0600).ok());
  capsule.root.grants.resize(1);
  capsules::Grant& grant = capsule.root.grants[0];
  const auto check = [&](const std::string& path) {
    return broker::check_keys_apart(capsule, path).code();
  };
  for (const std::string tool : {"file.read", "grep"}) {
    grant.tool = tool;
    grant.args = {{"path", false, {capsules::Under{folder.path()}}}};
    CHECK(check(key) == Code::tree_refused);
    grant.args = {{"path", false, {capsules::Under{folder / "logs"}}}};
    CHECK(check(key) == Code::ok);
  }
  grant.args = {};
  CHECK(check("/usr/bin/env") == Code::tree_refused);  // of a command
  CHECK(check(key) == Code::ok);
  grant.tool = "time.now";
  CHECK(check("/usr/bin/env") == Code::ok);
}

}  // namespace
}  // namespace taper
