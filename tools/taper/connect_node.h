// A node's broker in this process, for a state that has no daemon.
#pragma once

#include <string>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::tools {

class EmbeddedNode {
 public:
  EmbeddedNode() = default;
  // What runs is killed and settled; live tasks stay for the next owner of the
  // state.
  ~EmbeddedNode() { stop(); }
  EmbeddedNode(const EmbeddedNode&) = delete;
  EmbeddedNode& operator=(const EmbeddedNode&) = delete;

  // Serves STATE/agent.sock on a thread of its own; returns once it takes
  // sessions. One that ran before is stopped first. Errors: those of
  // broker::serve.
  Status start(const std::string& state, const std::string& holder_key);
  void stop();

 private:
  Fd stop_;  // closed: the broker stops
  std::thread thread_;
};

}  // namespace taper::tools
