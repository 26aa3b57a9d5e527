// The decision itself: pure, in memory, one line per question in a fixed order, bounded by counts
// and bytes. What it allows is worth nothing until the authority has made it durable.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "runtime/authority/lease.h"

namespace taper::authority {

struct Ruling {
  Question failed = Question::none;
  std::optional<Error> error;  // where a question failed
  EndReason ends_task = EndReason::none;
  const Tool* tool = nullptr;
  // The grant chosen, then the kept grant of each block; `depth` of them. At the question of the
  // arguments it is the nearest candidate.
  std::array<std::size_t, limits::kBlocksMax + 1> line{};
  std::size_t depth = 0;
  std::uint64_t reserve_bytes = 0;  // output the call may make, at most
  std::vector<std::string> argv;    // commands
};

// `arguments` is what parse_arguments made of the request's bytes, error or not.
Ruling decide(const LiveTask& task, const Surroundings& around, const CallRequest& request,
              const Result<capsules::Object>& arguments, const Tools& tools, const Now& now);

}  // namespace taper::authority
