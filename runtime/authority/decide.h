// The decision itself: pure, in memory, one line per question in a fixed order, bounded by counts
// and bytes. What it allows is worth nothing until the authority has made it durable.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "runtime/authority/lease.h"

namespace taper::authority {

// What is decided: a call, a verb about a call with a handle, or what a chain may discover.
enum class About : std::uint8_t { call, handle, grants };

struct Ruling {
  About about = About::call;
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
  std::size_t number = 0;         // of the handle's call, where nothing failed

  bool fails(Question question, const Status& status);  // notes an error
};

// The grant chosen in a level. Only where `depth` is more than `level`.
inline const LiveGrant& grant_at(const Ruling& ruling, std::size_t level) {
  return ruling.branch->levels[level][ruling.line[level]];
}

// The limits of a grant's cell: its own, else the capsule's.
capsules::CellLimits cell_limits(const LiveTask& task, std::size_t grant);

bool has_verb(const LiveGrant& grant, capsules::Verb verb);
// Errors: tool_digest, effect_exceeds.
Status is_as_granted(const Tool& tool, const capsules::Grant& grant);
// The handle's call and its line, where this chain has it. Error handle_unknown, by the same steps
// whatever the reason.
Status find_handle(const LiveTask& task, const AccessRequest& request, const Now& now,
                   Ruling& ruling);
// Whether this question is asked at all.
bool is_asked(About about, Question question);

// `arguments` is what parse_arguments made of the request's bytes, error or not.
Ruling decide(const LiveTask& task, const Surroundings& around, const CallRequest& request,
              const Result<capsules::Object>& arguments, const Tools& tools, const Now& now);
Ruling decide_access(const LiveTask& task, const Surroundings& around, const AccessRequest& request,
                     const Now& now);
// What discovery tells where it is allowed.
std::vector<DiscoveredGrant> discoverable(const LiveTask& task, const Branch& branch,
                                          const Tools& tools, const Now& now);

}  // namespace taper::authority
