// One life of the broker, put together as broker::run does, for tests that stand where its event
// loop does.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/tool_shelf.h"
#include "runtime/sandbox/spawner.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {

template <class T>
T must(Result<T> result) {
  INFO((result.ok() ? "" : to_line(result.error())));
  REQUIRE(result.ok());
  return std::move(result).value();
}

// The child of this one that makes cells.
inline pid_t spawner_process() {
  pid_t found = 0;
  for (int looks = 0; found == 0 && looks < 1'000; ++looks) {  // it may not be that program yet
    if (looks > 0) ::usleep(10'000);
    std::ifstream children("/proc/thread-self/children");
    for (pid_t child = 0; children >> child;) {
      std::string name;
      std::ifstream("/proc/" + std::to_string(child) + "/comm") >> name;
      if (name == "taper-spawnd") found = child;
    }
  }
  REQUIRE(found != 0);
  return found;
}

// A process may open so many descriptors more, about, and none beyond them. Where we may not look
// at it, which for the spawner's takes root, nothing is done and `looked` stays false.
class FewDescriptors {
 public:
  FewDescriptors(pid_t process, std::size_t left) : process_(process) {
    std::set<rlim_t> open;
    std::error_code error;
    const std::string folder = "/proc/" + std::to_string(process) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
      open.insert(std::stoul(entry.path().filename()));
    if (error) return;
    rlim_t limit = 0;
    for (; left > 0 || open.contains(limit); ++limit) left -= open.contains(limit) ? 0 : 1;
    REQUIRE(::prlimit(process, RLIMIT_NOFILE, nullptr, &before_) == 0);
    const rlimit few{limit, before_.rlim_max};
    looked = ::prlimit(process, RLIMIT_NOFILE, &few, nullptr) == 0;
  }
  ~FewDescriptors() {
    if (looked) ::prlimit(process_, RLIMIT_NOFILE, &before_, nullptr);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

  bool looked = false;

 private:
  pid_t process_;
  rlimit before_{};
};

struct BrokerLife {
  BrokerLife(const testing::NodeForTests& node, const std::string& file)
      : shelf(tool_directories(node.state())) {
    const RunOptions options = node.options(file);
    owned = must(own_state(node.state(), options.holder_key_path, clock.now()));
    spawner = must(sandbox::Spawner::launch(must(sibling_program("taper-spawnd"))));
    authority::Authority& authority = *owned.authority;
    authority::ActivationRequest request;
    request.capsule_file = must(read_file(file, limits::kCapsuleBytesMax));
    request.challenge = authority.challenge();
    const auto opened = must(capsules::open(request.capsule_file, *authority.root()));
    for (const capsules::Grant& grant : opened.root().grants) REQUIRE(shelf.load(grant.tool).ok());
    request.proof = options.prove(authority::activation_statement(
        authority.root()->fleet(), owned.facts.node, owned.facts.incarnation, opened.chain(),
        request.challenge, {}));
    activation = must(authority.activate(request, shelf.tools(), clock.now()));
  }

  const SystemClock clock;
  OwnedState owned;
  std::unique_ptr<sandbox::Spawner> spawner;
  ToolShelf shelf;
  authority::Activation activation;
};

}  // namespace taper::broker
