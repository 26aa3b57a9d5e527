// The runs that are swept, and what must hold whatever became of one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/crash/sweep/world.h"

namespace taper::crash {

struct Scenario {
  std::string name;
  std::function<void(World&)> prepare;  // what stands before each run
  std::function<Status(World&)> act;    // in a child; the run that is broken
  std::function<Status(World&)> again;  // in a child; what is done after it
};

const std::vector<Scenario>& scenarios();

// What is found wrong after the broken run and, in turn, after `again` and after one run more.
std::vector<std::string> examine(World& world, const Scenario& scenario);

}  // namespace taper::crash
