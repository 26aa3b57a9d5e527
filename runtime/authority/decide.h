// The decision itself: pure, in memory, one line per question in a fixed order, bounded by counts
// and bytes. What it allows is worth nothing until the authority has made it durable.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "runtime/authority/lease.h"

namespace taper::authority {

// What is decided: a call, a call that goes on, a verb about a call with a handle, what a chain may
// discover, or the start of the program that is the agent.
enum class About : std::uint8_t { call, next_phase, handle, grants, agent };

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
  std::vector<std::string> argv;   // commands
  std::vector<GrantedTree> trees;  // of an agent
  std::size_t number = 0;          // of the handle's call, where nothing failed

  bool fails(Question question, const Status& status);  // notes an error
};

// The grant chosen in a level. Only where `depth` is more than `level`.
inline const LiveGrant& grant_at(const Ruling& ruling, std::size_t level) {
  return ruling.branch->levels[level][ruling.line[level]];
}

// The limits of one cell: its own where smaller than the capsule's.
capsules::CellLimits cell_limits(const LiveTask& task, const capsules::CellLimits& own);

bool has_verb(const LiveGrant& grant, capsules::Verb verb);
// Errors: tool_digest, effect_exceeds.
Status is_as_granted(const Tool& tool, const capsules::Grant& grant);
// The handle's call and its line, where this chain has it. Error handle_unknown, by the same steps
// whatever the reason.
Status find_handle(const LiveTask& task, const AccessRequest& request, const Now& now,
                   Ruling& ruling);
// The same for a call that goes on: it waits, and `request` has its tool and arguments. Errors:
// handle_unknown, input_unwanted.
Status find_waiting(const LiveTask& task, const CallRequest& request,
                    const Result<capsules::Object>& arguments, const Now& now, Ruling& ruling);
// Error: input_unwanted.
Status wants_input(const CallRecord& call);
// Of the canonical form, and of the tool as it is.
Hash arguments_hash(const capsules::Object& arguments, const Tool& tool);
// Whether this question is asked at all.
bool is_asked(About about, Question question);

// `arguments` is what parse_arguments made of the request's bytes, error or not.
Ruling decide(const LiveTask& task, const Surroundings& around, const CallRequest& request,
              const Result<capsules::Object>& arguments, const Tools& tools, const Now& now);
Ruling decide_access(const LiveTask& task, const Surroundings& around, const AccessRequest& request,
                     const Now& now);
Ruling decide_agent(const LiveTask& task, const Surroundings& around, const CallRequest& request,
                    const Tools& tools, const Now& now);
// What discovery tells where it is allowed.
std::vector<DiscoveredGrant> discoverable(const LiveTask& task, const Branch& branch,
                                          const Tools& tools, const Now& now);

}  // namespace taper::authority
