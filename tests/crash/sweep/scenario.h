// The runs that are swept, and what must hold whatever became of one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/crash/sweep/world.h"

namespace taper::crash {

inline constexpr int kRetries = 2;          // of the step "late"
inline constexpr std::uint32_t kReads = 3;  // of each kept result
inline constexpr const char* kRead = "w0";  // whose result is read
inline constexpr const char* kOtherRead = "w1";

// By which rules what is left after a broken run is judged.
enum class Examined : std::uint8_t { task, birth, reading, forgetting };

struct Scenario {
  std::string name;
  std::function<void(World&)> prepare;  // what stands before each run
  std::function<Status(World&)> act;    // in a child; the run that is broken
  std::function<Status(World&)> again;  // in a child; what is done after it
  Examined examined = Examined::task;
  Code refusal = Code::activations_spent;  // how the capsule is refused after all that
};

const std::vector<Scenario>& scenarios();
// asking.cc: calls with handles and all the verbs about them; a program that is the agent.
void use_handles(World& world);
Status ask_about_calls(World& world);
void park_call(World& world);
Status answer_call(World& world);
void use_program(World& world);
Status run_program(World& world);
// Makes what stands before each run of the scenario.
void prepare(World& world, const Scenario& scenario);
// Runs it with no fault. False: it failed by itself, and said so.
bool run_whole(World& world, const Scenario& scenario);

// What is found wrong after the broken run and, in turn, after `again` and after one run more.
std::vector<std::string> examine(World& world, const Scenario& scenario);

}  // namespace taper::crash
