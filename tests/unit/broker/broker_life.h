// One life of the broker, put together as broker::run does, for tests that stand where its event
// loop does.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
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
