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
  const Branch* branch = nullptr;  // the chain that asks; null where it is not attached
  // The grant chosen, then the kept grant of each block; `depth` of them. At the question of the
  // arguments it is the nearest candidate.
  std::array<std::size_t, limits::kBlocksMax + 1> line{};
  std::size_t depth = 0;
  Hash once;      // CallRecord::once
  CellCaps caps;  // the grant's, lowered to what the budgets leave
  Charge charge;  // taken from every level's budget; the sum is the level's own
  std::array<std::uint64_t, limits::kBlocksMax + 1> sums{};
  std::vector<std::string> argv;  // commands
};

// The grant chosen in a level. Only where `depth` is more than `level`.
inline const LiveGrant& grant_at(const Ruling& ruling, std::size_t level) {
  return ruling.branch->levels[level][ruling.line[level]];
}

// The limits of a grant's cell: its own, else the capsule's.
capsules::CellLimits cell_limits(const LiveTask& task, std::size_t grant);

// `arguments` is what parse_arguments made of the request's bytes, error or not.
Ruling decide(const LiveTask& task, const Surroundings& around, const CallRequest& request,
              const Result<capsules::Object>& arguments, const Tools& tools, const Now& now);

}  // namespace taper::authority
